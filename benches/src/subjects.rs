//! Who is compared. Each file makes [`Subject`](crate::measure::Subject)s: a limiter, ready to
//! decide, and the loop that asks it.
//!
//! All have room for a million permits in two seconds, so that what is measured is a decision that
//! admits, unless a work says otherwise.

pub mod by_hand;
pub mod governors;
pub mod others;
pub mod ours;
pub mod single;

use crate::clock;
use crate::steps::Step;

/// Calls `decide` for each step, and lets time pass after each block of them.
#[inline]
pub fn each(steps: &[Step], mut decide: impl FnMut(&Step)) {
    for block in steps.chunks(BLOCK) {
        clock::advance();
        for step in block {
            decide(step);
        }
    }
}

/// What subjects are told of a request.
pub const TOKEN: &str = "token";
/// What subjects are told of a request.
pub const ID: &str = "id";

/// Permits in two seconds.
pub const LIMIT: u32 = 1_000_000;

/// Steps between two readings of a clock that differ.
const BLOCK: usize = 1_024;
