//! What people write by hand: a map of fixed windows.

use super::{LIMIT, TOKEN, each};
use crate::clock;
use crate::measure::Subject;
use crate::steps::Step;
use dashmap::DashMap;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

/// One token's window.
#[derive(Clone, Copy, Debug, Default)]
pub struct FixedWindow {
    start_ns: u64,
    used: u32,
}

impl FixedWindow {
    /// Whether one more is admitted, and how many remain.
    #[inline]
    pub fn admit(&mut self, now_ns: u64) -> (bool, u32) {
        if now_ns.saturating_sub(self.start_ns) >= WINDOW_NS {
            *self = Self {
                start_ns: now_ns,
                used: 0,
            };
        }
        let admitted = self.used < LIMIT;
        self.used += u32::from(admitted);
        (admitted, LIMIT - self.used)
    }
}

/// A `DashMap` of windows.
#[must_use]
pub fn dashmap() -> Subject {
    let windows = DashMap::<String, FixedWindow>::new();
    Subject::shared("by hand: DashMap", TOKEN, LACKS, move |steps| {
        each(steps, |step| {
            let now = clock::nanos();
            let known = windows
                .get_mut(&step.token)
                .map(|mut window| window.admit(now));
            let admitted = match known {
                Some(admitted) => admitted,
                None => windows.entry(step.token.clone()).or_default().admit(now),
            };
            black_box(&admitted);
        });
    })
}

/// A `HashMap` of windows behind one mutex.
#[must_use]
pub fn mutex_hashmap() -> Subject {
    let windows = Mutex::new(HashMap::<String, FixedWindow>::new());
    Subject::shared("by hand: Mutex<HashMap>", TOKEN, LACKS, move |steps| {
        each(steps, |step| {
            let now = clock::nanos();
            let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
            let admitted = match windows.get_mut(&step.token) {
                Some(window) => window.admit(now),
                None => windows.entry(step.token.clone()).or_default().admit(now),
            };
            black_box(&admitted);
        });
    })
}

/// A `HashMap` of windows behind one mutex, from which those that are over are taken now and then.
#[derive(Default)]
pub struct Kept(Mutex<HashMap<String, FixedWindow>>);

impl Kept {
    /// Lets a token ask.
    pub fn check(&self, step: &Step) {
        let now = clock::nanos();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = match windows.get_mut(&step.token) {
            Some(window) => window.admit(now),
            None => windows.entry(step.token.clone()).or_default().admit(now),
        };
        black_box(&admitted);
    }

    /// Takes those out whose window is over.
    pub fn shrink(&self) {
        let now = clock::nanos();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|_, window| now.saturating_sub(window.start_ns) < WINDOW_NS);
    }
}

const LACKS: &str = "no day or block; rows are never evicted";
const WINDOW_NS: u64 = 2_000_000_000;
