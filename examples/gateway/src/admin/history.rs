//! Decisions per second over the last two minutes, so that a page that opens now shows what was.

use limiter_host::core::{Reason, Statistics};
use serde::Serialize;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Samples of the counts, a second apart or a little more.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<(Instant, Counts)>,
}

/// How often each outcome was decided, in the order of [`OUTCOMES`].
pub(super) type Counts = [u64; OUTCOMES.len()];

impl History {
    /// Notes the counts as they are at `now`.
    pub(super) fn note(&mut self, counts: Counts, now: Instant) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now, counts));
    }

    /// The rates, each the mean of two seconds, the newest last. A window lasts as long in the preset:
    /// shorter means would show its beat, not the load.
    pub(super) fn rates(&self, now: Instant) -> Rates {
        let pairs = self.samples.iter().zip(self.samples.iter().skip(2));
        let mut rates = Rates {
            outcomes: OUTCOMES,
            ages_ms: Vec::new(),
            per_s: Vec::new(),
        };
        for ((before, old), (at, new)) in pairs {
            let span_ms = at.duration_since(*before).as_millis().max(1);
            let span_ms = u64::try_from(span_ms).unwrap_or(u64::MAX);
            let age_ms = now.duration_since(*at).as_millis();
            rates
                .ages_ms
                .push(u64::try_from(age_ms).unwrap_or(u64::MAX));
            rates.per_s.push(std::array::from_fn(|place| {
                let more = new[place].wrapping_sub(old[place]);
                // To the nearest; a rate of less than a half shows in the totals.
                more.saturating_mul(1_000).saturating_add(span_ms / 2) / span_ms
            }));
        }
        rates
    }
}

/// Decisions per second, by outcome.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    /// What the numbers of a sample are about, in order.
    outcomes: [&'static str; OUTCOMES.len()],
    /// How long ago each sample's second ended.
    ages_ms: Vec<u64>,
    per_s: Vec<Counts>,
}

/// The counts of a limiter.
pub(super) fn counts(statistics: &Statistics) -> Counts {
    std::array::from_fn(|place| match place {
        0 => statistics.admitted(),
        1 => statistics.exempt(),
        _ => statistics.refused(Reason::ALL[place - 2]),
    })
}

/// The outcomes by name.
pub(super) const OUTCOMES: [&str; Reason::ALL.len() + 2] = {
    let mut names = ["admitted"; Reason::ALL.len() + 2];
    names[1] = "exempt";
    let mut place = 0;
    while place < Reason::ALL.len() {
        names[place + 2] = Reason::ALL[place].word();
        place += 1;
    }
    names
};

/// Two minutes of rates.
const SAMPLES: usize = 122;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tells_rates_between_samples_and_forgets_the_oldest() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut history = History::default();
        let mut counts = Counts::default();
        for second in 0..130 {
            history.note(counts, at(second * 1_000));
            counts[0] += 40;
        }
        counts[2] += 101;
        // A second late.
        history.note(counts, at(131 * 1_000));
        let rates = history.rates(at(131_500));
        assert_eq!(rates.per_s.len(), 120);
        assert_eq!(rates.per_s[0][0], 40);
        assert_eq!((rates.per_s[119][0], rates.per_s[119][2]), (27, 34));
        assert_eq!((rates.ages_ms[118], rates.ages_ms[119]), (2_500, 500));
    }

    #[test]
    fn names_every_outcome_once() {
        assert_eq!(OUTCOMES[..3], ["admitted", "exempt", "window"]);
        let mut names = OUTCOMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OUTCOMES.len());
    }
}
