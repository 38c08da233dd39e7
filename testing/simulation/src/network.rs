//! The way there and back, and a device's clocks.

use crate::random::Random;
use crate::scenario::Scenario;
use limiter_core::{Instant, Now, UnixTime};

/// Draws each packet's fate.
#[derive(Debug)]
pub struct Network {
    random: Random,
    latency_us: u64,
    jitter_us: u64,
    loss_permille: u64,
}

impl Network {
    /// The network of a scenario.
    #[must_use]
    pub const fn new(scenario: &Scenario) -> Self {
        Self {
            random: Random::new(scenario.seed),
            latency_us: scenario.latency_ms * 1_000,
            jitter_us: scenario.jitter_ms * 1_000,
            loss_permille: scenario.loss_permille,
        }
    }

    /// How long a packet takes, in microseconds; `None` if it is lost.
    pub const fn transit_us(&mut self) -> Option<u64> {
        let takes = LEAST_US + self.latency_us + self.random.between(0, self.jitter_us);
        if self.random.chance(self.loss_permille) {
            None
        } else {
            Some(takes)
        }
    }
}

/// A device's clocks, as true time goes by.
#[derive(Clone, Copy, Debug)]
pub struct DeviceClock {
    ppm: i64,
    utc_skew_ms: Option<i64>,
    start_utc: u64,
}

impl DeviceClock {
    /// The clocks of a scenario's caller.
    #[must_use]
    pub const fn new(scenario: &Scenario) -> Self {
        Self {
            ppm: scenario.clock_ppm,
            utc_skew_ms: scenario.utc_skew_ms,
            start_utc: scenario.start_utc,
        }
    }

    /// What the device reads at a true time.
    ///
    /// # Panics
    ///
    /// For times that no simulation reaches.
    #[must_use]
    pub fn at(&self, true_us: u64) -> Now {
        let local_ms = self.local_us(true_us) / 1_000;
        let utc = self.utc_skew_ms.and_then(|skew_ms| {
            let true_ms = i64::try_from(true_us / 1_000).expect("a short simulation");
            let start_ms = i64::try_from(self.start_utc * 1_000).expect("a time of this age");
            UnixTime::from_secs(u64::try_from((start_ms + true_ms + skew_ms) / 1_000).ok()?)
        });
        Now::new(Instant::from_millis(BOOTED_MS + local_ms), utc)
    }

    /// The first true microsecond at which the device has counted `local_ms` more from `true_us`.
    ///
    /// # Panics
    ///
    /// For times that no simulation reaches.
    #[must_use]
    pub fn after(&self, true_us: u64, local_ms: u64) -> u64 {
        let target_us = (self.local_us(true_us) / 1_000 + local_ms) * 1_000;
        let rate = u64::try_from(1_000_000 + self.ppm).expect("clocks go forward");
        let mut at = u64::try_from(u128::from(target_us) * 1_000_000 / u128::from(rate))
            .expect("a short simulation");
        while self.local_us(at) < target_us {
            at += 1;
        }
        at
    }

    fn local_us(&self, true_us: u64) -> u64 {
        let rate = u64::try_from(1_000_000 + self.ppm).expect("clocks go forward");
        u64::try_from(u128::from(true_us) * u128::from(rate) / 1_000_000)
            .expect("a short simulation")
    }
}

/// Even the shortest way takes some time.
const LEAST_US: u64 = 250;

/// A device does not begin to count with the simulation.
const BOOTED_MS: u64 = 7_777;
