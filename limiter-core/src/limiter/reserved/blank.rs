//! A reserving limiter whose bytes are all zero; see [`crate::limiter::Blank`].

use super::{NOTHING, Reserved, ReservedIn};
use crate::limiter::blank::{Blank, Sealed};
use crate::limiter::{Limiter, ReserveCounts};
use crate::policy::Policy;
use crate::reserve::{Bound, KeptReserve, Reserve};
use crate::time::Instant;

impl<const TOKENS: usize, const USERS: usize> Sealed for Reserved<TOKENS, USERS> {}

impl<const TOKENS: usize, const USERS: usize> Blank for Reserved<TOKENS, USERS> {
    type Setup = (Policy, Reserve);

    const BLANK: Self = ReservedIn {
        limiter: Limiter::BLANK,
        bounds: [Bound::NONE; USERS],
        reserve: KeptReserve::ZEROS,
        number: 0,
        settled: 0,
        failures: 0,
        has_failed: false,
        waiting: (Instant::ZERO, Instant::ZERO),
        stored_day: (None, 0),
        block_after: None,
        drafted_at: None,
        counts: ReserveCounts::ZERO,
    };

    fn start(&mut self, (policy, reserve): Self::Setup) {
        self.limiter.start(policy);
        self.reserve = KeptReserve::new(reserve);
        self.stored_day = NOTHING;
    }
}
