//! From bytes to a [`Log`]: all lines are read and checked before the first is decided, so that a
//! bad line ends the replay with nothing written.

pub mod clf;
mod lines;
mod trace;

use std::borrow::Cow;
use std::io::{self, BufRead};

use limiter_core::{HashKey, Plan};
use limiter_host::config::Plans;

use self::lines::{Lines, Piece};
use crate::log::{Log, Record};

/// How the lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line (SPEC 11)
    Trace,
    /// An Apache or nginx access log, common or combined
    Clf,
}

/// Reads lines into a log.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// How the lines are written.
    pub format: Format,
    /// Under which tokens and users are hashed.
    pub key: &'a HashKey,
    /// The plans that the lines may name.
    pub plans: &'a Plans,
    /// The plan of all callers, whatever the lines say.
    pub plan: Option<Plan>,
    /// Whether a bad line is left out instead of ending the reading.
    pub skip_bad: bool,
}

/// What reading came to.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The good lines.
    pub log: Log,
    /// The first bad line, of those that were left out.
    pub first_bad: Option<BadLine>,
    /// How many lines were left out.
    pub skipped: u64,
}

impl Reader<'_> {
    /// Reads to the end. `progress` is told the number of bytes now and then.
    ///
    /// # Errors
    /// The first bad line, unless such lines are skipped; or that the source cannot be read.
    pub fn read(
        &self,
        source: impl BufRead,
        mut progress: impl FnMut(u64),
    ) -> Result<Reading, ReadError> {
        let mut reading = Reading {
            log: Log::default(),
            first_bad: None,
            skipped: 0,
        };
        let mut lines = Lines::new(source);
        let mut number = 0;
        while let Some(piece) = lines.next()? {
            number += 1;
            match self.line(&piece) {
                Ok(record) => reading.log.push(number, &record),
                Err(wrong) => {
                    let bad = BadLine {
                        line: number,
                        wrong,
                    };
                    if !self.skip_bad {
                        return Err(bad.into());
                    }
                    reading.skipped += 1;
                    reading.first_bad.get_or_insert(bad);
                }
            }
            if number % LINES_BETWEEN_NEWS == 0 {
                progress(lines.bytes());
            }
        }
        Ok(reading)
    }

    fn line(&self, piece: &Piece<'_>) -> Result<Record, Wrong> {
        let line = match piece {
            Piece::Line(line) => line,
            Piece::TooLong => {
                let what = format!("is longer than {} bytes", lines::MAX_BYTES);
                return Err(Wrong::new("line", what));
            }
        };
        let plan = |word: &str| {
            let plan = self.plan.or_else(|| self.plans.find(word));
            plan.ok_or_else(|| Wrong::new("plan", format!("is `{word}`, not in the policy")))
        };
        match self.format {
            Format::Trace => trace::record(line, self.key, plan),
            Format::Clf => clf::record(line, self.key, plan),
        }
    }
}

/// Why no log could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A line is not in the format.
    #[error(transparent)]
    Bad(#[from] BadLine),
    /// The source gave an error.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A line that is not in the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {wrong}")]
pub struct BadLine {
    /// Its number, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a line; never any text of it, which may be a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {what}")]
pub struct Wrong {
    /// The field, or `line`.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub what: Cow<'static, str>,
}

impl Wrong {
    pub(crate) fn new(
        field: impl Into<Cow<'static, str>>,
        what: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            what: what.into(),
        }
    }
}

/// Progress is told once in so many lines.
const LINES_BETWEEN_NEWS: u64 = 4096;

#[cfg(test)]
mod tests;
