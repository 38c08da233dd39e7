//! All that the page shows, as one JSON object. Counts are since the start; ids are keyed hashes.

use super::history::{Counts, History, OUTCOMES, Rates, counts};
use super::metrics::Metrics;
use super::survey::{Look, Surveys, Tokens};
use crate::faults::{Counts as FaultCounts, Faults};
use crate::follow::{FileState, Follow};
use crate::limits::Limits;
use crate::listener::Connections;
use crate::state::StateStatus;
use bytes::Bytes;
use limiter_host::core::calendar::Calendar;
use limiter_host::core::{Now, Policy, Statistics};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// What a gateway says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// Where it listens.
    pub listen: String,
    /// The server behind; `null` if it answers by itself.
    pub upstream: Option<String>,
}

/// Where the numbers come from.
#[derive(Debug)]
pub(crate) struct Sources {
    about: About,
    /// Another one after each start, so that a page knows that it is old.
    instance: String,
    began: Instant,
    limits: Limits,
    connections: Connections,
    faults: Arc<Faults>,
    history: Mutex<History>,
    surveys: Mutex<Surveys>,
    /// What was told last: however many ask, the rows are visited twice a second at most.
    told: tokio::sync::Mutex<Option<(Instant, Bytes)>>,
    forgotten: AtomicBool,
}

impl Sources {
    pub(crate) fn new(
        about: About,
        instance: String,
        limits: Limits,
        connections: Connections,
        faults: Arc<Faults>,
    ) -> Self {
        Self {
            about,
            instance,
            began: Instant::now(),
            limits,
            connections,
            faults,
            history: Mutex::default(),
            surveys: Mutex::default(),
            told: tokio::sync::Mutex::new(None),
            forgotten: AtomicBool::new(false),
        }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) const fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Requests that the server behind failed, if there is one.
    fn upstream_faults(&self) -> Option<FaultCounts<3>> {
        self.about.upstream.as_ref().map(|_| self.faults.upstream())
    }

    /// Notes the counts once a second, and sees to the metrics, for as long as it is polled.
    pub(super) async fn sample(&self, metrics: &Metrics) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = seconds.tick().await;
            let counts = counts(&self.limits.statistics());
            lock(&self.history).note(counts, now);
            metrics.upkeep();
        }
    }

    /// Makes the next answer a new one, since something was changed.
    pub(super) fn forget(&self) {
        self.forgotten.store(true, Ordering::Release);
    }

    /// The status at this moment, or as it was told less than half a second ago.
    pub(super) async fn json(&self) -> Bytes {
        let mut told = self.told.lock().await;
        let at = Instant::now();
        let forgotten = self.forgotten.swap(false, Ordering::Acquire);
        if let Some((then, json)) = &*told
            && at.duration_since(*then) < FRESH
            && !forgotten
        {
            return json.clone();
        }
        let limits = self.limits.clone();
        let now = limits.clock.now().ok();
        let moment = now.map(Now::monotonic).unwrap_or_default();
        let limiter = Arc::clone(&limits.limiter);
        let tokens = if limits.is_shared() {
            None
        } else {
            // Many rows may take a while, in which this thread has requests to serve.
            let look = tokio::task::spawn_blocking(move || Look::take(&limiter, moment)).await;
            look.ok()
                .map(|look| lock(&self.surveys).note(look, at, moment))
        };
        let store = limits.store_status().await;
        let json = self.status(tokens, store, now, at);
        let json = Bytes::from(serde_json::to_vec(&json).unwrap_or_default());
        *told = Some((at, json.clone()));
        json
    }

    fn status(
        &self,
        tokens: Option<Tokens>,
        store: Option<Value>,
        now: Option<Now>,
        at: Instant,
    ) -> Status<'_> {
        let limiter = &self.limits.limiter;
        let statistics = self.limits.statistics();
        let policy = self.limits.policy();
        let now = now.map(|now| now.with_floor(policy.utc_floor()));
        let totals = counts(&statistics);
        Status {
            instance: &self.instance,
            version: env!("CARGO_PKG_VERSION"),
            about: &self.about,
            uptime_s: at.duration_since(self.began).as_secs(),
            clock: clock(now),
            calendar: store.is_none().then(|| calendar(limiter.calendar(), now)),
            decisions: Totals(totals),
            history: lock(&self.history).rates(at),
            table: table(&self.limits, &statistics),
            connections: Usage {
                used: self.connections.open(),
                most: self.connections.most(),
            },
            policy: PolicyStatus::of(&policy),
            tokens,
            failures: self.upstream_faults(),
            client_failures: self.faults.client(),
            config: self.limits.follow.as_ref().map(Follow::state),
            state: self.limits.kept.as_ref().map(|kept| kept.status(now)),
            store,
        }
    }
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    instance: &'a str,
    version: &'static str,
    #[serde(flatten)]
    about: &'a About,
    uptime_s: u64,
    clock: ClockStatus,
    /// `null` if it is in a store.
    calendar: Option<CalendarStatus>,
    decisions: Totals,
    history: Rates,
    table: TableStatus,
    connections: Usage,
    policy: PolicyStatus,
    /// `null` if it is in a store what tokens used: that is not searched.
    tokens: Option<Tokens>,
    /// `null` if the gateway answers by itself.
    failures: Option<FaultCounts<3>>,
    client_failures: FaultCounts<5>,
    /// `null` if no file is followed.
    config: Option<FileState>,
    /// `null` if nothing survives a restart.
    state: Option<StateStatus>,
    /// `null` if the gateway decides by itself.
    store: Option<Value>,
}

