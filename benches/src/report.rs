//! What a run says: rows, and which aims they meet. `summary.json` holds all of it; the tables and
//! plots are made from that file and from nothing else.

pub mod aims;
pub mod machine;
pub mod markdown;
pub mod page;
pub mod plots;

use crate::measure::{Subject, percentile};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One figure: a subject at a work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was done.
    pub work: String,
    /// Who did it.
    pub subject: String,
    /// What it was told of each request.
    pub form: String,
    /// What it does less than the limiter does; empty for nothing.
    pub lacks: String,
    /// Of the figures below: `ns`, `B`, `instructions`, `times`, `admitted`.
    pub unit: String,
    /// The middle one of all rounds; the one figure where there are no rounds.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// A quarter is below.
    pub p25: f64,
    /// A quarter is above.
    pub p75: f64,
    /// The median of the ratios to what the work compares with, round by round.
    pub ratio: Option<f64>,
}

impl Row {
    /// Of a figure for each round and its ratio.
    #[must_use]
    pub fn of_times(work: &str, subject: &Subject, times: &[f64], ratios: &[f64]) -> Self {
        let mut row = Self::of_value(work, subject, "ns", 0.0).with_values(work, "ns", times);
        row.ratio = (!ratios.is_empty()).then(|| percentile(ratios, 50));
        row
    }

    /// Of one figure.
    #[must_use]
    pub fn of_value(work: &str, subject: &Subject, unit: &str, value: f64) -> Self {
        Self {
            work: work.to_owned(),
            subject: subject.name.clone(),
            form: subject.form.to_owned(),
            lacks: subject.lacks.to_owned(),
            unit: unit.to_owned(),
            median: value,
            min: value,
            p25: value,
            p75: value,
            ratio: None,
        }
    }

    /// The same subject with other figures.
    #[must_use]
    pub fn with_values(&self, work: &str, unit: &str, values: &[f64]) -> Self {
        Self {
            work: work.to_owned(),
            unit: unit.to_owned(),
            median: percentile(values, 50),
            min: percentile(values, 0),
            p25: percentile(values, 25),
            p75: percentile(values, 75),
            ratio: None,
            ..self.clone()
        }
    }
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Where and when, and of what.
    pub machine: machine::Machine,
    /// Whether this was the small run.
    pub quick: bool,
    /// All figures.
    pub rows: Vec<Row>,
    /// What was hoped for, and what came of it.
    pub aims: Vec<aims::Aim>,
}

impl Summary {
    /// The first row of a work whose subject and form these are.
    #[must_use]
    pub fn row(&self, work: &str, subject: &str, form: &str) -> Option<&Row> {
        find(&self.rows, work, subject, form)
    }

    /// Works in the order in which they were done.
    #[must_use]
    pub fn works(&self) -> Vec<&str> {
        let mut works: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !works.contains(&row.work.as_str()) {
                works.push(&row.work);
            }
        }
        works
    }
}

/// See [`Summary::row`].
#[must_use]
pub fn find<'a>(rows: &'a [Row], work: &str, subject: &str, form: &str) -> Option<&'a Row> {
    rows.iter()
        .find(|row| row.work == work && row.subject == subject && row.form == form)
}

/// The folder of this package.
#[must_use]
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where runs leave what they found: `target/bench`.
#[must_use]
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| package().join("../target"))
        .join("bench")
}
