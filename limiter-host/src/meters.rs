//! The limiter's numbers through the `metrics` facade, for whatever exporter the program installs.
//!
//! | metric | kind | what it is |
//! |---|---|---|
//! | `limiter_decisions_total` by `outcome` | counter | decisions: `admitted`, `exempt`, or why refused |
//! | `limiter_decision_seconds` | histogram | how long a request waited for its decision |
//! | `limiter_table_rows`, `limiter_table_occupied` by `table` | gauge | rows there are, and that are taken: `tokens`, `users` |
//! | `limiter_longest_probe` by `table` | gauge | the most rows that one look-up visits |
//! | `limiter_evictions_total` by `table` | counter | idle rows that others took |
//! | `limiter_table_full_total` | counter | registrations that found no row |
//! | `limiter_blocked_tokens` | gauge | tokens that are blocked now |
//! | `limiter_strikes`, `limiter_users_with_strikes` | gauge | strikes that are not forgiven, and users who have any |
//! | `limiter_calendar_known` | gauge | 1 once the accounting day has a date, else 0 |
//! | `limiter_calendar_day` | gauge | that date, in days since 1970 |
//! | `limiter_calendar_refills_total` | counter | accounting days that have ended |
//! | `limiter_utc_known` | gauge | 1 while the clock knows UTC, else 0 |
//! | `limiter_lookups_total` by `outcome` | counter | look-ups of unknown tokens, and how they ended |
//!
//! No label holds a token, a user, or anything that a caller chooses.

use crate::concurrent::{Concurrent, Survey};
use limiter_core::calendar::Calendar;
use limiter_core::{Now, Outcome, Reason, Statistics};
use metrics::{Counter, Gauge, Histogram, Unit};
use std::fmt;
use std::time::Duration;

/// The metrics of one limiter.
///
/// Decisions are counted as they are made; give [`LimiterMetrics::hook`] to the layer. What the
/// tables hold is told when you ask for it, by [`LimiterMetrics::sample`], from a timer or before
/// each scrape.
///
/// ```
/// use limiter_host::core::{HashKey, Policy};
/// use limiter_host::meters::LimiterMetrics;
/// use limiter_host::{Concurrent, LimiterLayer, SharedClock};
/// use std::sync::Arc;
///
/// // Once the exporter's recorder is installed:
/// let metrics = LimiterMetrics::register();
/// let (key, clock) = (HashKey::new(*b"from the OS, say"), SharedClock::system());
/// let limiter = Arc::new(Concurrent::new(Policy::pipedrive(), 10_000, 10_000));
/// let layer = LimiterLayer::new(Arc::clone(&limiter), key, clock.clone())
///     .time_decisions(true)
///     .on_decision(metrics.hook());
/// // Every few seconds:
/// metrics.sample(&limiter, clock.now()?);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LimiterMetrics {
    /// By [`Statistics::place`].
    decisions: [Counter; Statistics::OUTCOMES],
    seconds: Histogram,
    /// Of tokens and of users.
    tables: [Table; 2],
    table_full: Counter,
    blocked: Gauge,
    strikes: Gauge,
    with_strikes: Gauge,
    day_known: Gauge,
    day: Gauge,
    refills: Counter,
    utc_known: Gauge,
}

#[derive(Clone)]
struct Table {
    rows: Gauge,
    occupied: Gauge,
    longest_probe: Gauge,
    evictions: Counter,
}

impl LimiterMetrics {
    /// Describes all metrics, each with its unit, to the recorder that is installed, and registers
    /// them there. Without a recorder nothing is recorded.
    #[must_use]
    pub fn register() -> Self {
        describe();
        let outcomes = OUTCOMES.map(|outcome| (Statistics::place(outcome), word(outcome)));
        let decisions = std::array::from_fn(|place| {
            // OK because each place is an outcome's; a test says so.
            let word = outcomes.iter().find(|(at, _)| *at == place);
            metrics::counter!(DECISIONS, "outcome" => word.map_or("other", |(_, word)| word))
        });
        Self {
            decisions,
            seconds: metrics::histogram!(SECONDS),
            tables: TABLES.map(|table| Table {
                rows: metrics::gauge!(ROWS, "table" => table),
                occupied: metrics::gauge!(OCCUPIED, "table" => table),
                longest_probe: metrics::gauge!(PROBE, "table" => table),
                evictions: metrics::counter!(EVICTIONS, "table" => table),
            }),
            table_full: metrics::counter!(TABLE_FULL),
            blocked: metrics::gauge!(BLOCKED),
            strikes: metrics::gauge!(STRIKES),
            with_strikes: metrics::gauge!(WITH_STRIKES),
            day_known: metrics::gauge!(DAY_KNOWN),
            day: metrics::gauge!(DAY),
            refills: metrics::counter!(REFILLS),
            utc_known: metrics::gauge!(UTC_KNOWN),
        }
    }