#[derive(Debug, Serialize)]
struct ClockStatus {
    /// `ok`, `utc_unknown` or `failed`.
    state: &'static str,
    utc_s: Option<u64>,
    monotonic_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct CalendarStatus {
    /// - `new`: no request has told it a day yet;
    /// - `current`: its day is that of the clock;
    /// - `due`: the next request lets it advance;
    /// - `held`: the clock is a day ahead, and an advance is not due yet (D10b);
    /// - `behind`: the clock is a day behind, and the day stays (D9);
    /// - `unknown`: there is no UTC, and monotonic time alone ends the day (D10).
    state: &'static str,
    /// When the accounting day began; `null` until a UTC was known.
    day_start_utc_s: Option<u64>,
    /// How long a caller who is over the daily limit has to wait.
    ends_in_ms: Option<u32>,
    refills: u32,
}

#[derive(Debug, Serialize)]
struct TableStatus {
    tokens: Usage,
    users: Usage,
    evicted_tokens: u64,
    evicted_users: u64,
    /// Registrations that found no row.
    refused: u64,
    /// The most rows that a look-up visits.
    longest_probe: u32,
}

#[derive(Debug, Serialize)]
struct Usage {
    used: usize,
    most: usize,
}

#[derive(Debug, Serialize)]
struct PolicyStatus {
    window_ms: u32,
    /// `null` if no method counts daily.
    daily_limit: Option<u32>,
    block_ms: Option<u32>,
}

impl PolicyStatus {
    fn of(policy: &Policy) -> Self {
        use limiter_host::core::Methods;
        Self {
            window_ms: policy.window_ms(),
            daily_limit: (policy.writes() != Methods::NONE).then(|| policy.daily().limit),
            block_ms: policy.block().map(|rule| rule.duration_ms()),
        }
    }
}

#[derive(Debug)]
struct Totals(Counts);

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(OUTCOMES.iter().zip(self.0))
    }
}

fn clock(now: Option<Now>) -> ClockStatus {
    let utc = now.and_then(Now::utc);
    ClockStatus {
        state: match (now, utc) {
            (None, _) => "failed",
            (_, None) => "utc_unknown",
            _ => "ok",
        },
        utc_s: utc.map(|utc| utc.as_secs()),
        monotonic_ms: now.map(|now| now.monotonic().as_millis()),
    }
}

fn calendar(calendar: Calendar, now: Option<Now>) -> CalendarStatus {
    let mut fed = calendar;
    let advances = now.is_some_and(|now| fed.feed(now));
    let utc_day = now.and_then(Now::utc).map(|utc| utc.day());
    let state = match (calendar.day(), utc_day) {
        _ if advances => "due",
        (None, _) => "new",
        (Some(_), None) => "unknown",
        (Some(day), Some(utc)) if utc > day => "held",
        (Some(day), Some(utc)) if utc < day => "behind",
        _ => "current",
    };
    CalendarStatus {
        state,
        day_start_utc_s: calendar.day().map(|day| u64::from(day) * 86_400),
        ends_in_ms: now.filter(|_| state != "new").map(|now| fed.wait_ms(now)),
        refills: calendar.refills(),
    }
}

fn table(limits: &Limits, statistics: &Statistics) -> TableStatus {
    let usage = |used: u32, most| Usage {
        used: usize::try_from(used).unwrap_or(usize::MAX),
        most,
    };
    TableStatus {
        tokens: usage(statistics.tokens, limits.table.tokens),
        users: usage(statistics.users, limits.table.users),
        evicted_tokens: statistics.evicted_tokens,
        evicted_users: statistics.evicted_users,
        refused: statistics.table_full,
        longest_probe: statistics.longest_probe,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const FRESH: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_host::core::{Instant as Moment, UnixTime};

    fn at(ms: u64, utc_s: Option<u64>) -> Option<Now> {
        let utc = utc_s.and_then(UnixTime::from_secs);
        Some(Now::new(Moment::from_millis(ms), utc))
    }

    #[test]
    fn tells_what_keeps_the_calendar() {
        const DAY: u64 = 86_400;
        let state = |fed: &Calendar, now| calendar(*fed, now).state;
        let mut days = Calendar::new();
        assert_eq!(state(&days, at(0, None)), "new");
        days.feed(at(0, Some(10 * DAY)).unwrap());
        let noon = calendar(days, at(1_000, Some(10 * DAY + DAY / 2)));
        assert_eq!((noon.state, noon.ends_in_ms), ("current", Some(43_200_000)));
        assert_eq!(noon.day_start_utc_s, Some(10 * DAY));
        assert_eq!(state(&days, at(1_000, Some(11 * DAY))), "due");
        assert_eq!(state(&days, at(1_000, Some(9 * DAY))), "behind");
        assert_eq!(state(&days, at(1_000, None)), "unknown");
        assert_eq!(state(&days, at(24 * 3_600_000, None)), "due");
        // Two advances within an hour; the second is 23 h early for a third.
        days.feed(at(1_000, Some(11 * DAY)).unwrap());
        days.feed(at(2_000, Some(12 * DAY)).unwrap());
        days.feed(at(3_000, Some(13 * DAY)).unwrap());
        assert_eq!(state(&days, at(4_000, Some(14 * DAY))), "held");
        assert_eq!(clock(None).state, "failed");
        assert_eq!(clock(at(0, None)).state, "utc_unknown");
    }
}
