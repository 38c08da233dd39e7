//! Interleaved rounds: every row of a table runs a short stretch of the same requests, one row after
//! the other, in an order that is turned each round. So a noisy moment of the machine hits all rows
//! alike, and the ratio of two rows within a round tells more than either time.

use crate::report::Row;
use crate::steps::Step;
use std::time::{Duration, Instant};

/// Something that is asked to decide a stretch of requests.
pub struct Subject {
    /// Who: a crate's name and what of it, or our own type's.
    pub name: String,
    /// What it is told of a request.
    pub form: &'static str,
    /// What it does less than the limiter does.
    pub lacks: &'static str,
    /// It gets one request of so many: a slow subject must not take all the time.
    pub one_of: usize,
    run: Run,
}

/// The loop over requests: compiled for each subject, so that a decision is not called through a
/// pointer.
enum Run {
    Alone(Box<Alone>),
    Shared(Box<Shared>),
}

type Alone = dyn FnMut(&[Step]);
/// A loop that threads can share.
pub type Shared = dyn Fn(&[Step]) + Send + Sync;

impl Subject {
    /// A subject that one thread has for itself.
    pub fn alone(
        name: impl Into<String>,
        form: &'static str,
        lacks: &'static str,
        run: impl FnMut(&[Step]) + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            form,
            lacks,
            one_of: 1,
            run: Run::Alone(Box::new(run)),
        }
    }

    /// A subject that threads share.
    pub fn shared(
        name: impl Into<String>,
        form: &'static str,
        lacks: &'static str,
        run: impl Fn(&[Step]) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            form,
            lacks,
            one_of: 1,
            run: Run::Shared(Box::new(run)),
        }
    }

    /// Gives it one request of `many` only.
    #[must_use]
    pub fn one_of(mut self, many: usize) -> Self {
        self.one_of = many;
        self
    }

    /// Decides all `steps`.
    pub fn run(&mut self, steps: &[Step]) {
        match &mut self.run {
            Run::Alone(run) => run(steps),
            Run::Shared(run) => run(steps),
        }
    }

    /// The loop, if threads can share it.
    #[must_use]
    pub fn as_shared(&self) -> Option<&Shared> {
        match &self.run {
            Run::Alone(_) => None,
            Run::Shared(run) => Some(run),
        }
    }
}

/// How much of everything is done.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of a table.
    pub rounds: usize,
    /// Requests that a row decides in a round, where they take some 30 ns each.
    pub stretch: usize,
    /// Whether this is the small run.
    pub quick: bool,
}

impl Effort {
    /// The whole comparison.
    pub const FULL: Self = Self {
        rounds: 31,
        stretch: 1 << 16,
        quick: false,
    };

    /// The same work, smaller.
    pub const QUICK: Self = Self {
        rounds: 7,
        stretch: 1 << 15,
        quick: true,
    };
}

/// Runs a table: `rounds` times every subject over a stretch of `steps`. Ratios are to the subject
/// `base`, by its place.
pub fn table(
    work: &str,
    subjects: &mut [Subject],
    steps: &[Step],
    stretch: usize,
    rounds: usize,
    base: usize,
) -> Vec<Row> {
    interleave(work, subjects, rounds, base, |subject, round| {
        let length = (stretch / subject.one_of).max(1);
        let begin = round * stretch % steps.len().saturating_sub(stretch).max(1);
        let steps = steps.get(begin..).unwrap_or(steps);
        let steps = steps.get(..length).unwrap_or(steps);
        let begun = Stopwatch::start();
        subject.run(steps);
        per(begun.elapsed(), steps.len())
    })
}

/// Calls `time` for every subject in every round, in an order that is turned each round, and makes
/// rows of the nanoseconds it returns. The first round is for warming up.
pub fn interleave(
    work: &str,
    subjects: &mut [Subject],
    rounds: usize,
    base: usize,
    mut time: impl FnMut(&mut Subject, usize) -> f64,
) -> Vec<Row> {
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..=rounds {
        for place in 0..subjects.len() {
            let turned = (place + round * 7) % subjects.len();
            // Every other round goes backwards, so that nobody always follows the same other.
            let index = if round % 2 == 0 {
                turned
            } else {
                subjects.len() - 1 - turned
            };
            let Some(subject) = subjects.get_mut(index) else {
                continue;
            };
            let taken = time(subject, round);
            if round > 0
                && let Some(times) = times.get_mut(index)
            {
                times.push(taken);
            }
        }
    }
    let of_base = times.get(base).cloned().unwrap_or_default();
    let rows = subjects.iter().zip(&times).map(|(subject, times)| {
        let ratios: Vec<f64> = times.iter().zip(&of_base).map(|(a, b)| a / b).collect();
        Row::of_times(work, subject, times, &ratios)
    });
    rows.collect()
}

/// Nanoseconds for each of `count`.
#[must_use]
pub fn per(elapsed: Duration, count: usize) -> f64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    elapsed.as_secs_f64() * 1e9 / f64::from(count)
}

/// The value below which `share` of a hundred lie.
#[must_use]
pub fn percentile(values: &[f64], share: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * share / 100).copied().unwrap_or(f64::NAN)
}

/// Real time: what benchmarks are about.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[allow(clippy::disallowed_methods, reason = "what is measured is real time")]
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_middle_of_odd_many_values() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        let at = |share| percentile(&values, share);
        assert!(
            [at(0), at(25), at(50), at(75), at(100)]
                .iter()
                .eq(&[1.0, 2.0, 3.0, 4.0, 5.0])
        );
    }

    #[test]
    fn every_subject_has_a_turn_in_every_round_and_ratios_are_within_rounds() {
        let mut subjects: Vec<Subject> = ["a", "b", "c"]
            .map(|name| Subject::alone(name, "", "", |_| {}))
            .into();
        let mut calls = 0;
        let rows = interleave("w", &mut subjects, 4, 0, |subject, round| {
            calls += 1;
            // Each round is as noisy as it likes, for all alike.
            let noise = f64::from(u32::try_from(round).unwrap() + 1);
            noise * if subject.name == "c" { 30.0 } else { 10.0 }
        });
        assert_eq!(calls, 3 * 5);
        let ratios: Vec<_> = rows.iter().map(|row| row.ratio.unwrap()).collect();
        assert!(ratios.iter().eq(&[1.0, 1.0, 3.0]), "{ratios:?}");
    }
}
