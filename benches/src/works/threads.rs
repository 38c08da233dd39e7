//! Two threads: who gains by the second, and who loses.

use super::many::readers;
use crate::measure::{Effort, Shared, Stopwatch, Subject, interleave, per};
use crate::report::Row;
use crate::steps::{Step, Walk, step, walk};
use crate::subjects::ours::Ours;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One hot token, tokens of each thread's own, and zipf.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    let population: Vec<Step> = (0..TOKENS).map(step).collect();
    let ours = Ours::new(&population);
    let mut subjects = readers(&ours, &population);
    subjects.retain(|subject| subject.as_shared().is_some());
    let length = effort.stretch;
    let hot = vec![step(0); length];
    let (even, odd) = evens_and_odds(&walk(TOKENS, Walk::Uniform, 2 * length));
    let zipf = walk(TOKENS, Walk::Zipf, 2 * length);
    let (one, other) = zipf.split_at(length);
    let works = [
        (HOT, hot.as_slice(), hot.as_slice()),
        (DISTINCT, &even, &odd),
        (ZIPF, one, other),
    ];
    works
        .into_iter()
        .flat_map(|(work, one, other)| run(work, &mut subjects, one, other, effort))
        .collect()
}

/// Time a decision with two threads at it, and how many times one thread's decisions that are.
fn run(
    work: &str,
    subjects: &mut [Subject],
    one: &[Step],
    other: &[Step],
    effort: Effort,
) -> Vec<Row> {
    let mut gains = BTreeMap::<String, Vec<f64>>::new();
    let mut rows = interleave(work, subjects, effort.rounds, 0, |subject, round| {
        let length = one.len().min(other.len()) / subject.one_of;
        let (one, other) = (one.get(..length), other.get(..length));
        let (Some(run), Some(one), Some(other)) = (subject.as_shared(), one, other) else {
            return f64::NAN;
        };
        let begun = Stopwatch::start();
        run(one);
        let alone = per(begun.elapsed(), length);
        let together = per(both(run, one, other), 2 * length);
        if round > 0 {
            let gains = gains.entry(id(&subject.name, subject.form)).or_default();
            gains.push(alone / together);
        }
        together
    });
    let faster: Vec<Row> = rows
        .iter()
        .filter_map(|row| {
            let gains = gains.get(&id(&row.subject, &row.form))?;
            Some(row.with_values(&format!("{work}: {GAIN}"), "times", gains))
        })
        .collect();
    rows.extend(faster);
    rows
}

fn id(subject: &str, form: &str) -> String {
    format!("{subject}/{form}")
}

/// How long it takes until both threads are done, from when both are ready.
fn both(run: &Shared, one: &[Step], other: &[Step]) -> Duration {
    let ready = AtomicU32::new(0);
    let timed = |steps: &[Step]| {
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < 2 {
            std::hint::spin_loop();
        }
        let begun = Stopwatch::start();
        run(steps);
        begun.elapsed()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| timed(other));
        let first = timed(one);
        second
            .join()
            .map_or(Duration::MAX, |second| first.max(second))
    })
}

/// Steps of tokens that only one of two threads asks for.
fn evens_and_odds(steps: &[Step]) -> (Vec<Step>, Vec<Step>) {
    steps
        .iter()
        .cloned()
        .partition(|step| step.id.as_u64() % 2 == 0)
}

/// Works of two threads.
pub const HOT: &str = "two threads, one hot token";
/// Works of two threads.
pub const DISTINCT: &str = "two threads, tokens of their own";
/// Works of two threads.
pub const ZIPF: &str = "two threads, 100 000 tokens, zipf";
/// What is appended to the name of a work for the gain by the second thread.
pub const GAIN: &str = "decisions of two threads for one of one thread";

const TOKENS: u32 = 100_000;
