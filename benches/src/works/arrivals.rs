//! A million tokens arrive, each with its first request: how long does the longest of them take?
//! A map that grows stops everybody while it moves its entries.

use crate::clock;
use crate::measure::{Effort, Subject};
use crate::report::Row;
use crate::steps::{hash_key, step};
use crate::subjects::ours::{boxed, concurrent, policy, registration};
use crate::subjects::{ID, TOKEN, by_hand, each, governors, others};
use limiter_core::{Method, Request};
use std::hint::black_box;

/// A limiter that knows nobody yet, for so many tokens.
pub type Contestant = (&'static str, fn(usize) -> Subject);

/// All that take tokens as they come. What rows are compared with comes first.
pub const CONTESTANTS: [Contestant; 13] = [
    ("governor", |_| {
        governors::keyed()
            .into_iter()
            .next()
            .unwrap_or_else(nothing)
    }),
    ("governor reserved", governors::reserved),
    ("governor hashmap", |_| {
        governors::keyed()
            .into_iter()
            .nth(3)
            .unwrap_or_else(nothing)
    }),
    ("limiter", limiter),
    ("concurrent", for_all_cores),
    ("gcra", others::gcra),
    ("rate-net", others::rate_net),
    ("throttlecrab periodic", |tokens| {
        others::keyed(tokens)
            .into_iter()
            .nth(2)
            .unwrap_or_else(nothing)
    }),
    ("throttlecrab adaptive", |tokens| {
        others::keyed(tokens)
            .into_iter()
            .nth(3)
            .unwrap_or_else(nothing)
    }),
    ("pingora", |_| others::pingora()),
    ("limitador", others::limitador),
    ("dashmap", |_| by_hand::dashmap()),
    ("hashmap", |_| by_hand::mutex_hashmap()),
];

/// The percentiles of single decisions, of some repetitions the middle one.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    let (tokens, repetitions) = if effort.quick {
        (200_000, 3)
    } else {
        (TOKENS, 5)
    };
    let mut tables = vec![Vec::new(); PERCENTILES.len()];
    // limitador takes microseconds, and half a gigabyte: its distribution is told by its mean.
    let contestants = CONTESTANTS.iter().filter(|(name, _)| *name != "limitador");
    for (name, make) in contestants {
        let mut subject = make(tokens as usize);
        let mut values = vec![Vec::new(); PERCENTILES.len()];
        for repetition in 0..repetitions {
            if repetition > 0 {
                subject = make(tokens as usize);
            }
            let sorted = arrive(&mut subject, tokens);
            for (values, (_, beyond)) in values.iter_mut().zip(PERCENTILES) {
                values.push(beyond_share(&sorted, beyond));
            }
        }
        eprintln!("  {name}");
        for ((table, values), (percentile, _)) in tables.iter_mut().zip(values).zip(PERCENTILES) {
            let work = work(percentile);
            table.push(Row::of_times(&work, &subject, &values, &[]));
        }
    }
    for table in &mut tables {
        let base = table.first().map_or(f64::NAN, |row| row.median);
        for row in table {
            row.ratio = Some(row.median / base);
        }
    }
    tables.into_iter().flatten().collect()
}

/// The name of the work whose figure is this percentile.
#[must_use]
pub fn work(percentile: &str) -> String {
    format!("a million tokens arrive, {percentile}")
}

/// The nanoseconds of each arrival, sorted.
fn arrive(subject: &mut Subject, tokens: u32) -> Vec<f64> {
    let clock = quanta::Clock::new();
    let mut times = vec![0.0; tokens as usize];
    // Tokens are made some at a time, so that they are in the cache, as if they were just parsed.
    for (group, times) in (0..).step_by(GROUP).zip(times.chunks_mut(GROUP)) {
        let steps: Vec<_> = (group..).take(times.len()).map(step).collect();
        for (step, time) in steps.iter().zip(times) {
            let begun = clock.raw();
            subject.run(std::slice::from_ref(step));
            *time = f64::from(
                u32::try_from(clock.delta_as_nanos(begun, clock.raw())).unwrap_or(u32::MAX),
            );
        }
    }
    times.sort_by(f64::total_cmp);
    times
}

/// The value that one of `beyond` lies beyond; 0 asks for the greatest.
fn beyond_share(sorted: &[f64], beyond: usize) -> f64 {
    let from_end = sorted.len().checked_div(beyond).unwrap_or(0);
    let place = sorted.len().saturating_sub(1 + from_end);
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// The core's limiter: an arriving token is registered, then asks.
fn limiter(tokens: usize) -> Subject {
    let mut limiter = boxed(policy(), tokens);
    let key = hash_key();
    Subject::alone("Limiter, register and check", TOKEN, "", move |steps| {
        each(steps, |step| {
            let (token, now) = (key.token(step.token.as_bytes()), clock::now());
            let _ = black_box(limiter.register(token, registration(step), now));
            black_box(&limiter.check(&Request::new(token, Method::Get), now));
        });
    })
}

fn for_all_cores(tokens: usize) -> Subject {
    let limiter = concurrent(policy(), tokens);
    let key = hash_key();
    Subject::shared("Concurrent, register and check", TOKEN, "", move |steps| {
        each(steps, |step| {
            let (token, now) = (key.token(step.token.as_bytes()), clock::now());
            let _ = black_box(limiter.register(token, registration(step), now));
            black_box(&limiter.check(&Request::new(token, Method::Get), now));
        });
    })
}

fn nothing() -> Subject {
    Subject::alone("nothing", ID, "everything", |_| {})
}

/// Names, and one of how many lies beyond.
pub const PERCENTILES: [(&str, usize); 5] = [
    ("p50", 2),
    ("p99", 100),
    ("p99.9", 1_000),
    ("p99.99", 10_000),
    ("longest", 0),
];

const TOKENS: u32 = 1_000_000;
const GROUP: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_value_that_one_of_so_many_lies_beyond() {
        let sorted: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let values = PERCENTILES.map(|(_, beyond)| beyond_share(&sorted, beyond));
        assert!(
            values.iter().eq(&[500.0, 990.0, 999.0, 1_000.0, 1_000.0]),
            "{values:?}"
        );
    }
}
