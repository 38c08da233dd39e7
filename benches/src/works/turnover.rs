//! Tokens that are replaced by new ones, generation after generation, as access tokens are: what a
//! look-up and a newcomer cost in a table that has been through it. A share of the rows is in use;
//! the others are those of tokens that nobody revoked.

use crate::clock;
use crate::measure::{Effort, Stopwatch, Subject, per};
use crate::report::Row;
use crate::steps::{Random, Step, step};
use crate::subjects::ours::{policy, registration};
use crate::subjects::{ID, TOKEN, by_hand, governors};
use limiter_core::{LimiterIn, Method, Reason, Request, Statistics, TokenRow, UserRow};
use limiter_host::Concurrent;
use limiter_host::decide::BoxedLimiter;
use std::hint::black_box;

/// A table to be turned over.
trait Table {
    /// The token asks; one that is not known is registered first.
    fn ask(&mut self, step: &Step);

    /// A token that is not known asks; no, if that cannot be told from one that is.
    fn miss(&mut self, _: &Step) -> bool {
        false
    }

    /// Lets go of tokens that have not asked for long, where that is for the user to do.
    fn clean(&mut self) {}

    /// The table's own statistics.
    fn statistics(&self) -> Option<Statistics> {
        None
    }
}

type Contestant = (&'static str, &'static str, fn(usize) -> Box<dyn Table>);

/// The base of the ratios comes first.
const CONTESTANTS: [Contestant; 5] = [
    (DASHMAP, "no day, block or reset", |_| {
        Box::new(governors::Kept::dashmap())
    }),
    (
        "governor hashmap, StateInformationMiddleware, retain_recent",
        "no day, block or reset",
        |_| Box::new(governors::Kept::hashmap()),
    ),
    ("by hand: Mutex<HashMap>, retain", "no day or block", |_| {
        Box::new(by_hand::Kept::default())
    }),
    ("Limiter", "", |rows| Box::new(limiter(rows))),
    ("Concurrent", "", |rows| {
        Box::new(Concurrent::new(policy(), rows, rows))
    }),
];

/// The name of the base of the ratios.
pub const DASHMAP: &str = "governor dashmap, StateInformationMiddleware, retain_recent";

/// Nanoseconds of a look-up that finds, of one that does not, and of newcomers, and the longest
/// probe, at each occupancy.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    let rows = if effort.quick { 10_000 } else { ROWS };
    let mut all = Vec::new();
    for occupancy in OCCUPANCIES {
        let mut works = vec![Vec::new(); WHAT.len()];
        for (name, lacks, make) in CONTESTANTS {
            let subject = Subject::alone(
                name,
                if lacks.is_empty() { ID } else { TOKEN },
                lacks,
                |_| {},
            );
            let measured = turn_over(&mut *make(rows), rows, occupancy, effort);
            eprintln!("  {occupancy} %: {name}");
            for ((work, value), (what, unit)) in works.iter_mut().zip(measured).zip(WHAT) {
                if let Some(value) = value {
                    work.push(Row::of_value(
                        &self::work(what, occupancy),
                        &subject,
                        unit,
                        value,
                    ));
                }
            }
        }
        for work in &mut works {
            // What peers do not tell is compared with nothing.
            let base = work.first().filter(|row| row.subject == DASHMAP);
            if let Some(base) = base.map(|row| row.median) {
                for row in work {
                    row.ratio = Some(row.median / base);
                }
            }
        }
        all.extend(works.into_iter().flatten());
    }
    all
}

/// The name of a work.
#[must_use]
pub fn work(what: &str, occupancy: u32) -> String {
    format!("turnover, {occupancy} % in use: {what}")
}

/// The figures, and their units.
const WHAT: [(&str, &str); 5] = [
    (HIT, "ns"),
    (MISS, "ns"),
    (NEWCOMER, "ns"),
    (SLOWEST, "ns"),
    (PROBE, "rows"),
];
/// A token that is known.
pub const HIT: &str = "look-up";
/// A token that is not.
pub const MISS: &str = "look-up of an unknown token";
/// A token that is registered.
pub const NEWCOMER: &str = "newcomer";
/// The same, the slowest of ten thousand.
pub const SLOWEST: &str = "newcomer, p99.99";
/// Of any token.
pub const PROBE: &str = "longest probe";

/// Tokens in use, in percent of the rows.
pub const OCCUPANCIES: [u32; 3] = [50, 90, 100];

