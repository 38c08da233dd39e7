//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use limiter_core::Plan;
use limiter_model::trace::PLAN_WORDS;

use crate::backend::{BackendName, TableSize};
use crate::input::Format;

/// Replays a log through the limiter: one decision a line on standard output, a summary on standard
/// error.
///
/// The whole input is read and checked before the first decision is written. Exit code 2: a line is
/// bad, and nothing has been written; 1: something could not be read or written.
#[derive(Clone, Debug, Parser)]
#[command(name = "replay", version)]
pub struct Args {
    /// The log; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub trace: PathBuf,

    /// How the log is written
    #[arg(long, value_enum, default_value = "trace")]
    pub format: FormatName,

    /// The plan of all callers of an access log: essential (the default), advanced, professional or
    /// enterprise
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PlanName>,

    /// Who decides: core, shared or model
    #[arg(long, value_name = "NAME", default_value = "core")]
    pub backend: BackendName,

    /// Rows of the limiter's table; by default as many as the log needs and more
    #[arg(long, value_name = "TOKENS,USERS")]
    pub table: Option<TableSize>,

    /// A file of 16 bytes, the key under which tokens are hashed; by default a new one each time
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Leave bad lines out, and say how many there were
    #[arg(long)]
    pub skip_bad: bool,

    /// No summary and no progress bar
    #[arg(long)]
    pub quiet: bool,
}

impl Args {
    /// How the log is written.
    ///
    /// # Errors
    /// If a plan was given for a trace, whose lines name their own.
    pub fn format(&self) -> Result<Format, clap::Error> {
        match (self.format, self.plan) {
            (FormatName::Trace, None) => Ok(Format::Trace),
            (FormatName::Trace, Some(_)) => Err(clap::Error::raw(
                clap::error::ErrorKind::ArgumentConflict,
                "--plan is for --format clf: the lines of a trace name their plans\n",
            )),
            (FormatName::Clf, plan) => Ok(Format::Clf {
                plan: plan.map_or(Plan::ESSENTIAL, |PlanName(plan)| plan),
            }),
        }
    }
}

/// The word that picks a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// One JSON object a line (SPEC 11)
    Trace,
    /// An Apache or nginx access log, common or combined
    Clf,
}

/// A plan, picked by its word in the trace format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanName(pub Plan);

impl FromStr for PlanName {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let place = PLAN_WORDS.iter().position(|known| *known == word);
        let index = place.and_then(|place| u8::try_from(place).ok());
        index.map(|index| Self(Plan::new(index))).ok_or_else(|| {
            let words = PLAN_WORDS.join(", ");
            format!("no plan has this name; there are {words}")
        })
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PLAN_WORDS.get(usize::from(self.0.index())) {
            Some(word) => f.write_str(word),
            None => write!(f, "plan {}", self.0.index()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn args(rest: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["replay", "--trace", "-"].iter().chain(rest))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_access_log_has_one_plan_and_a_trace_none() {
        let format = |rest: &[&str]| args(rest).unwrap().format();
        assert_eq!(format(&[]).unwrap(), Format::Trace);
        let essential = Format::Clf {
            plan: Plan::ESSENTIAL,
        };
        assert_eq!(format(&["--format", "clf"]).unwrap(), essential);
        let enterprise = Format::Clf {
            plan: Plan::ENTERPRISE,
        };
        let picked = format(&["--format", "clf", "--plan", "enterprise"]);
        assert_eq!(picked.unwrap(), enterprise);
        let error = format(&["--plan", "advanced"]).unwrap_err().to_string();
        assert!(error.contains("--plan is for --format clf"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_answered_with_the_right_ones() {
        for (rest, part) in [
            (["--backend", "redis"], "core, shared, model"),
            (["--table", "5"], "TOKENS,USERS"),
            (["--format", "csv"], "trace, clf"),
            (["--plan", "gold"], "essential, advanced"),
        ] {
            let error = args(&rest).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
