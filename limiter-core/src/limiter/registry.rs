//! Tokens that are known to the limiter: registering, updating, revoking them (SPEC 8 and 9). Room
//! for new ones is the matter of `newcomer.rs`.

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
    /// one, if there is such a row (T2); where every user's row is held by tokens, all tokens of an
    /// unused user go together with it, if each of them is idle. The result says so: a list of
    /// tokens that is registered once and for all should be [`pinned`](Registration::pinned).
    ///
    /// *O*(rows) at worst: when a token needs the row of an idle one and few are idle, or a user
    /// that of another. Being refused takes a few steps until the earliest moment at which a row may
    /// be idle; [`Statistics::searched_rows`](super::Statistics::searched_rows) counts the rows that
    /// were looked at.
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
        let evicted = (self.counts.evicted_tokens, self.counts.evicted_users);
        let registered = self.register_at(token, registration, self.time_of(now));
        if (self.counts.evicted_tokens, self.counts.evicted_users) != evicted {
            // What a row was thrown away by is a reading of the time line's (M1).
            self.line.take(now.monotonic());
        }
        registered
    }

    /// The same at a time of the time line.
    fn register_at(
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
            return self.register_again(index, &registration, terms, now);
        }
        self.newcomer(token, user, terms, now)
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
        let at = self.line.take(now.monotonic());
        if row.is_like_new(&self.policy, at) {
            self.remove_token(index);
        } else {
            // A revoked row is no longer worth a pin.
            row.set_terms(row.terms().revoked(true).unpinned());
            self.changed((index, index));
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
        let index = self.tokens.position::<TokenRow>(token.as_u64());
        let rows = self.tokens.rows_mut::<TokenRow>();
        let row = index.and_then(|index| Some((index, rows.get_mut(index)?)));
        match row {
            Some((index, row)) if !row.terms().is_revoked() => {
                if row.abuse.is_blocked() {
                    row.abuse = Abuse::CLEAN;
                    self.changed((index, index));
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
        self.idle.forget_all();
        Ok(())
    }

    /// Registers a token whose row is still there, live or revoked.
    fn register_again(
        &mut self,
        index: usize,
        registration: &Registration,
        terms: Terms,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        let user = registration.user.as_u64();
        let Some(&row) = self.tokens.rows::<TokenRow>().get(index) else {
            return Err(RegisterError::TableFull);
        };
        let revoked = row.terms().is_revoked();
        if !revoked && row.terms().kind() != registration.kind {
            return Err(RegisterError::OtherKind);
        }
        let mut place = row.user;
        if self.users.get(place).is_none_or(|row| row.id() != user) {
            if !revoked {
                return Err(RegisterError::OtherUser);
            }
            place = self.change_user(index, user, now)?;
        }
        let goes_sooner = place != row.user || row.terms().is_pinned() && !terms.is_pinned();
        // Others may have gone with their user, and rows moved.
        if let Some(index) = self.tokens.position::<TokenRow>(row.id())
            && let Some(row) = self.tokens.rows_mut::<TokenRow>().get_mut(index)
        {
            row.set_terms(terms);
            row.user = place;
            if goes_sooner {
                self.changed((index, index));
            }
        }
        Ok(if revoked {
            Registered::Resumed
        } else {
            Registered::Updated
        })
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
    /// The same, and it took the row of an idle token that was known, which is unknown now (T2).
    ///
    /// A host that registers tokens each time before they are used need not care. A host that
    /// registers each token once has more tokens than rows: it needs a larger limiter. If the
    /// tokens are pinned, the one that finds no row gets [`RegisterError::TableFull`] instead.
    NewInPlaceOf {
        /// The token that is unknown now.
        token: TokenId,
        /// Other tokens of its user, which went with it, as the new one's user needed that user's
        /// row.
        others: u32,
    },
    /// It was registered already, and has the new limit and pin.
    Updated,
    /// It was revoked, and goes on where it was (P4).
    Resumed,
}

impl Registered {
    /// Returns whether the token was not known, and had no row.
    #[must_use]
    pub const fn is_new(self) -> bool {
        matches!(self, Self::New | Self::NewInPlaceOf { .. })
    }
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
