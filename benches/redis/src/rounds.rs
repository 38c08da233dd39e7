//! Interleaved rounds: every subject runs for a moment, one after the other, in an order that turns.
//! So a noisy moment of the machine hits all alike, and the ratio of two within a round tells more
//! than either rate.

use crate::floor::FLOOR;
use crate::shape::{Ask, Shape, Subject};
use limiter_bench::measure::Stopwatch;
use std::sync::Arc;
use std::time::Duration;

/// How much is done.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// How long a subject runs in a round.
    pub span: Duration,
    pub quick: bool,
}

impl Effort {
    pub const FULL: Self = Self {
        rounds: 21,
        span: Duration::from_millis(120),
        quick: false,
    };

    pub const QUICK: Self = Self {
        rounds: 7,
        span: Duration::from_millis(60),
        quick: true,
    };
}

/// What came of a subject.
pub struct Row {
    pub name: String,
    pub lacks: &'static str,
    /// Decisions a second, a number for each round.
    pub rates: Vec<f64>,
    /// The same by the floor's, round by round.
    pub ratios: Vec<f64>,
    /// From the question to its answers, in microseconds, of all rounds.
    pub waits: Vec<f64>,
}

/// Runs all subjects. The first round is for warming up.
pub async fn run(subjects: &[Subject], shape: &Shape, effort: Effort) -> Vec<Row> {
    let mut rows: Vec<Row> = subjects
        .iter()
        .map(|subject| Row {
            name: subject.name.clone(),
            lacks: subject.lacks,
            rates: Vec::new(),
            ratios: Vec::new(),
            waits: Vec::new(),
        })
        .collect();
    for round in 0..=effort.rounds {
        for place in 0..subjects.len() {
            let turned = (place + round * 5) % subjects.len();
            // Every other round goes backwards, so that nobody always follows the same other.
            let index = match round % 2 {
                0 => turned,
                _ => subjects.len() - 1 - turned,
            };
            let (rate, waits) = moment(&subjects[index].asks, shape, effort.span).await;
            if round > 0 {
                rows[index].rates.push(rate);
                rows[index].waits.extend(waits);
            }
        }
    }
    let floor = rows.iter().find(|row| row.name == FLOOR);
    let floor = floor.map_or_else(Vec::new, |row| row.rates.clone());
    for row in &mut rows {
        let both = row.rates.iter().zip(&floor);
        row.ratios = both.map(|(rate, floor)| rate / floor).collect();
    }
    rows
}

/// Asks for a while; decisions a second, and how long each answer took in microseconds.
async fn moment(asks: &[Ask], shape: &Shape, span: Duration) -> (f64, Vec<f64>) {
    let begun = Stopwatch::start();
    let tasks: Vec<_> = (0..shape.tasks)
        .map(|task| {
            let ask = Arc::clone(&asks[task % asks.len()]);
            let (mut first, step) = (task * shape.batch, shape.tasks * shape.batch);
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while begun.elapsed() < span {
                    let asked = Stopwatch::start();
                    ask(first).await;
                    waits.push(asked.elapsed().as_secs_f64() * 1e6);
                    first += step;
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.expect("it does not panic"));
    }
    let elapsed = begun.elapsed();
    let decisions = u32::try_from(waits.len() * shape.batch).expect("fewer than 2^32");
    (f64::from(decisions) / elapsed.as_secs_f64(), waits)
}