    /// What to give to [`LimiterLayer::on_decision`](crate::LimiterLayer::on_decision).
    #[cfg(feature = "tower")]
    pub fn hook(&self) -> impl Fn(&crate::middleware::Event<'_>) + Send + Sync + 'static + use<> {
        let metrics = self.clone();
        move |event| metrics.decided(event.decision.outcome(), event.took)
    }

    /// Counts a decision, and how long it took if that was measured. Costs what the recorder takes
    /// for a counter and a histogram.
    pub fn decided(&self, outcome: Outcome, took: Option<Duration>) {
        if let Some(decisions) = self.decisions.get(Statistics::place(outcome)) {
            decisions.increment(1);
        }
        if let Some(took) = took {
            self.seconds.record(took);
        }
    }

    /// Tells all that a limiter's tables and calendar hold. *O*(rows); waits for no decision, and
    /// none for it.
    pub fn sample(&self, limiter: &Concurrent, now: Now) {
        self.sample_statistics(&limiter.statistics());
        self.sample_calendar(&limiter.calendar(), now);
        let Survey {
            token_rows,
            user_rows,
            blocked_tokens,
            strikes,
            users_with_strikes,
        } = limiter.survey(now.monotonic());
        for (table, rows) in self.tables.iter().zip([token_rows, user_rows]) {
            table.rows.set(real(rows));
        }
        self.blocked.set(real(blocked_tokens));
        self.strikes.set(real(strikes));
        self.with_strikes.set(real(users_with_strikes));
    }

    /// Tells what any limiter's statistics hold, but the decisions.
    pub fn sample_statistics(&self, statistics: &Statistics) {
        let [tokens, users] = &self.tables;
        tokens.occupied.set(statistics.tokens);
        users.occupied.set(statistics.users);
        tokens.longest_probe.set(statistics.longest_probe);
        users.longest_probe.set(statistics.longest_user_probe);
        tokens.evictions.absolute(statistics.evicted_tokens);
        users.evictions.absolute(statistics.evicted_users);
        self.table_full.absolute(statistics.table_full);
    }

    /// Tells what a calendar holds, and whether the clock knows UTC.
    pub fn sample_calendar(&self, calendar: &Calendar, now: Now) {
        self.day_known
            .set(real(usize::from(calendar.day().is_some())));
        self.day.set(calendar.day().unwrap_or(0));
        self.refills.absolute(calendar.refills().into());
        self.utc_known.set(real(usize::from(now.utc().is_some())));
    }

    /// Tells how often a resolver looked tokens up.
    #[cfg(feature = "resolver")]
    pub fn sample_lookups(&self, counts: &crate::resolver::LookupCounts) {
        for (outcome, count) in [
            ("found", counts.found),
            ("absent", counts.absent),
            ("failed", counts.failed),
            ("unusable", counts.unusable),
            ("table_full", counts.table_full),
            ("turned_away", counts.turned_away),
        ] {
            metrics::counter!(LOOKUPS, "outcome" => outcome).absolute(count);
        }
    }
}

impl fmt::Debug for LimiterMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimiterMetrics(..)")
    }
}

fn describe() {
    let counter = |name: &'static str, help: &'static str| {
        metrics::describe_counter!(name, Unit::Count, help);
    };
    let gauge = |name: &'static str, help: &'static str| {
        metrics::describe_gauge!(name, Unit::Count, help);
    };
    counter(
        DECISIONS,
        "Decisions, by outcome: admitted, exempt, or why refused.",
    );
    metrics::describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "How long a request waited for its decision."
    );
    gauge(ROWS, "Rows of a table.");
    gauge(OCCUPIED, "Rows of a table that are taken.");
    gauge(PROBE, "The most rows of a table that one look-up visits.");
    counter(EVICTIONS, "Idle rows of a table that others took.");
    counter(TABLE_FULL, "Registrations that found no row.");
    gauge(BLOCKED, "Tokens that are blocked now.");
    gauge(STRIKES, "Strikes that are not forgiven.");
    gauge(
        WITH_STRIKES,
        "Users who have strikes that are not forgiven.",
    );
    gauge(
        DAY_KNOWN,
        "Whether the accounting day has a date: 1 if it has, else 0.",
    );
    gauge(
        DAY,
        "The date of the accounting day, in days since 1970; 0 if it has none.",
    );
    counter(REFILLS, "Accounting days that have ended.");
    gauge(
        UTC_KNOWN,
        "Whether the clock knows UTC: 1 if it does, else 0.",
    );
    #[cfg(feature = "resolver")]
    counter(
        LOOKUPS,
        "Look-ups of tokens that were not known, by how they ended.",
    );
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Admitted => "admitted",
        Outcome::Exempt => "exempt",
        Outcome::Refused(reason) => reason.word(),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a table has fewer than 2^53 rows"
)]
const fn real(count: usize) -> f64 {
    count as f64
}

const DECISIONS: &str = "limiter_decisions_total";
const SECONDS: &str = "limiter_decision_seconds";
const ROWS: &str = "limiter_table_rows";
const OCCUPIED: &str = "limiter_table_occupied";
const PROBE: &str = "limiter_longest_probe";
const EVICTIONS: &str = "limiter_evictions_total";
const TABLE_FULL: &str = "limiter_table_full_total";
const BLOCKED: &str = "limiter_blocked_tokens";
const STRIKES: &str = "limiter_strikes";
const WITH_STRIKES: &str = "limiter_users_with_strikes";
const DAY_KNOWN: &str = "limiter_calendar_known";
const DAY: &str = "limiter_calendar_day";
const REFILLS: &str = "limiter_calendar_refills_total";
const UTC_KNOWN: &str = "limiter_utc_known";
#[cfg(feature = "resolver")]
const LOOKUPS: &str = "limiter_lookups_total";
const TABLES: [&str; 2] = ["tokens", "users"];

const OUTCOMES: [Outcome; Statistics::OUTCOMES] = {
    let mut outcomes = [Outcome::Exempt; Statistics::OUTCOMES];
    let mut at = 0;
    while at < Reason::ALL.len() {
        outcomes[at] = Outcome::Refused(Reason::ALL[at]);
        at += 1;
    }
    outcomes[at] = Outcome::Admitted;
    outcomes
};

#[cfg(test)]
mod tests;
