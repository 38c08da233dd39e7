//! Who is known to the limiter: registration, eviction, revocation (SPEC 8 and 9).
//!
//! Registering finds a row for the token and one for its user *before* it changes anything, so a
//! registration that fails leaves all as it was (T3).

use super::LimiterIn;
use super::rows::{Terms, TokenRow, UserRow};
use crate::abuse::Abuse;
use crate::policy::{Plan, Policy, PolicyError, check_limit};
use crate::request::{Kind, Registration, TokenLimit};
use crate::rules;
use crate::table::Row;
use crate::time::Now;
use crate::token::TokenId;
use core::fmt;

impl<T, U> LimiterIn<T, U>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// Makes a token known.
    ///
    /// A token that is registered already takes over the limit and the pin. A revoked one is
    /// resumed with the new user, kind and limit, but what it had used, and a block, stand (P4).
    /// In a full table a new token takes the row of an idle one, and a new user that of an unused
    /// one, if there is such a row (T2); where every user's row is held by a token, an idle token
    /// goes together with its unused user.
    ///
    /// *O*(rows) at worst, when a table is full; else the look-up's few probes.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; nothing is changed.
    pub fn register(
        &mut self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        let limit = registration
            .limit
            .permits(&self.policy, registration.kind)?;
        let terms = Terms::new(&registration, limit);
        let user = registration.user.as_u64();
        if let Some(index) = self.tokens.position::<TokenRow>(token.as_u64()) {
            return self.register_again(index, &registration, terms);
        }
        let Some((victim, place)) = self.rooms_for(token.as_u64(), user, now) else {
            self.counts.table_full = self.counts.table_full.wrapping_add(1);
            crate::fmt::warn!("no row for {}", token);
            return Err(RegisterError::TableFull);
        };
        if let Some(index) = victim {
            self.evict_token(index);
        }
        let place = self.settle_user(place, user);
        self.tokens.insert(TokenRow::new(token, place, terms));
        Ok(Registered::New)
    }

    /// Changes what sets a token's window limit; what is used stays (P3).
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing is changed.
    pub fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        let row = match self.tokens.find_mut::<TokenRow>(token.as_u64()) {
            Some(row) if !row.terms().is_revoked() => row,
            _ => return Err(UpdateError::UnknownToken),
        };
        let permits = limit.permits(&self.policy, row.terms().kind())?;
        row.set_terms(row.terms().with_limit(limit, permits));
        Ok(())
    }

    /// Makes a token unknown from now on; says whether it was known. Its user's day stands. Its
    /// row goes at once if nothing in it still counts, and else when eviction may take it; until
    /// then registering the token again resumes it, so that revoking lifts nothing (P4).
    pub fn revoke(&mut self, token: TokenId, now: Now) -> bool {
        let Some(index) = self.tokens.position::<TokenRow>(token.as_u64()) else {
            return false;
        };
        let Some(row) = self.tokens.rows_mut::<TokenRow>().get_mut(index) else {
            return false;
        };
        if row.terms().is_revoked() {
            return false;
        }
        if row.is_like_new(&self.policy, now.monotonic()) {
            self.remove_token(index);
        } else {
            // A revoked row is no longer worth a pin.
            row.set_terms(row.terms().revoked(true).unpinned());
        }
        true
    }

    /// Ends a token's block, which leaves it without offences; one that is not blocked keeps
    /// those it has.
    ///
    /// # Errors
    ///
    /// [`UpdateError::UnknownToken`].
    pub fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
        match self.tokens.find_mut::<TokenRow>(token.as_u64()) {
            Some(row) if !row.terms().is_revoked() => {
                if row.abuse.is_blocked() {
                    row.abuse = Abuse::CLEAN;
                }
                Ok(())
            }
            _ => Err(UpdateError::UnknownToken),
        }
    }

    /// Puts another policy in force; what is used stays (P3). Under a policy without a block
    /// nobody is blocked. *O*(rows).
    ///
    /// # Errors
    ///
    /// [`PolicyError::PlanInUse`] if a token has a plan that the new policy lacks; nothing is
    /// changed.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        let missing = self.tokens.rows::<TokenRow>().iter().find_map(|row| {
            let live = row.id() != 0 && !row.terms().is_revoked();
            let plan = row.terms().plan().filter(|_| live)?;
            if policy.window_limit(plan, row.terms().kind()).is_none() {
                Some(plan)
            } else {
                None
            }
        });
        if let Some(plan) = missing {
            return Err(PolicyError::PlanInUse {
                index: plan.index(),
            });
        }
        for row in self.tokens.rows_mut::<TokenRow>() {
            if row.id() != 0
                && let Some(plan) = row.terms().plan()
                && let Some(limit) = policy.window_limit(plan, row.terms().kind())
            {
                row.set_terms(row.terms().with_limit(TokenLimit::Plan(plan), limit));
            }
        }
        // What is forgiven by now stays so, however long the new policy remembers (D3).
        let refills = self.calendar.refills();
        for row in self.users.rows_mut() {
            row.strikes = rules::standing_strikes(&self.policy, row.strikes, refills);
        }
        self.policy = policy;
        Ok(())
    }

    /// Registers a token whose row is still there, live or revoked.
    fn register_again(
        &mut self,
        index: usize,
        registration: &Registration,
        terms: Terms,
    ) -> Result<Registered, RegisterError> {
        let user = registration.user.as_u64();
        let Some(row) = self.tokens.rows::<TokenRow>().get(index) else {
            return Err(RegisterError::TableFull);
        };
        let revoked = row.terms().is_revoked();
        if !revoked && row.terms().kind() != registration.kind {
            return Err(RegisterError::OtherKind);
        }
        let old_place = row.user;
        let same_user = self
            .users
            .get(old_place)
            .is_some_and(|row| row.id() == user);
        let mut place = old_place;
        if !same_user {
            if !revoked {
                return Err(RegisterError::OtherUser);
            }
            let Some(found) = self.place_for_user(user, Some(row)) else {
                self.counts.table_full = self.counts.table_full.wrapping_add(1);
                return Err(RegisterError::TableFull);
            };
            self.drop_reference(old_place);
            place = self.settle_user(found, user);
        }
        if let Some(row) = self.tokens.rows_mut::<TokenRow>().get_mut(index) {
            row.set_terms(terms);
            row.user = place;
        }
        Ok(if revoked {
            Registered::Resumed
        } else {
            Registered::Updated
        })
    }

    /// The token row to evict, if one must go, and the place of the user's row; `None` if there is
    /// no room for either. Changes nothing.
    fn rooms_for(&self, token: u64, user: u64, now: Now) -> Option<(Option<usize>, u32)> {
        let full = self.tokens.is_full::<TokenRow>();
        // At first any idle row will do, if one must go at all. If that leaves no room for the
        // user, the idle row must be the last one of an unused user, who goes with it.
        for with_user in [false, true] {
            let victim = if full || with_user {
                Some(self.tokens.search(token, |row: &TokenRow| {
                    row.id() != 0
                        && row.is_evictable(&self.policy, now.monotonic())
                        && (!with_user || self.is_free_without(row.user, Some(row)))
                })?)
            } else {
                None
            };
            let leaving = victim.and_then(|index| self.tokens.rows::<TokenRow>().get(index));
            if let Some(place) = self.place_for_user(user, leaving) {
                return Some((victim, place));
            }
        }
        None
    }

    /// Where a user is, or where its row can go once the row `leaving` is gone.
    fn place_for_user(&self, user: u64, leaving: Option<&TokenRow>) -> Option<u32> {
        self.users.position(user).or_else(|| {
            self.users
                .place_for(user, |place, _| self.is_free_without(place, leaving))
        })
    }

    /// Whether a user's row could be taken over (T2) if the token row `leaving` were gone.
    fn is_free_without(&self, place: u32, leaving: Option<&TokenRow>) -> bool {
        let leaving = u16::from(leaving.is_some_and(|row| row.user == place));
        self.users.get(place).is_some_and(|row| {
            row.tokens() <= leaving && row.is_like_new(&self.policy, self.calendar.refills())
        })
    }

    /// Gives the user a row at `place`, unless it is the user's already, and counts one token more.
    fn settle_user(&mut self, place: u32, user: u64) -> u32 {
        if self.users.get(place).is_none_or(|row| row.id() != user) && self.users.take(place, user)
        {
            self.counts.evicted_users = self.counts.evicted_users.wrapping_add(1);
        }
        if let Some(row) = self.users.get_mut(place) {
            row.add_token();
        }
        place
    }

    fn evict_token(&mut self, index: usize) {
        self.remove_token(index);
        self.counts.evicted_tokens = self.counts.evicted_tokens.wrapping_add(1);
    }

    fn remove_token(&mut self, index: usize) {
        if let Some(place) = self
            .tokens
            .rows::<TokenRow>()
            .get(index)
            .map(|row| row.user)
        {
            self.drop_reference(place);
            self.tokens.remove::<TokenRow>(index);
        }
    }

    fn drop_reference(&mut self, place: u32) {
        if let Some(row) = self.users.get_mut(place) {
            row.drop_token();
        }
    }
}

