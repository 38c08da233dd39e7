//! What the plain limiter does as well: refunds, tokens, the policy. A reserve changes nothing of it,
//! but that a user's row may become another's.

use super::ReservedIn;
use crate::decision::{Decision, Receipt};
use crate::limiter::{
    LimiterIn, Outage, Refunded, RegisterError, Registered, TokenRow, UpdateError, UserRow,
};
use crate::policy::{Policy, PolicyError};
use crate::request::{Registration, Request, TokenLimit};
use crate::reserve::Bound;
use crate::time::Now;
use crate::token::TokenId;

impl<T, U, B> ReservedIn<T, U, B>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
    B: AsRef<[Bound]> + AsMut<[Bound]>,
{
    /// Decides a request that cannot be judged; see [`LimiterIn::refuse_for`].
    pub fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
        self.limiter.refuse_for(request, outage)
    }

    /// Gives the permits of an admission back; see [`LimiterIn::refund`]. They stay reserved, so a
    /// power cut costs them again.
    pub fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        self.limiter.refund(receipt, now)
    }

    /// Makes a token known; see [`LimiterIn::register`].
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
        let user = registration.user.as_u64();
        let is_new = self.limiter.users.position(user).is_none();
        let registered = self.limiter.register(token, registration, now)?;
        let place = self.limiter.users.position(user).filter(|_| is_new);
        if let Some(bound) = place.and_then(|place| self.bound_mut(place))
            && *bound != Bound::NONE
        {
            // The row was another user's, whose reserve is not for the new one. Images under way
            // are of that user, who may come back to this row, so they raise no bound any more:
            // requests that wait for one have another written.
            *bound = Bound::NONE;
            self.settle_drafts(self.number);
        }
        Ok(registered)
    }

    /// Changes a token's window limit; see [`LimiterIn::update`].
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing is changed.
    pub fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.limiter.update(token, limit)
    }

    /// Makes a token unknown; see [`LimiterIn::revoke`].
    pub fn revoke(&mut self, token: TokenId, now: Now) -> bool {
        self.limiter.revoke(token, now)
    }

    /// Ends a token's block; see [`LimiterIn::unblock`]. That makes a write due, as a block that
    /// begins does.
    ///
    /// # Errors
    ///
    /// [`UpdateError::UnknownToken`].
    pub fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
        self.limiter.unblock(token)?;
        self.note_block();
        Ok(())
    }

    /// Puts another policy in force; see [`LimiterIn::set_policy`]. What was reserved stays so.
    ///
    /// # Errors
    ///
    /// [`PolicyError::PlanInUse`]; nothing is changed.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        self.limiter.set_policy(policy)
    }

    /// The limiter, to look at: statistics, calendar, policy, the next reset.
    #[must_use]
    pub const fn limiter(&self) -> &LimiterIn<T, U> {
        &self.limiter
    }
}
