//! The rows of the two tables: 32 bytes a token, 24 bytes a user.

use crate::abuse::Abuse;
use crate::daily::{Day, Strikes};
use crate::policy::{Plan, Policy};
use crate::request::{Kind, Registration, TokenLimit};
use crate::rules::{self, Account};
use crate::snapshot::BlockRecord;
use crate::table::Row;
use crate::time::Instant;
use crate::token::TokenId;
use crate::window::Window;
use core::fmt;

/// What a limiter keeps of one token: [`TokenRow::SIZE`] bytes, opaque.
///
/// It is public so that the memory can be yours: an array, a `Box<[TokenRow]>`, a
/// `&'static mut [TokenRow]` in a memory region of your choice.
#[derive(Clone, Copy)]
pub struct TokenRow {
    id: u64,
    pub(super) window: Window,
    pub(super) abuse: Abuse,
    /// The place of the user's row.
    pub(super) user: u32,
    terms: Terms,
}

impl TokenRow {
    /// Bytes a row takes, on every target.
    pub const SIZE: usize = 32;

    /// A row that holds nothing.
    pub const VACANT: Self = Self {
        id: 0,
        window: Window::CLOSED,
        abuse: Abuse::CLEAN,
        user: 0,
        terms: Terms(0),
    };

    pub(super) const fn new(token: TokenId, user: u32, terms: Terms) -> Self {
        Self {
            id: token.as_u64(),
            user,
            terms,
            ..Self::VACANT
        }
    }

    /// The row of a token that an image knows and nobody has registered yet: like a revoked one, of
    /// no user.
    pub(super) const fn unregistered(id: u64) -> Self {
        Self {
            id,
            user: NO_USER,
            terms: Terms(REVOKED),
            ..Self::VACANT
        }
    }

    /// The row's block for an image, `None` if none is running.
    pub(super) fn block(&self, policy: &Policy, now: Instant) -> Option<BlockRecord> {
        policy.block.as_ref()?;
        let left_ms = self.abuse.blocked_ms(now);
        if self.id == 0 || left_ms == 0 {
            return None;
        }
        Some(BlockRecord {
            id: self.id,
            left_ms,
        })
    }

    pub(super) const fn terms(&self) -> Terms {
        self.terms
    }

    pub(super) const fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// The beginning of the last window; the end of time if none ever began.
    pub(super) const fn last_began(&self) -> Instant {
        if self.window.is_open() {
            self.window.start()
        } else {
            Instant::MAX
        }
    }

    /// The earliest moment at which a token may take this row; [`Instant::MAX`] of a pinned one.
    pub(super) const fn evictable_from(&self, policy: &Policy, now: Instant) -> Instant {
        if self.terms.is_pinned() {
            return Instant::MAX;
        }
        rules::idle_from(policy, self.window, self.abuse, now)
    }

    /// Whether the row could not be told from a new one (T2), pins aside.
    pub(super) const fn is_like_new(&self, policy: &Policy, now: Instant) -> bool {
        rules::is_idle_token(policy, self.window, self.abuse, now)
    }

    /// Whether a token may take this row (T2).
    pub(super) const fn is_evictable(&self, policy: &Policy, now: Instant) -> bool {
        !self.terms.is_pinned() && self.is_like_new(policy, now)
    }

    /// Lends the row, and its user's if the request counts daily, to one decision.
    #[inline]
    pub(super) fn account<'a>(
        &'a mut self,
        token: TokenId,
        user: Option<&'a mut UserRow>,
    ) -> Account<'a> {
        Account {
            token,
            kind: self.terms.kind(),
            limit: self.terms.limit(),
            window: &mut self.window,
            abuse: &mut self.abuse,
            user: self.user,
            daily: user.map(|user| (&mut user.day, &mut user.strikes)),
        }
    }
}

impl Default for TokenRow {
    fn default() -> Self {
        Self::VACANT
    }
}

/// Shows nothing: a limiter in a log tells nobody's id (T4).
impl fmt::Debug for TokenRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRow(..)")
    }
}

impl Row for TokenRow {
    #[inline]
    fn id(&self) -> u64 {
        self.id
    }

    fn vacate(&mut self) {
        self.id = 0;
    }
}

/// What was agreed on for a token, in 32 bits: the window limit in bits 0 to 19, the plan in bits
/// 20 to 22, and four flags. For homes of the state: [`Terms::BITS`] bits to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Terms(u32);

impl Terms {
    /// Bits of the packed form.
    pub const BITS: u32 = 27;

    /// The terms from their packed form. What is beyond [`Terms::BITS`] is dropped.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }

    /// The packed form.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The terms of a registration, where `limit` is in force: the plan's, or the token's own.
    #[must_use]
    pub const fn new(registration: &Registration, limit: u32) -> Self {
        let kind = match registration.kind {
            Kind::ApiToken => 0,
            Kind::AccessToken => ACCESS_TOKEN,
        };
        let pinned = if registration.pinned { PINNED } else { 0 };
        Self(kind | pinned).with_limit(registration.limit, limit)
    }

