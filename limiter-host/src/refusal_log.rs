//! Refusals as `tracing` events that no caller can make a flood of.

use crate::clock::SharedClock;
use crate::middleware::Event;
use limiter_core::{Outcome, Reason, Statistics};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Writes an event for a refusal, for each reason at most one in a given time.
///
/// The event is of level WARN and target `limiter_host`, and says the `reason`, the `token`'s id (a
/// keyed hash, never the token), what was asked for, and how many refusals for the same reason were
/// `suppressed` since the event before. Of a flood, the last ones are told with the next refusal.
///
/// A refusal costs one reading of the clock and one or two atomic operations; an admission nothing.
///
/// ```
/// use limiter_host::core::{HashKey, Policy};
/// use limiter_host::refusal_log::RefusalLog;
/// use limiter_host::{LimiterLayer, Locked, SharedClock};
/// use std::{sync::Arc, time::Duration};
///
/// let (key, clock) = (HashKey::new(*b"from the OS, say"), SharedClock::system());
/// let limiter = Arc::new(Locked::new(Policy::pipedrive(), 1_000, 200));
/// let log = RefusalLog::new(clock.clone(), Duration::from_secs(1));
/// let layer = LimiterLayer::new(limiter, key, clock).on_decision(log.hook());
/// # let _ = layer;
/// ```
pub struct RefusalLog {
    clock: SharedClock,
    every_ms: u64,
    /// By [`Statistics::place`].
    reasons: [Sampled; Statistics::OUTCOMES],
}

#[derive(Default)]
struct Sampled {
    /// When the last event was written, in milliseconds, and 1 more; 0 if there was none.
    last: AtomicU64,
    suppressed: AtomicU64,
}

impl RefusalLog {
    /// A log that writes at most one event for each reason in that time.
    #[must_use]
    pub fn new(clock: SharedClock, every: Duration) -> Self {
        Self {
            clock,
            every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
            reasons: Default::default(),
        }
    }

    /// What to give to [`LimiterLayer::on_decision`](crate::LimiterLayer::on_decision).
    pub fn hook(self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        move |event| self.decided(event)
    }

    /// Writes an event if the decision is a refusal and it is time for one.
    pub fn decided(&self, event: &Event<'_>) {
        let Some(reason) = event.decision.reason() else {
            return;
        };
        if let Some(suppressed) = self.due(reason) {
            let request = event.request;
            tracing::warn!(
                target: "limiter_host",
                reason = reason.word(),
                token = request.token.map(tracing::field::debug),
                method = ?request.method,
                origin = ?request.origin,
                cost = request.cost,
                retry_after_ms = event.decision.retry_after_ms(),
                passes = event.passes,
                suppressed,
                "refused"
            );
        }
    }

    /// How many were suppressed before this one, if an event is due.
    fn due(&self, reason: Reason) -> Option<u64> {
        let place = Statistics::place(Outcome::Refused(reason));
        let sampled = self.reasons.get(place)?;
        let last = sampled.last.load(Ordering::Relaxed);
        // A clock that cannot be read stands still; one that went back starts anew.
        let now_ms = match self.clock.now() {
            Ok(now) => now.monotonic().as_millis(),
            Err(_) => last.saturating_sub(1),
        };
        let since = now_ms.checked_sub(last.saturating_sub(1));
        let early = last != 0 && since.is_some_and(|since_ms| since_ms < self.every_ms);
        let mine = !early
            && sampled
                .last
                .compare_exchange(last, now_ms + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            Some(sampled.suppressed.swap(0, Ordering::Relaxed))
        } else {
            sampled.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

impl fmt::Debug for RefusalLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalLog")
            .field("every_ms", &self.every_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::clock::ClockError;
    use limiter_core::{Decision, HashKey, Instant, Method, Now, Request};
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    /// Keeps a line for each event.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            write!(self.0, "{}={value:?} ", field.name()).unwrap();
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "limiter_host"
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Refuses at these times for these reasons; the events.
    fn events(refusals: &[(Option<u64>, Reason)]) -> Vec<String> {
        let time = Arc::new(Mutex::new(None));
        let read = Arc::clone(&time);
        let clock = SharedClock::from_fn(move || {
            let millis: Option<u64> = *read.lock().unwrap();
            let millis = millis.ok_or(ClockError::Failed)?;
            Ok(Now::new(Instant::from_millis(millis), None))
        });
        let log = RefusalLog::new(clock, Duration::from_secs(1));
        let request = Request::new(HashKey::new([1; 16]).token(b"s3cr3t"), Method::Post);
        let lines = Lines::default();
        // Two subscribers: with one alone, `tracing` lets the thread that first meets an event
        // decide for all whether anyone listens.
        let _second = tracing::Dispatch::new(Lines::default());
        tracing::subscriber::with_default(lines.clone(), || {
            for &(millis, reason) in refusals {
                *time.lock().unwrap() = millis;
                log.decided(&Event {
                    request: &request,
                    decision: &Decision::refused(reason, 7),
                    passes: false,
                    took: None,
                });
            }
            log.decided(&Event {
                request: &request,
                decision: &Decision::EXEMPT,
                passes: true,
                took: None,
            });
        });
        let lines = lines.0.lock().unwrap();
        lines.clone()
    }

    fn suppressed(line: &str) -> &str {
        let rest = line.split("suppressed=").nth(1).unwrap();
        rest.split(' ').next().unwrap()
    }

    #[test]
    fn writes_one_event_a_second_for_each_reason_and_counts_the_rest() {
        let flood = (0..1_000).map(|millis| (Some(millis), Reason::Window));
        let mut refusals: Vec<_> = flood.collect();
        refusals.insert(500, (Some(499), Reason::Blocked));
        refusals.push((Some(1_000), Reason::Window));
        refusals.push((Some(3_000), Reason::Window));
        let lines = events(&refusals);
        let told: Vec<&str> = lines.iter().map(|line| suppressed(line)).collect();
        assert_eq!(told, ["0", "0", "999", "0"]);
        assert!(lines[0].contains("reason=\"window\"") && lines[1].contains("reason=\"blocked\""));
    }

    #[test]
    fn says_what_was_asked_for_and_shows_no_token() {
        let line = events(&[(Some(0), Reason::Daily)]).remove(0);
        for part in [
            "token=TokenId(",
            "method=Post",
            "origin=Api",
            "cost=1",
            "retry_after_ms=7",
            "passes=false",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("s3cr3t"));
    }

    #[test]
    fn goes_on_when_time_goes_back_and_not_at_all_faster_without_a_clock() {
        let reason = Reason::ClockFailed;
        assert_eq!(events(&[(Some(9_000), reason), (Some(5), reason)]).len(), 2);
        assert_eq!(
            events(&[(None, reason), (None, reason), (None, reason)]).len(),
            1
        );
    }
}
