//! What a pass came to, for a person.
//!
//! Tokens are told by the first half of their keyed hash and by the line that shows them first:
//! a summary may be passed on, the log may not (SPEC T4).

use std::fmt;
use std::time::Duration;

use limiter_core::{Reason, Statistics};

use crate::backend::Pick;
use crate::input::Reading;
use crate::tally::Tally;

/// All that is shown; write it with `{}`.
#[derive(Debug)]
pub struct Summary<'a> {
    /// What was read.
    pub reading: &'a Reading,
    /// Who decided.
    pub backend: &'a Pick,
    /// What was decided.
    pub tally: &'a Tally,
    /// The backend's own counts.
    pub statistics: Option<Statistics>,
    /// The same requests, had all callers had the plan of this name.
    pub plans: &'a [(&'a str, Tally)],
    /// How long it took.
    pub times: Times,
}

/// How long the steps took.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Reading and checking the log.
    pub read: Duration,
    /// Deciding, and writing the decisions.
    pub decided: Duration,
    /// Deciding the log once for every plan, without writing.
    pub plans: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.outcomes(f)?;
        self.table(f)?;
        self.worst(f)?;
        self.plans(f)
    }
}

impl Summary<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading {
            log,
            first_bad,
            skipped,
        } = self.reading;
        let requests = self.tally.requests();
        writeln!(
            f,
            "{} of {} and {}, decided by `{}`",
            count(requests, "request"),
            count(log.tokens().len() as u64, "token"),
            count(log.users() as u64, "user"),
            self.backend,
        )?;
        if let Some(bad) = first_bad {
            writeln!(
                f,
                "{} left out; the first: {bad}",
                count(*skipped, "bad line")
            )?;
        }
        let Times {
            read,
            decided,
            plans,
        } = self.times;
        writeln!(
            f,
            "read in {read:.3?}, decided and written in {decided:.3?}: {} decisions/s",
            per_second(requests, decided),
        )?;
        if !self.plans.is_empty() {
            let passes = requests * self.plans.len() as u64;
            let rate = per_second(passes, plans);
            writeln!(f, "(without writing, by `core`: {rate} decisions/s)")?;
        }
        Ok(())
    }

    fn outcomes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.tally.requests();
        let mut line = |word: &str, requests: u64| {
            let number = grouped(requests);
            writeln!(f, "  {word:<20}{number:>14}{:>9}", share(requests, all))
        };
        line("admitted", self.tally.admitted)?;
        if self.tally.exempt > 0 {
            line("exempt", self.tally.exempt)?;
        }
        line("refused", self.tally.refused_in_all())?;
        for (reason, requests) in self.tally.refused().filter(|&(_, requests)| requests > 0) {
            line(&format!("  {reason}"), requests)?;
        }
        Ok(())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(table) = &self.statistics else {
            return Ok(());
        };
        writeln!(
            f,
            "table: {} and {} at the end, {} and {} evicted, {} at most to find a token",
            count(table.tokens.into(), "token"),
            count(table.users.into(), "user"),
            grouped(table.evicted_tokens),
            grouped(table.evicted_users),
            count(table.longest_probe.into(), "row"),
        )
    }

    fn worst(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.tally.worst(WORST);
        if worst.is_empty() {
            return Ok(());
        }
        writeln!(f, "refused most often:")?;
        for (place, tally) in worst {
            let token = self.reading.log.tokens()[place];
            writeln!(
                f,
                "  token {:08x}…, first in line {}: {} of {}",
                token.id.as_u64() >> 32,
                token.first_line,
                grouped(tally.refused),
                count(tally.requests, "request"),
            )?;
        }
        Ok(())
    }

    fn plans(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plans.is_empty() {
            return Ok(());
        }
        writeln!(f, "if all callers had one plan:")?;
        for (name, tally) in self.plans {
            let reasons = Reasons(tally);
            let refused = grouped(tally.refused_in_all());
            let share = share(tally.refused_in_all(), tally.requests());
            writeln!(f, "  {name:<20}{refused:>14}{share:>9} refused{reasons}")?;
        }
        Ok(())
    }
}

/// ` (3 window, 1 daily)`, or nothing if nothing was refused.
struct Reasons<'a>(&'a Tally);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<(Reason, u64)> = self.0.refused().filter(|&(_, count)| count > 0).collect();
        for (i, (reason, count)) in some.iter().enumerate() {
            let before = if i == 0 { " (" } else { ", " };
            write!(f, "{before}{} {reason}", grouped(*count))?;
        }
        f.write_str(if some.is_empty() { "" } else { ")" })
    }
}

/// `1 request`, `12 345 requests`.
fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// `12 345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Percent with one digit, rounded down; a dash of nothing.
fn share(part: u64, whole: u64) -> String {
    match (u128::from(part) * 1_000).checked_div(whole.into()) {
        Some(thousandths) => format!("{}.{} %", thousandths / 10, thousandths % 10),
        None => "-".to_owned(),
    }
}

fn per_second(number: u64, time: Duration) -> String {
    let rate = (u128::from(number) * 1_000_000_000).checked_div(time.as_nanos());
    rate.and_then(|rate| u64::try_from(rate).ok())
        .map_or_else(|| "-".to_owned(), grouped)
}

/// How many tokens are told.
const WORST: usize = 5;

#[cfg(test)]
mod tests;
