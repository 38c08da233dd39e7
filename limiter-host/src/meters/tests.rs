use super::*;
use limiter_core::daily::DailyMode;
use limiter_core::{HashKey, Instant, Kind, Method, Plan, Policy, Registration, Request, UnixTime};
use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Described = BTreeMap<String, (Option<Unit>, String)>;

/// Keeps all that it is told.
#[derive(Clone, Default)]
struct Kept {
    values: Arc<Mutex<BTreeMap<String, f64>>>,
    described: Arc<Mutex<Described>>,
}

struct One(Kept, String);

impl One {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(
            self.0
                .values
                .lock()
                .unwrap()
                .entry(self.1.clone())
                .or_default(),
        );
    }
}

impl CounterFn for One {
    fn increment(&self, by: u64) {
        self.change(|value| *value += exact(by));
    }
    fn absolute(&self, to: u64) {
        self.change(|value| *value = exact(to));
    }
}

impl GaugeFn for One {
    fn increment(&self, by: f64) {
        self.change(|value| *value += by);
    }
    fn decrement(&self, by: f64) {
        self.change(|value| *value -= by);
    }
    fn set(&self, to: f64) {
        self.change(|value| *value = to);
    }
}

impl HistogramFn for One {
    fn record(&self, seconds: f64) {
        self.change(|value| *value += seconds);
    }
}

impl Kept {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<String> = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()))
            .collect();
        let one = One(self.clone(), format!("{}{}", key.name(), labels.concat()));
        one.change(|_| {});
        Arc::new(one)
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, help: &SharedString) {
        let told = (unit, help.to_string());
        self.described
            .lock()
            .unwrap()
            .insert(name.as_str().to_owned(), told);
    }

    fn value(&self, name: &str) -> f64 {
        self.values.lock().unwrap()[name]
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }
    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }
    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

fn exact(count: u64) -> f64 {
    u32::try_from(count).unwrap().into()
}

fn at(millis: u64, utc: Option<u64>) -> Now {
    Now::new(
        Instant::from_millis(millis),
        utc.and_then(UnixTime::from_secs),
    )
}

/// A limiter of which one token is blocked, one user has a strike, and a third found no row.
fn in_trouble() -> (Concurrent, Now) {
    let policy = Policy::builder()
        .window(Duration::from_secs(2))
        .plan(Plan::new(0), 2, 2)
        .daily_limit(1)
        .daily_mode(DailyMode::FairUse {
            tolerated_days: 3,
            forgiven_after_days: 9,
        })
        .block(2, Duration::from_secs(60), Duration::from_secs(60))
        .build()
        .unwrap();
    let (key, now) = (HashKey::new([2; 16]), at(1_000, Some(86_400 * 20_000)));
    let limiter = Concurrent::new(policy, 2, 2);
    for name in [b"a", b"b", b"c"] {
        let terms = Registration::new(key.user(name), Kind::ApiToken, Plan::new(0)).pinned();
        let registered = limiter.register(key.token(name), terms, now);
        assert_eq!(registered.is_ok(), name != b"c");
    }
    for (token, method, times) in [(b"a", Method::Get, 4), (b"b", Method::Post, 2)] {
        for _ in 0..times {
            let _ = limiter.check(&Request::new(key.token(token), method), now);
        }
    }
    (limiter, now)
}

#[test]
fn every_outcome_has_a_counter_of_its_own() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let metrics = LimiterMetrics::register();
        for (times, outcome) in OUTCOMES.into_iter().enumerate() {
            for _ in 0..=times {
                metrics.decided(outcome, Some(Duration::from_millis(500)));
            }
        }
        metrics.decided(Outcome::Admitted, None);
    });
    for (times, outcome) in OUTCOMES.into_iter().enumerate() {
        let name = format!("limiter_decisions_total outcome={}", word(outcome));
        let more = usize::from(outcome == Outcome::Admitted);
        assert_eq!(kept.value(&name), real(times + 1 + more), "{name}");
    }
    assert_eq!(kept.value("limiter_decision_seconds"), 55.0 / 2.0);
}

#[test]
fn tells_what_tables_and_calendar_hold() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let (limiter, now) = in_trouble();
        LimiterMetrics::register().sample(&limiter, now);
    });
    for (name, value) in [
        ("limiter_table_rows table=tokens", 2.0),
        ("limiter_table_rows table=users", 2.0),
        ("limiter_table_occupied table=tokens", 2.0),
        ("limiter_table_occupied table=users", 2.0),
        ("limiter_table_full_total", 1.0),
        ("limiter_evictions_total table=tokens", 0.0),
        ("limiter_blocked_tokens", 1.0),
        ("limiter_strikes", 1.0),
        ("limiter_users_with_strikes", 1.0),
        ("limiter_calendar_known", 1.0),
        ("limiter_calendar_day", 20_000.0),
        ("limiter_calendar_refills_total", 0.0),
        ("limiter_utc_known", 1.0),
    ] {
        assert_eq!(kept.value(name), value, "{name}");
    }
    let later = at(62_000, None);
    metrics::with_local_recorder(&kept, || {
        let (limiter, _) = in_trouble();
        LimiterMetrics::register().sample(&limiter, later);
    });
    assert_eq!(kept.value("limiter_blocked_tokens"), 0.0);
    assert_eq!(kept.value("limiter_utc_known"), 0.0);
}

#[test]
fn describes_every_metric_with_a_unit_and_names_no_caller() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let (limiter, now) = in_trouble();
        let metrics = LimiterMetrics::register();
        metrics.sample(&limiter, now);
        #[cfg(feature = "resolver")]
        metrics.sample_lookups(&crate::resolver::LookupCounts::default());
    });
    let described = kept.described.lock().unwrap();
    let values = kept.values.lock().unwrap();
    for name in values.keys() {
        let bare = name.split(' ').next().unwrap();
        let (unit, help) = &described[bare];
        assert!(unit.is_some() && help.ends_with('.'), "{name}");
        let fixed = name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'=' | b' '));
        assert!(fixed, "{name}");
    }
    let named = |bare: &str| {
        values
            .keys()
            .any(|name| name.split(' ').next() == Some(bare))
    };
    assert!(described.keys().all(|bare| named(bare)));
}
