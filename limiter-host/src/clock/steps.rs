//! A guard against steps of UTC: a date that is suddenly another one is unknown until it has stood
//! for a while.
//!
//! Without it a wall clock that steps forward over midnight, and is corrected an hour later, begins a
//! day too early: users get that day's permits at once, and none at the real midnight, so one who
//! has spent them waits for up to 24 hours more (SPEC D9). With it the step is not believed unless it
//! stands. Meanwhile UTC is unknown, and a day ends 24 hours after the last one began (SPEC D10).

use limiter_core::{Instant, Now};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The steps of UTC that a clock believes; see
/// [`SharedClock::guarded`](super::SharedClock::guarded).
///
/// ```
/// use limiter_host::UtcGuard;
/// use std::time::Duration;
///
/// let guard = UtcGuard { max_step: Duration::from_secs(60), ..UtcGuard::default() };
/// assert_eq!(guard.believed_after, Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UtcGuard {
    /// The largest difference from the date that monotonic time leads to, give or take a second, that
    /// is believed at once: 5 minutes by default. A slow drift is no step, however far it goes.
    pub max_step: Duration,
    /// A larger one is believed once it has stood for so long, by monotonic time: 10 minutes by
    /// default. Until then UTC is unknown.
    pub believed_after: Duration,
    /// Is called at each step, by the thread whose reading met it.
    pub report: fn(UtcStep),
}

impl Default for UtcGuard {
    fn default() -> Self {
        Self {
            max_step: Duration::from_secs(300),
            believed_after: Duration::from_secs(600),
            report: |_| {},
        }
    }
}

/// A step of UTC, in seconds; negative if it was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UtcStep {
    /// UTC has stepped, and is unknown from now on.
    Doubted(i64),
    /// The step has stood for long enough: UTC is known again.
    Believed(i64),
    /// The step was taken back: UTC is known again, as if nothing had been.
    TakenBack,
}

impl fmt::Display for UtcStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubted(seconds) => write!(
                f,
                "UTC has stepped by {seconds} s, and is unknown until it has stood for a while"
            ),
            Self::Believed(seconds) => write!(f, "UTC is known again, {seconds} s from before"),
            Self::TakenBack => f.write_str("UTC is known again: the step was taken back"),
        }
    }
}

/// What is known of a clock's UTC. All offsets are UTC minus monotonic time, in milliseconds.
#[derive(Debug)]
pub(super) struct Steps {
    guard: UtcGuard,
    /// The offset that is believed; `UNKNOWN` before the first reading.
    believed: AtomicI64,
    /// Whether another one was read last.
    is_doubted: AtomicBool,
    doubt: Mutex<Option<Doubt>>,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    offset: i64,
    since: Instant,
}

impl Steps {
    pub(super) const fn new(guard: UtcGuard) -> Self {
        Self {
            guard,
            believed: AtomicI64::new(UNKNOWN),
            is_doubted: AtomicBool::new(false),
            doubt: Mutex::new(None),
        }
    }

    /// The reading, without its UTC if that is doubted. Locks only if UTC has stepped, or drifted
    /// half as far as a step.
    #[inline]
    pub(super) fn judge(&self, now: Now) -> Now {
        let Some(offset) = offset(now) else {
            return now;
        };
        let believed = self.believed.load(Ordering::Relaxed);
        let is_near = believed != UNKNOWN && offset.abs_diff(believed) <= self.max_step_ms() / 2;
        if is_near && !self.is_doubted.load(Ordering::Relaxed) {
            return now;
        }
        self.judge_slowly(now, offset)
    }

    #[cold]
    fn judge_slowly(&self, now: Now, offset: i64) -> Now {
        let mut doubt = self.lock();
        let believed = self.believed.load(Ordering::Relaxed);
        if believed == UNKNOWN || offset.abs_diff(believed) <= self.max_step_ms() {
            self.believe(offset);
            if doubt.take().is_some() {
                (self.guard.report)(UtcStep::TakenBack);
            }
            return now;
        }
        let at = now.monotonic();
        let seconds = (offset - believed) / 1_000;
        match *doubt {
            Some(doubted) if offset.abs_diff(doubted.offset) <= self.max_step_ms() => {
                let stood = Duration::from_millis(at.saturating_since(doubted.since));
                if stood >= self.guard.believed_after {
                    self.believe(offset);
                    *doubt = None;
                    (self.guard.report)(UtcStep::Believed(seconds));
                    return now;
                }
            }
            _ => {
                *doubt = Some(Doubt { offset, since: at });
                self.is_doubted.store(true, Ordering::Relaxed);
                (self.guard.report)(UtcStep::Doubted(seconds));
            }
        }
        Now::new(at, None)
    }

    fn believe(&self, offset: i64) {
        self.believed.store(offset, Ordering::Relaxed);
        self.is_doubted.store(false, Ordering::Relaxed);
    }

    /// UTC is read in whole seconds, so an offset seems to vary by one.
    fn max_step_ms(&self) -> u64 {
        let millis = self.guard.max_step.as_millis();
        u64::try_from(millis)
            .unwrap_or(u64::MAX)
            .saturating_add(1_000)
    }

