//! What was hoped for before it was built, and whether it was reached. All are ratios within one
//! run, so that they do not depend on the machine much.

use super::{Row, find};
use crate::steps::Walk;
use crate::subjects::governors::{BASE, TWO};
use crate::subjects::{ID, TOKEN};
use crate::works::many::{read, write};
use crate::works::memory::{RESIDENT, work as memory};
use crate::works::{arrivals, threads, turnover};
use serde::{Deserialize, Serialize};

/// One aim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aim {
    /// The work, and who of us does it.
    pub name: String,
    /// What was hoped for.
    pub aim: String,
    /// What was measured; none if the run left it out.
    pub value: Option<f64>,
    /// Whether that is what was hoped for.
    pub met: bool,
}

/// Judges the rows of a run.
#[must_use]
pub fn judge(rows: &[Row]) -> Vec<Aim> {
    let mut judge = Judge {
        rows,
        aims: Vec::new(),
    };
    judge.times();
    judge.writes_and_ids();
    judge.arrivals();
    judge.turnover();
    judge.memory();
    judge.instructions();
    judge.threads();
    judge.aims
}

struct Judge<'a> {
    rows: &'a [Row],
    aims: Vec<Aim>,
}

impl Judge<'_> {
    fn times(&mut self) {
        for (tokens, most) in [(1_000, 0.60), (100_000, 0.25), (1_000_000, 0.35)] {
            let work = read(tokens, Walk::Uniform);
            for subject in ["Limiter", "Concurrent"] {
                self.at_most(&work, subject, TOKEN, (BASE, TOKEN), most);
            }
        }
        let work = read(1_000_000, Walk::Uniform);
        self.at_most(&work, "Concurrent, check_many", TOKEN, (BASE, TOKEN), 0.15);
    }

    fn writes_and_ids(&mut self) {
        for subject in ["Limiter", "Concurrent"] {
            self.at_most(&write(1_000), subject, TOKEN, (TWO, TOKEN), 0.33);
            let reads = read(1_000, Walk::Uniform);
            self.at_most(&reads, subject, ID, (BASE, TOKEN), 0.22);
            self.at_most(&write(1_000), subject, ID, (TWO, TOKEN), 0.14);
        }
    }

    fn arrivals(&mut self) {
        for subject in ["Limiter", "Concurrent"] {
            let subject = format!("{subject}, register and check");
            for (percentile, most) in [("p99.99", 0.15), ("longest", 0.02)] {
                let work = arrivals::work(percentile);
                self.at_most(&work, &subject, TOKEN, (BASE, TOKEN), most);
            }
        }
    }

    fn turnover(&mut self) {
        for occupancy in turnover::OCCUPANCIES {
            for subject in ["Limiter", "Concurrent"] {
                let work = turnover::work(turnover::HIT, occupancy);
                self.at_most(&work, subject, ID, (turnover::DASHMAP, TOKEN), 1.0);
            }
            let work = turnover::work(turnover::PROBE, occupancy);
            let value = find(self.rows, &work, "Concurrent", ID).map(|row| row.median);
            self.add(
                format!("{work}: Concurrent"),
                "at most 512".to_owned(),
                value,
                |value| value <= 512.0,
            );
        }
    }

    fn memory(&mut self) {
        for subject in ["Limiter", "Concurrent"] {
            let subject = format!("{subject}, register and check");
            let work = memory(RESIDENT, 1_000_000);
            self.at_most(&work, &subject, TOKEN, (BASE, TOKEN), 0.45);
        }
    }

    fn instructions(&mut self) {
        for (work, form, most) in [
            ("read", ID, 90.0),
            ("write", ID, 120.0),
            ("read", TOKEN, 265.0),
            ("write", TOKEN, 290.0),
        ] {
            let work = format!("instructions, {work}");
            let value = find(self.rows, &work, "Limiter", form).map(|row| row.median);
            self.add(
                format!("{work}, {form}: Limiter"),
                format!("at most {most}"),
                value,
                |value| value <= most,
            );
        }
    }

    fn threads(&mut self) {
        let gain = format!("{}: {}", threads::ZIPF, threads::GAIN);
        let value = find(self.rows, &gain, "Concurrent", TOKEN).map(|row| row.median);
        let name = format!("{gain}: Concurrent");
        self.add(name, "at least 1.7".to_owned(), value, |value| value >= 1.7);
        self.at_most(threads::HOT, "Concurrent", TOKEN, (BASE, TOKEN), 1.0);
    }

    /// The ratio of one row to another of the same work, or of a work that has the same tokens.
    fn at_most(&mut self, work: &str, subject: &str, form: &str, base: (&str, &str), most: f64) {
        let row = find(self.rows, work, subject, form);
        // Ratios are to the first row of a work, which is what the aim is about.
        let based = find(self.rows, work, base.0, base.1).is_some();
        let value = row.filter(|_| based).and_then(|row| row.ratio);
        let name = format!("{work}, {form}: {subject}");
        self.add(
            name,
            format!("at most {most:.2} of {}", base.0),
            value,
            |value| value <= most,
        );
    }

    fn add(&mut self, name: String, aim: String, value: Option<f64>, met: impl Fn(f64) -> bool) {
        self.aims.push(Aim {
            name,
            aim,
            value,
            met: value.is_some_and(met),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Subject;

    fn row(work: &str, name: &str, ratio: f64) -> Row {
        let subject = Subject::alone(name, TOKEN, "", |_| {});
        Row::of_times(work, &subject, &[10.0], &[ratio])
    }

    #[test]
    fn an_aim_is_met_up_to_its_figure_and_not_beyond_it() {
        let work = read(1_000, Walk::Uniform);
        for (ratio, met) in [(0.60, true), (0.61, false)] {
            let aims = judge(&[row(&work, BASE, 1.0), row(&work, "Limiter", ratio)]);
            assert_eq!(aims[0].name, "read, 1000 tokens, uniform, token: Limiter");
            assert_eq!((aims[0].value, aims[0].met), (Some(ratio), met));
        }
    }

    #[test]
    fn an_aim_that_was_not_measured_is_not_met() {
        let aims = judge(&[]);
        assert!(aims.len() > 20);
        assert!(aims.iter().all(|aim| aim.value.is_none() && !aim.met));
    }
}