/// Turns a table over, and measures the last generation of newcomers, and look-ups after it.
fn turn_over(
    table: &mut dyn Table,
    rows: usize,
    occupancy: u32,
    effort: Effort,
) -> [Option<f64>; WHAT.len()] {
    let in_use = rows * occupancy as usize / 100;
    let mut tokens: Vec<Step> = Vec::with_capacity(in_use);
    let mut random = Random(u64::from(occupancy));
    let mut next = 0;
    let mut newcomers = Vec::new();
    for _ in 0..=GENERATIONS {
        newcomers.clear();
        for place in 0..in_use {
            // A window's length passes while half of the rows' number of tokens come.
            if place % (rows / 1_000).max(1) == 0 {
                clock::advance();
            }
            let newcomer = step(next);
            next += 1;
            let begun = Stopwatch::start();
            table.ask(&newcomer);
            newcomers.push(per(begun.elapsed(), 1));
            match tokens.get_mut(place) {
                Some(old) => *old = newcomer,
                None => tokens.push(newcomer),
            }
            for _ in 0..2 {
                if let Some(token) = pick(&tokens, &mut random) {
                    table.ask(token);
                }
            }
        }
        table.clean();
    }
    newcomers.sort_by(f64::total_cmp);
    let at = |beyond: usize| {
        let place = newcomers.len().saturating_sub(1 + newcomers.len() / beyond);
        newcomers.get(place).copied()
    };
    let known: Vec<Step> = (0..effort.stretch)
        .filter_map(|_| pick(&tokens, &mut random).cloned())
        .collect();
    for step in &known {
        table.ask(step); // Those that went for newcomers come back.
    }
    let begun = Stopwatch::start();
    known.iter().for_each(|step| table.ask(step));
    let hit = per(begun.elapsed(), known.len());
    let unknown: Vec<Step> = (0..1 << 12).map(|n| step(u32::MAX - n)).collect();
    let begun = Stopwatch::start();
    let tells = unknown.iter().all(|step| table.miss(step));
    let miss = per(begun.elapsed(), unknown.len());
    [
        Some(hit),
        tells.then_some(miss),
        at(2),
        at(10_000),
        table
            .statistics()
            .map(|table| f64::from(table.longest_probe)),
    ]
}

fn pick<'a>(tokens: &'a [Step], random: &mut Random) -> Option<&'a Step> {
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    tokens.get(random.below(count) as usize)
}

fn limiter(rows: usize) -> BoxedLimiter {
    let tokens = vec![TokenRow::VACANT; rows].into_boxed_slice();
    LimiterIn::with_rows(
        policy(),
        tokens,
        vec![UserRow::VACANT; rows].into_boxed_slice(),
    )
}

/// Both of ours: the id is given, as is the peers' key.
macro_rules! ours {
    ($limiter:ty) => {
        impl Table for $limiter {
            fn ask(&mut self, step: &Step) {
                let (request, now) = (Request::new(step.id, Method::Get), clock::now());
                if self.check(&request, now).reason() == Some(Reason::Unauthenticated) {
                    let _ = black_box(self.register(step.id, registration(step), now));
                    black_box(&self.check(&request, now));
                }
            }

            fn miss(&mut self, step: &Step) -> bool {
                let request = Request::new(step.id, Method::Get);
                self.check(&request, clock::now()).reason() == Some(Reason::Unauthenticated)
            }

            fn statistics(&self) -> Option<Statistics> {
                Some(self.statistics())
            }
        }
    };
}

ours!(BoxedLimiter);
ours!(Concurrent);

impl<S> Table for governors::Kept<S>
where
    S: governors::Shrinks,
{
    fn ask(&mut self, step: &Step) {
        self.check(step);
    }

    fn clean(&mut self) {
        self.shrink();
    }
}

impl Table for by_hand::Kept {
    fn ask(&mut self, step: &Step) {
        self.check(step);
    }

    fn clean(&mut self) {
        self.shrink();
    }
}

const ROWS: usize = 40_000;
const GENERATIONS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_goes_through_the_generations() {
        let effort = Effort {
            rounds: 1,
            stretch: 100,
            quick: true,
        };
        for (name, _, make) in CONTESTANTS {
            let [hit, miss, .., probe] = turn_over(&mut *make(1_000), 1_000, 50, effort);
            assert!(hit.is_some_and(|ns| ns > 0.0), "{name}");
            assert_eq!(miss.is_some(), probe.is_some(), "{name}: ours tell both");
        }
    }
}
