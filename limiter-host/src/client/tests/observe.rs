//! Observed refusals and denials.

use super::*;

const ANSWERS: &[(u16, Option<&str>)] = &[(200, None), (429, Some("2")), (403, None)];

/// Runs three requests and one that is not sent.
fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let pacer = SharedPacer::new(known_limits(Plan::ESSENTIAL), tokio_clock());
        let mut paced = PacerLayer::new(pacer).layer(scripted(ANSWERS));
        for _ in 0..3 {
            paced.call(request(Method::GET)).await.unwrap();
        }
        paced.call(request(Method::GET)).await.unwrap_err();
    });
}

#[cfg(feature = "tracing")]
#[test]
fn traces_a_wait_a_refusal_a_denial_and_a_stop() {
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    struct Levels(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Levels {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("limiter_host")
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    let levels = Arc::new(Mutex::new(Vec::new()));
    // With one subscriber alone, `tracing` asks the thread that first meets an event whether anyone
    // listens, and the thread of another test answers no for all. With two it asks them.
    let _second = tracing::Dispatch::new(Levels(Arc::default()));
    tracing::subscriber::with_default(Levels(Arc::clone(&levels)), run);
    let expected = [
        Level::TRACE, // answered 200
        Level::WARN,  // refused with 429
        Level::DEBUG, // waited for the gate
        Level::ERROR, // denied with 403
        Level::WARN,  // not sent
    ];
    assert_eq!(*levels.lock().unwrap(), expected);
}

#[cfg(feature = "metrics")]
#[test]
fn counts_answers_and_stops() {
    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };
    use std::collections::BTreeMap;

    type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

    struct Counting(Counts);

    struct One(Counts, String);

    impl CounterFn for One {
        fn increment(&self, by: u64) {
            *self.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
        }
        fn absolute(&self, _: u64) {}
    }

    impl Recorder for Counting {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
            let name = format!("{} {}", key.name(), labels.join(" "));
            Counter::from_arc(Arc::new(One(Arc::clone(&self.0), name)))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    let counts = Counts::default();
    metrics::with_local_recorder(&Counting(Arc::clone(&counts)), run);
    let counts = counts.lock().unwrap();
    let expected = [
        ("limiter_client_responses_total 200", 1),
        ("limiter_client_responses_total 403", 1),
        ("limiter_client_responses_total 429", 1),
        ("limiter_client_stops_total the service denied access", 1),
    ];
    let seen: Vec<(&str, u64)> = counts.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    assert_eq!(seen, expected);
}