impl TokenLimit {
    /// The permits per window that the choice means to a token of `kind` under a policy.
    ///
    /// # Errors
    ///
    /// [`BadLimit`].
    pub fn permits(self, policy: &Policy, kind: Kind) -> Result<u32, BadLimit> {
        match self {
            Self::Plan(plan) => policy
                .window_limit(plan, kind)
                .ok_or(BadLimit::UnknownPlan(plan)),
            Self::Own(permits) => match check_limit(permits) {
                Ok(()) => Ok(permits),
                Err(error) => Err(BadLimit::Policy(error)),
            },
        }
    }
}

/// Why a choice of limit means nothing under a policy. It becomes a [`RegisterError`] or an
/// [`UpdateError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BadLimit {
    /// The policy has no such plan.
    UnknownPlan(Plan),
    /// The token's own limit is out of range.
    Policy(PolicyError),
}

/// How a registration found its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Registered {
    /// It was not known, and has a row now.
    New,
    /// It was registered already, and has the new limit and pin.
    Updated,
    /// It was revoked, and goes on where it was (P4).
    Resumed,
}

/// Why a token could not be registered; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RegisterError {
    /// No row is vacant or may be evicted now (T3); another time there may be one.
    TableFull,
    /// The token is registered to another user; revoke it first.
    OtherUser,
    /// The token is registered as one of the other kind; revoke it first.
    OtherKind,
    /// The policy has no such plan.
    UnknownPlan {
        /// Its place.
        index: u8,
    },
    /// The token's own limit is out of range.
    Limit(PolicyError),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableFull => f.write_str("the table is full, and no row in it is idle"),
            Self::OtherUser => f.write_str("the token is registered to another user"),
            Self::OtherKind => f.write_str("the token is registered as one of the other kind"),
            Self::UnknownPlan { index } => write!(f, "the policy has no plan {index}"),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RegisterError {}

impl From<BadLimit> for RegisterError {
    fn from(error: BadLimit) -> Self {
        match error {
            BadLimit::UnknownPlan(plan) => Self::UnknownPlan {
                index: plan.index(),
            },
            BadLimit::Policy(error) => Self::Limit(error),
        }
    }
}

/// Why a token could not be changed; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UpdateError {
    /// The token is not registered, or revoked.
    UnknownToken,
    /// The policy has no such plan.
    UnknownPlan {
        /// Its place.
        index: u8,
    },
    /// The token's own limit is out of range.
    Limit(PolicyError),
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownToken => f.write_str("the token is not registered"),
            Self::UnknownPlan { index } => write!(f, "the policy has no plan {index}"),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for UpdateError {}

impl From<BadLimit> for UpdateError {
    fn from(error: BadLimit) -> Self {
        match error {
            BadLimit::UnknownPlan(plan) => Self::UnknownPlan {
                index: plan.index(),
            },
            BadLimit::Policy(error) => Self::Limit(error),
        }
    }
}
