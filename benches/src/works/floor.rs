//! The floor: what no limiter can do without. A hash, a load that misses the caches, a clock.

use crate::clock;
use crate::measure::{Effort, Stopwatch, Subject, table};
use crate::report::Row;
use crate::steps::{Random, Walk, hash_key, walk};
use limiter_host::SystemClock;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::SystemTime;

/// Each alone.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    let steps = walk(1_000, Walk::Uniform, effort.stretch);
    let mut subjects = hashes();
    subjects.extend(clocks());
    subjects.extend(loads());
    table(WORK, &mut subjects, &steps, steps.len(), effort.rounds, 0)
}

fn hashes() -> Vec<Subject> {
    let key = black_box(hash_key());
    let (std, fold) = (RandomState::new(), foldhash::fast::RandomState::default());
    vec![
        Subject::alone("HashKey::token", "40 bytes", "", move |steps| {
            for step in steps {
                black_box(key.token(step.token.as_bytes()));
            }
        }),
        Subject::alone("std's hasher", "40 bytes", "", move |steps| {
            for step in steps {
                black_box(std.hash_one(step.token.as_str()));
            }
        }),
        Subject::alone(
            "foldhash",
            "40 bytes",
            "no protection against a caller who can watch times",
            move |steps| {
                for step in steps {
                    black_box(fold.hash_one(step.token.as_str()));
                }
            },
        ),
    ]
}

#[allow(
    clippy::disallowed_methods,
    reason = "what is measured is reading the clock"
)]
fn clocks() -> Vec<Subject> {
    let system = SystemClock::new();
    let quanta = quanta::Clock::new();
    let read = |name: &str, mut read: Box<dyn FnMut(usize)>| {
        Subject::alone(name, "", "", move |steps| read(steps.len()))
    };
    vec![
        read(
            "Instant::now",
            Box::new(|count| {
                for _ in 0..count {
                    black_box(std::time::Instant::now());
                }
            }),
        ),
        read(
            "SystemTime::now",
            Box::new(|count| {
                for _ in 0..count {
                    black_box(SystemTime::now());
                }
            }),
        ),
        read(
            "SystemClock::now, monotonic and UTC",
            Box::new(move |count| {
                for _ in 0..count {
                    black_box(system.now());
                }
            }),
        ),
        read(
            "quanta::Clock::now",
            Box::new(move |count| {
                for _ in 0..count {
                    black_box(quanta.now());
                }
            }),
        ),
        read(
            "the virtual clock",
            Box::new(|count| {
                for _ in 0..count {
                    black_box(clock::now());
                }
            }),
        ),
    ]
}

/// Loads from 64 MiB: each address known only by the load before, or all known at once.
fn loads() -> Vec<Subject> {
    const LINES: u32 = 1 << 20;
    let mut chain: Vec<[u32; 16]> = (0..LINES).map(|n| [n; 16]).collect();
    // Sattolo's shuffle: one cycle through all lines.
    let mut random = Random(7);
    for last in (1..LINES).rev() {
        chain.swap(last as usize, random.below(last) as usize);
    }
    let chain = std::sync::Arc::new(chain);
    let (dependent, independent) = (std::sync::Arc::clone(&chain), chain);
    vec![
        Subject::alone(
            "a load that misses, waited for",
            "64 MiB",
            "",
            move |steps| {
                let mut line = 0;
                for _ in steps {
                    line = dependent.get(line as usize).map_or(0, |line| line[0]);
                }
                black_box(line);
            },
        ),
        Subject::alone(
            "loads that miss, many at once",
            "64 MiB",
            "",
            move |steps| {
                let mut random = Random(u64::from(Stopwatch::start().elapsed().subsec_nanos()) + 1);
                let mut sum = 0_u32;
                for _ in steps {
                    let line = independent.get(random.below(LINES) as usize);
                    sum = sum.wrapping_add(line.map_or(0, |line| line[0]));
                }
                black_box(sum);
            },
        ),
    ]
}

/// The name of this work.
pub const WORK: &str = "the floor";
