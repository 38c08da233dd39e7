//! One key: what a decision costs where nothing has to be looked for.

use crate::measure::{Effort, Subject, table};
use crate::report::Row;
use crate::steps::{Step, Walk, walk};
use crate::subjects::single::{Answer, real_clock, time_given};

/// Admitted and refused, time given and read.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    let steps = walk(1, Walk::Uniform, effort.stretch);
    let mut rows = Vec::new();
    for answer in [Answer::Admitted, Answer::Refused] {
        let mut add = |clock: &str, mut subjects: Vec<Subject>| {
            let work = format!("one key, {}, {clock}", answer.name());
            rows.extend(run(&work, &mut subjects, &steps, effort));
        };
        add("time given", time_given(answer));
        add("real clock", real_clock(answer));
    }
    rows
}

/// The work that is shown first.
pub const GIVEN: &str = "one key, admitted, time given";

fn run(work: &str, subjects: &mut [Subject], steps: &[Step], effort: Effort) -> Vec<Row> {
    // The first is what the others are compared with. Refusing begins when the one permit is gone.
    for subject in &mut *subjects {
        subject.run(steps.get(..2).unwrap_or(steps));
    }
    table(work, subjects, steps, steps.len(), effort.rounds, 0)
}
