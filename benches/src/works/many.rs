//! Many tokens: reads beside keyed peers, and writes, which count daily, beside two of them.

use crate::measure::{Effort, Subject, table};
use crate::report::Row;
use crate::steps::{Step, Walk, step, walk};
use crate::subjects::ours::Ours;
use crate::subjects::{by_hand, governors, others};
use limiter_core::Method;

/// Reads of 1 000, 100 000 and 1 000 000 tokens, uniform and zipf, and writes, uniform.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    SIZES
        .iter()
        .flat_map(|&tokens| of_size(tokens, effort))
        .collect()
}

/// The name of the work of so many tokens.
#[must_use]
pub fn read(tokens: u32, how: Walk) -> String {
    format!("read, {tokens} tokens, {}", how.name())
}

/// The name of the work of so many tokens.
#[must_use]
pub fn write(tokens: u32) -> String {
    format!("write, {tokens} tokens, uniform")
}

/// Those that read: what rows are compared with comes first.
#[must_use]
pub fn readers(ours: &Ours, population: &[Step]) -> Vec<Subject> {
    let mut peers = governors::keyed();
    peers.extend(others::keyed(population.len()));
    peers.push(by_hand::dashmap());
    peers.push(by_hand::mutex_hashmap());
    for peer in &mut peers {
        // Each token is known before time is taken.
        peer.run(population);
    }
    peers.extend(ours.subjects(Method::Get));
    peers
}

/// Those that write: what rows are compared with comes first.
#[must_use]
pub fn writers(ours: &Ours, population: &[Step]) -> Vec<Subject> {
    let mut two = governors::two();
    two.run(population);
    let mut subjects = vec![two];
    subjects.extend(ours.subjects(Method::Post));
    subjects
}

fn of_size(tokens: u32, effort: Effort) -> Vec<Row> {
    let population: Vec<Step> = (0..tokens).map(step).collect();
    let ours = Ours::new(&population);
    let mut rows = Vec::new();
    let length = if tokens > 100_000 { 1 << 20 } else { 1 << 18 };
    let stretch = if tokens > 10_000 {
        effort.stretch / 2
    } else {
        effort.stretch
    };
    let mut writers = writers(&ours, &population);
    let mut readers = readers(&ours, &population);
    drop(population);
    for how in [Walk::Uniform, Walk::Zipf] {
        let steps = walk(tokens, how, if effort.quick { length / 2 } else { length });
        let work = read(tokens, how);
        rows.extend(table(
            &work,
            &mut readers,
            &steps,
            stretch,
            effort.rounds,
            0,
        ));
        if how == Walk::Uniform {
            let work = write(tokens);
            rows.extend(table(
                &work,
                &mut writers,
                &steps,
                stretch,
                effort.rounds,
                0,
            ));
        }
        eprintln!("  {tokens} tokens, {}", how.name());
    }
    ours.expect_all_admitted();
    rows
}

/// How many tokens there are.
pub const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
