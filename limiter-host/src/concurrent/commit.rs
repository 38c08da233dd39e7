//! What was decided is stored: swapped in, word by word. The protocol and why it holds are at the top of `concurrent.rs`.

use super::charge::Charged;
use super::decide::{After, Case, Overtaken};
use super::row::{LEAVING, abuse_bits, swap, window_bits};
use limiter_core::Decision;
use limiter_core::abuse::Abuse;
use limiter_core::window::Window;

impl Case<'_> {
    /// Stores what was decided, if all that it was decided by still stands.
    #[inline]
    pub(super) fn commit(
        &self,
        decision: Decision,
        after: &After,
        patience: &mut u32,
    ) -> Result<Decision, Overtaken> {
        if !decision.is_admitted() {
            return self.commit_refusal(decision, after, patience);
        }
        // Settling changes nothing that a later decision could tell, so it may stay alone.
        self.store_strikes(after)?;
        self.store_abuse(after, patience)?;
        if !swap(&self.row.state.window, self.window, after.window.to_bits()) {
            return Err(Overtaken);
        }
        let Some(daily) = &self.daily else {
            return self.still(decision);
        };
        let charged = Charged {
            limiter: self.limiter,
            policy: self.policy,
            refills: self.calendar.refills(),
            token: self.token,
            request: self.request,
            at: self.now.monotonic(),
            row: self.row,
            lease: self.lease,
            before: self.window,
        };
        if !swap(&daily.row.day, daily.day, after.day.to_bits()) {
            let left = charged.finish(daily.row).ok_or(Overtaken)?;
            return Ok(decision.with_daily_left(left));
        }
        let decision = self.still(decision);
        if decision.is_err() {
            charged.give_back_day(daily.row);
        }
        decision
    }

    /// W6 and D3 first, which may stay alone; the offence last, which counts once.
    #[inline(never)]
    fn commit_refusal(
        &self,
        decision: Decision,
        after: &After,
        patience: &mut u32,
    ) -> Result<Decision, Overtaken> {
        self.store_strikes(after)?;
        if after.window != Window::from_bits(self.window)
            && !swap(
                &self.row.state.window,
                self.window,
                window_bits(after.window, self.token.as_u64()),
            )
        {
            return Err(Overtaken);
        }
        self.store_abuse(after, patience)?;
        self.still(decision)
    }

    #[inline]
    fn store_strikes(&self, after: &After) -> Result<(), Overtaken> {
        match &self.daily {
            Some(daily)
                if daily.record.strikes() != after.strikes
                    && !daily.row.swap_strikes(daily.record, after.strikes) =>
            {
                Err(Overtaken)
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn store_abuse(&self, after: &After, patience: &mut u32) -> Result<(), Overtaken> {
        if after.abuse == Abuse::from_bits(self.abuse) {
            return Ok(());
        }
        if self.abuse == LEAVING {
            // The row is being taken from its idle token, which takes two swaps. Should that
            // thread be held up between them, this one goes on without it.
            *patience -= 1;
            return if *patience == 0 {
                Ok(())
            } else {
                Err(Overtaken)
            };
        }
        let bits = abuse_bits(after.abuse, self.token.as_u64());
        if swap(&self.row.state.abuse, self.abuse, bits) {
            Ok(())
        } else {
            Err(Overtaken)
        }
    }

    /// The decision, if the row was the token's all the time.
    #[inline]
    fn still(&self, decision: Decision) -> Result<Decision, Overtaken> {
        if self.row.is_still(self.token.as_u64(), self.lease) {
            Ok(decision)
        } else {
            Err(Overtaken)
        }
    }
}
