//! The policy in force, read without a lock.
//!
//! A decision holds on to the policy that it began with, so a policy is never overwritten: each new
//! one is stored behind those before it, and a count says which is the last. Segments of doubling
//! length keep them all in place.

use super::sync::{AtomicUsize, Ordering};
use limiter_core::Policy;
use std::sync::OnceLock;

pub(super) struct Policies {
    /// How many policies came after the first.
    later: AtomicUsize,
    first: Policy,
    segments: [OnceLock<Box<[OnceLock<Policy>]>>; SEGMENTS],
}

impl Policies {
    pub(super) fn new(first: Policy) -> Self {
        Self {
            later: AtomicUsize::new(0),
            first,
            segments: [const { OnceLock::new() }; SEGMENTS],
        }
    }

    #[inline]
    pub(super) fn current(&self) -> &Policy {
        match self.later.load(Ordering::Acquire) {
            0 => &self.first,
            later => self.at(later - 1),
        }
    }

    /// Puts a policy in force. Callers take turns.
    pub(super) fn push(&self, policy: Policy) {
        let index = self.later.load(Ordering::Relaxed);
        let (segment, offset) = place(index);
        let slots = self.segments[segment].get_or_init(|| {
            let slots = 0..1_usize << segment;
            slots.map(|_| OnceLock::new()).collect()
        });
        slots[offset].get_or_init(|| policy);
        self.later.store(index + 1, Ordering::Release);
    }

    #[cold]
    fn at(&self, index: usize) -> &Policy {
        let (segment, offset) = place(index);
        let slots = self.segments[segment].get();
        slots
            .and_then(|slots| slots[offset].get())
            .unwrap_or(&self.first)
    }
}

/// Segment `s` holds the `2^s` policies from number `2^s - 1` on.
fn place(index: usize) -> (usize, usize) {
    let segment = (index + 1).ilog2();
    (segment as usize, index + 1 - (1 << segment))
}

const SEGMENTS: usize = usize::BITS as usize;

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;
    use limiter_core::Plan;

    #[test]
    fn the_last_policy_is_in_force_and_earlier_ones_stay_where_they_are() {
        let numbered = |n| {
            Policy::builder()
                .window(std::time::Duration::from_secs(2))
                .plan(Plan::new(0), n, n)
                .build()
                .expect("a policy")
        };
        let policies = Policies::new(numbered(1));
        let first = policies.current();
        assert_eq!(first, &numbered(1));
        let mut held = Vec::new();
        for n in 2..40 {
            policies.push(numbered(n));
            assert_eq!(policies.current(), &numbered(n));
            held.push((n, policies.current()));
        }
        assert!(held.iter().all(|(n, policy)| **policy == numbered(*n)));
        assert_eq!(first, &numbered(1));
    }

    #[test]
    fn segments_follow_each_other_without_a_gap() {
        let places: Vec<_> = (0..7).map(place).collect();
        assert_eq!(
            places,
            [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]
        );
    }
}