    /// The same with another choice, which means `limit` permits per window.
    #[must_use]
    pub const fn with_limit(self, chosen: TokenLimit, limit: u32) -> Self {
        let base = self.0 & !(LIMIT | PLAN | OWN);
        match chosen {
            TokenLimit::Own(_) => Self(base | OWN | (limit & LIMIT)),
            TokenLimit::Plan(plan) => {
                Self(base | (widen8(plan.index()) << PLAN_SHIFT) & PLAN | (limit & LIMIT))
            }
        }
    }

    /// The same, revoked or not.
    #[must_use]
    pub const fn revoked(self, revoked: bool) -> Self {
        if revoked {
            Self(self.0 | REVOKED)
        } else {
            Self(self.0 & !REVOKED)
        }
    }

    /// The same for a row that need not stay.
    #[must_use]
    pub const fn unpinned(self) -> Self {
        Self(self.0 & !PINNED)
    }

    /// Permits per window.
    #[must_use]
    #[inline]
    pub const fn limit(self) -> u32 {
        self.0 & LIMIT
    }

    /// The plan whose limit is in force, `None` if the token has its own.
    #[must_use]
    pub const fn plan(self) -> Option<Plan> {
        if self.0 & OWN != 0 {
            return None;
        }
        let [index, ..] = ((self.0 & PLAN) >> PLAN_SHIFT).to_le_bytes();
        Some(Plan::new(index))
    }

    /// The token's kind.
    #[must_use]
    #[inline]
    pub const fn kind(self) -> Kind {
        if self.0 & ACCESS_TOKEN == 0 {
            Kind::ApiToken
        } else {
            Kind::AccessToken
        }
    }

    /// Whether the token may be one whose requests count daily: an `api_token`, and not revoked.
    #[cfg(target_pointer_width = "64")]
    #[inline]
    pub(super) const fn is_api_token_in_force(self) -> bool {
        self.0 & (ACCESS_TOKEN | REVOKED) == 0
    }

    /// Whether the row must stay (T2).
    #[must_use]
    pub const fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }

    /// Whether the token is revoked, and so unknown (P4).
    #[must_use]
    #[inline]
    pub const fn is_revoked(self) -> bool {
        self.0 & REVOKED != 0
    }
}

/// What a limiter keeps of one user: [`UserRow::SIZE`] bytes, opaque. See [`TokenRow`].
#[derive(Clone, Copy)]
pub struct UserRow {
    id: u64,
    pub(super) day: Day,
    pub(super) strikes: Strikes,
    /// Tokens that refer to this row. At the largest number it stays there for ever, and the row
    /// with it.
    tokens: u16,
    /// For one search: tokens among them that may be evicted.
    pub(super) leaving: u16,
}

impl UserRow {
    /// Bytes a row takes, on every target.
    pub const SIZE: usize = 24;

    /// A row that holds nothing.
    pub const VACANT: Self = Self {
        id: 0,
        day: Day::new(0, 0),
        strikes: Strikes::NONE,
        tokens: 0,
        leaving: 0,
    };

    pub(super) const fn new(id: u64) -> Self {
        Self { id, ..Self::VACANT }
    }

    /// Returns whether a token refers to this row.
    pub(super) const fn has_tokens(&self) -> bool {
        self.tokens > 0
    }

    /// Returns whether every token that refers to this row may be evicted, by the last search.
    pub(super) const fn all_leave(&self) -> bool {
        self.leaving == self.tokens && self.tokens < u16::MAX
    }

    pub(super) const fn add_token(&mut self) {
        self.tokens = self.tokens.saturating_add(1);
    }

    pub(super) const fn drop_token(&mut self) {
        // OK because the row was counted when the token was added.
        if self.tokens < u16::MAX {
            self.tokens = self.tokens.wrapping_sub(1);
        }
    }

    /// Whether the row could not be told from a new one (T2), its tokens aside.
    pub(super) const fn is_like_new(&self, policy: &Policy, refills: u32) -> bool {
        rules::is_unused_user(policy, self.day, self.strikes, refills)
    }
}

/// Shows nothing; see [`TokenRow`].
impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserRow(..)")
    }
}

impl Default for UserRow {
    fn default() -> Self {
        Self::VACANT
    }
}

impl UserRow {
    /// The keyed id, 0 if the row is vacant.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }
}

#[allow(clippy::as_conversions, reason = "lossless; `u32::from` is not const")]
const fn widen8(value: u8) -> u32 {
    value as u32
}

/// No row's place.
const NO_USER: u32 = u32::MAX;
const LIMIT: u32 = Window::MAX_LIMIT;
const PLAN_SHIFT: u32 = 20;
const PLAN: u32 = 0b111 << PLAN_SHIFT;
const ACCESS_TOKEN: u32 = 1 << 23;
const OWN: u32 = 1 << 24;
const PINNED: u32 = 1 << 25;
const REVOKED: u32 = 1 << 26;

const _: () = {
    assert!(size_of::<TokenRow>() == TokenRow::SIZE);
    assert!(size_of::<UserRow>() == UserRow::SIZE);
    assert!(Policy::MAX_PLANS == 8, "three bits tell the plan");
};