    /// A panic while it is held leaves nothing half-changed.
    fn lock(&self) -> MutexGuard<'_, Option<Doubt>> {
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` if UTC is unknown.
fn offset(now: Now) -> Option<i64> {
    let utc_ms = now.utc()?.as_secs().checked_mul(1_000)?;
    let utc_ms = i64::try_from(utc_ms).ok()?;
    utc_ms.checked_sub(i64::try_from(now.monotonic().as_millis()).ok()?)
}

/// No offset: times are from 1970 on, and monotonic ones below 2^43.
const UNKNOWN: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Concurrent, SharedClock};
    use limiter_core::{
        HashKey, Kind, Method, Plan, Policy, Reason, Registration, Request, UnixTime,
    };
    use std::sync::Arc;

    const DAY: u64 = 86_400;
    /// An hour before midnight.
    const EVENING: u64 = 20_000 * DAY + DAY - 3_600;
    const GUARD: UtcGuard = UtcGuard {
        max_step: Duration::from_secs(60),
        believed_after: Duration::from_secs(600),
        report: |_| {},
    };

    fn at(seconds: u64, utc: u64) -> Now {
        Now::new(
            Instant::from_millis(seconds * 1_000),
            UnixTime::from_secs(utc),
        )
    }

    fn is_known(steps: &Steps, seconds: u64, utc: u64) -> bool {
        steps.judge(at(seconds, utc)).utc().is_some()
    }

    #[test]
    fn a_step_is_unknown_until_it_has_stood() {
        let steps = Steps::new(GUARD);
        assert!(is_known(&steps, 0, EVENING), "the first one is taken");
        assert!(!is_known(&steps, 10, EVENING + 10 + 3_600));
        assert!(!is_known(&steps, 609, EVENING + 609 + 3_600));
        assert!(is_known(&steps, 610, EVENING + 610 + 3_600));
        assert!(is_known(&steps, 611, EVENING + 611 + 3_600));
        assert!(!is_known(&steps, 612, EVENING + 612), "back is a step too");
    }

    #[test]
    fn a_step_that_is_taken_back_leaves_nothing_behind() {
        let steps = Steps::new(GUARD);
        assert!(is_known(&steps, 0, EVENING));
        assert!(!is_known(&steps, 1, EVENING + 3_600));
        assert!(is_known(&steps, 2, EVENING + 2));
        // Long after, it has not been standing since.
        assert!(!is_known(&steps, 5_000, EVENING + 5_000 + 3_600));
        assert!(
            !is_known(&steps, 5_001, EVENING + 5_001 + 7_200),
            "another step"
        );
        assert!(
            !is_known(&steps, 5_600, EVENING + 5_600 + 7_200),
            "it is younger"
        );
        assert!(is_known(&steps, 5_601, EVENING + 5_601 + 7_200));
    }

    #[test]
    fn a_small_step_and_a_slow_drift_are_believed_at_once() {
        let steps = Steps::new(GUARD);
        assert!(is_known(&steps, 0, EVENING));
        assert!(is_known(&steps, 1, EVENING + 1 + 60));
        // A clock that runs 10 % too fast, for an hour.
        for second in 0..3_600 {
            let fast = second + second / 10;
            assert!(
                is_known(&steps, 1 + second, EVENING + 61 + fast),
                "{second}"
            );
        }
        assert!(steps.judge(Now::new(Instant::ZERO, None)).utc().is_none());
    }

    #[test]
    fn reports_what_it_doubts_and_believes() {
        static SEEN: Mutex<Vec<UtcStep>> = Mutex::new(Vec::new());
        let steps = Steps::new(UtcGuard {
            report: |step| SEEN.lock().unwrap().push(step),
            ..GUARD
        });
        for (seconds, ahead) in [(0, 0), (1, 3_600), (2, 0), (3, 7_200), (700, 7_200)] {
            let _ = steps.judge(at(seconds, EVENING + seconds + ahead));
        }
        let expected = [
            UtcStep::Doubted(3_600),
            UtcStep::TakenBack,
            UtcStep::Doubted(7_200),
            UtcStep::Believed(7_200),
        ];
        assert_eq!(*SEEN.lock().unwrap(), expected);
        assert_eq!(
            UtcStep::Doubted(-5).to_string(),
            "UTC has stepped by -5 s, and is unknown until it has stood for a while"
        );
    }

    /// A user spends the day an hour before midnight, while the clock is two hours fast for five
    /// minutes; says at which of the next 48 hours there are permits again.
    fn hours_until_permits(guard: Option<UtcGuard>) -> u64 {
        let time = Arc::new(Mutex::new(at(0, EVENING)));
        let read = Arc::clone(&time);
        let clock = SharedClock::from_fn(move || Ok(*read.lock().unwrap()));
        let clock = match guard {
            Some(guard) => clock.guarded(guard),
            None => clock,
        };
        let builder = Policy::builder().window(Duration::from_secs(2));
        let builder = builder.plan(Plan::new(0), 100, 100).daily_limit(5);
        let limiter = Concurrent::new(builder.build().unwrap(), 1, 1);
        let key = HashKey::new([1; 16]);
        let user = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::new(0));
        let token = key.token(b"t");
        let now = clock.now().unwrap();
        limiter.register(token, user, now).unwrap();
        let post = |seconds: u64, utc: u64| {
            *time.lock().unwrap() = at(seconds, utc);
            let decision = limiter.check(&Request::new(token, Method::Post), clock.now().unwrap());
            decision.reason()
        };
        for second in 0..300 {
            let _ = post(second, EVENING + second);
        }
        for second in 300..600 {
            let _ = post(second, EVENING + second + 7_200);
        }
        for hour in 1..48 {
            let seconds = hour * 3_600;
            match post(seconds, EVENING + seconds) {
                None => return hour,
                Some(reason) => assert_eq!(reason, Reason::Daily),
            }
        }
        unreachable!("two days have passed")
    }

    #[test]
    fn d9_a_step_over_midnight_that_is_corrected_makes_a_user_wait_for_a_day_unless_it_is_guarded()
    {
        assert_eq!(hours_until_permits(None), 25);
        assert_eq!(hours_until_permits(Some(GUARD)), 1, "at midnight");
    }
}
