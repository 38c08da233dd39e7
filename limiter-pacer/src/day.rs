//! The remaining writes of the day, and the time at which there are more.
//!
//! Only the server knows the count, and it reports it with every write. Between two responses the
//! pacer uses the smallest number reported, less the writes in flight. A number that grows again in
//! a response to a later request marks a new day. The day is also over once the *server's* UTC is
//! certain to have passed midnight: by the `date` of its last response if it had one, else by this
//! device's UTC less its possible skew, and at the latest 24 h after the number was reported. Then
//! one write goes first to learn the new day's allowance.

use super::policy::{DAY_MS, DailySpending, PacerPolicy};
use super::{Priority, SendRequest};
use limiter_core::math;
use limiter_core::time::{Instant, Now, UnixTime};

/// The day's writes as the pacer knows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    /// The number reported last, less unreported charges; `None` before the first report.
    left: Option<u32>,
    /// The moment of that report.
    reported: Instant,
    /// The server's day then, if its UTC was known.
    told_day: Option<u32>,
    /// Answers to requests sent earlier are of the day before.
    since: Instant,
    /// Cost of the writes under way, and how many they are.
    in_flight: u32,
    flights: u32,
    /// The moment at which, by a refusal, there is more.
    refused_until: Option<Instant>,
    /// Refusals in a row.
    refusals: u8,
    /// `true` if the next write goes alone, to learn.
    probing: bool,
    last_write: Option<Instant>,
    /// The server's time and the moment of its report.
    server: Option<(UnixTime, Instant)>,
}

/// The day's decision about a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayVerdict {
    Go,
    /// Not before this number of milliseconds.
    Wait(u32),
    /// Wait for the answers under way.
    Answers,
    /// Not today: there is more after this number of milliseconds.
    Spent(u32),
    /// The rest is kept for writes of high priority.
    Kept(u32),
}

impl Day {
    pub(super) const NEW: Self = Self {
        left: None,
        reported: Instant::ZERO,
        told_day: None,
        since: Instant::ZERO,
        in_flight: 0,
        flights: 0,
        refused_until: None,
        refusals: 0,
        probing: true,
        last_write: None,
        server: None,
    };

    /// Writes left as far as is known, those under way counted.
    pub(super) fn left(&self) -> Option<u32> {
        Some(self.left?.saturating_sub(self.in_flight))
    }

    /// Judges a write.
    pub(super) fn judge(
        &mut self,
        request: &SendRequest,
        policy: &PacerPolicy,
        now: Now,
    ) -> DayVerdict {
        let at = now.monotonic();
        if let Some(until) = self.refused_until {
            if at < until {
                return DayVerdict::Spent(super::denial::narrow(until.saturating_since(at)));
            }
            self.turn(at);
        } else if self.is_over(policy, now) {
            self.turn(at);
        }
        let Some(left) = self.left else {
            return if self.probing && self.flights > 0 {
                DayVerdict::Answers
            } else {
                DayVerdict::Go
            };
        };
        let cost = request.cost.get();
        let usable = left.saturating_sub(policy.daily_others);
        let kept = match policy.daily_spending {
            DailySpending::Keep(kept) if request.priority < Priority::High => kept,
            _ => 0,
        };
        if usable.saturating_sub(kept).saturating_sub(self.in_flight) < cost {
            let rest = self.rest_ms(policy, now);
            return if usable < cost {
                DayVerdict::Spent(rest)
            } else if self.flights > 0 {
                // What is under way may be counted in `left` already.
                DayVerdict::Answers
            } else {
                DayVerdict::Kept(rest)
            };
        }
        self.judge_pace(usable.saturating_sub(self.in_flight), policy, now)
    }

    /// A write goes out.
    pub(super) fn depart(&mut self, cost: u32, now: Instant) {
        self.in_flight = self.in_flight.saturating_add(cost);
        self.flights = self.flights.saturating_add(1);
        self.last_write = Some(now);
    }

    /// A write was never sent.
    pub(super) fn cancel(&mut self, cost: u32) {
        self.in_flight = self.in_flight.saturating_sub(cost);
        self.flights = self.flights.saturating_sub(1);
    }

    /// A write got no answer: it may have been charged.
    pub(super) fn lose(&mut self, cost: u32) {
        self.cancel(cost);
        self.charge(cost);
    }

    /// A write was answered and not refused by the day.
    pub(super) fn land(
        &mut self,
        write: Landed,
        left: Option<u32>,
        policy: &PacerPolicy,
        now: Now,
    ) {
        self.cancel(write.cost);
        if write.charged {
            self.refusals = 0;
        }
        let Some(reported) = left else {
            // Decided without a report of a day: there may be none. A known count stays.
            if write.judged {
                self.probing = false;
            }
            if write.charged {
                self.charge(write.cost);
            }
            return;
        };
        if write.sent < self.since {
            // Perhaps of the day before; if not, it was charged to this one.
            self.charge(write.cost);
            return;
        }
        match self.left {
            Some(left) if reported > left => {
                if write.sent <= self.reported {
                    return; // the count before the one that is known
                }
                self.since = write.sent;
                self.report(reported, policy, now);
            }
            _ => self.report(reported, policy, now),
        }
    }

    /// A write was refused by the day.
    pub(super) fn refuse(
        &mut self,
        write: Landed,
        left: Option<u32>,
        retry_after_ms: Option<u32>,
        policy: &PacerPolicy,
        now: Now,
    ) {
        self.cancel(write.cost);
        if write.sent < self.since {
            return;
        }
        self.report(left.unwrap_or(0), policy, now);
        let wait = retry_after_ms.unwrap_or_else(|| self.rest_ms(policy, now));
        // A server that keeps refusing with short waits is asked less and less often.
        let least = 1_000_u32 << self.refusals.min(MOST_DOUBLINGS);
        self.refusals = self.refusals.saturating_add(1);
        let until = now
            .monotonic()
            .saturating_add(math::widen(wait.max(least).min(DAY_MS)));
        self.refused_until = Some(self.refused_until.unwrap_or(until).max(until));
    }

    /// The server reported its time.
    pub(super) fn hear(&mut self, date: UnixTime, now: Instant) {
        self.server = Some((date, now));
    }

    /// Follows monotonic time that went backwards.
    pub(super) fn rewind(&mut self, now: Instant) {
        self.reported = self.reported.min(now);
        self.since = self.since.min(now);
        self.last_write = self.last_write.map(|last| last.min(now));
        let latest = now.saturating_add(math::widen(DAY_MS));
        self.refused_until = self.refused_until.map(|until| until.min(latest));
        self.server = self.server.filter(|(_, reported)| *reported <= now);
    }

    /// Holds a write back until its share of the day has passed since the one before.
    fn judge_pace(&self, usable: u32, policy: &PacerPolicy, now: Now) -> DayVerdict {
        if policy.daily_spending != DailySpending::Even {
            return DayVerdict::Go;
        }
        let Some(last) = self.last_write else {
            return DayVerdict::Go;
        };
        let at = now.monotonic();
        let rest = math::widen(self.rest_ms(policy, now));
        let (share, _) = math::div_rem(rest, usable.max(1));
        let next = last.saturating_add(share);
        match super::denial::narrow(next.saturating_since(at)) {
            0 => DayVerdict::Go,
            wait => DayVerdict::Wait(wait),
        }
    }

    fn charge(&mut self, cost: u32) {
        self.left = self.left.map(|left| left.saturating_sub(cost));
    }

    fn report(&mut self, left: u32, policy: &PacerPolicy, now: Now) {
        self.left = Some(left);
        self.reported = now.monotonic();
        self.told_day = self.server_utc(policy, now).map(UnixTime::day);
        self.probing = false;
    }

    /// A new day: all that is known is void.
    fn turn(&mut self, now: Instant) {
        self.left = None;
        self.probing = true;
        self.since = now;
        self.refused_until = None;
    }

    /// Returns `true` if the reported day is certainly over.
    fn is_over(&self, policy: &PacerPolicy, now: Now) -> bool {
        if self.left.is_none() {
            return false;
        }
        let age = now.monotonic().saturating_since(self.reported);
        if age >= math::widen(DAY_MS).saturating_add(math::widen(policy.utc_skew_ms)) {
            return true;
        }
        match (self.told_day, self.server_utc(policy, now)) {
            (Some(reported), Some(utc)) => utc.day() > reported,
            _ => false,
        }
    }

    /// Milliseconds until the day is over for certain, at least 1, at most 24 h and the skew.
    fn rest_ms(&self, policy: &PacerPolicy, now: Now) -> u32 {
        let longest = DAY_MS.saturating_add(policy.utc_skew_ms);
        let age = now.monotonic().saturating_since(self.reported);
        let by_age = super::denial::narrow(math::widen(longest).saturating_sub(age)).max(1);
        match self.server_utc(policy, now) {
            Some(utc) if self.told_day.is_some() => {
                let (_, second) = math::div_rem(utc.as_secs(), SECONDS_PER_DAY);
                let seconds = SECONDS_PER_DAY.saturating_sub(second);
                seconds.saturating_mul(1_000).min(by_age)
            }
            _ => by_age,
        }
    }

    /// The server's UTC, in no case later than the true one.
    fn server_utc(&self, policy: &PacerPolicy, now: Now) -> Option<UnixTime> {
        if let Some((date, reported)) = self.server {
            let (passed, _) = math::div_rem(now.monotonic().saturating_since(reported), 1_000);
            // The margin of rates: a device's clock may gain a second in a thousand.
            let passed = passed.saturating_sub(passed >> 10);
            return UnixTime::from_secs(date.as_secs().saturating_add(passed));
        }
        let (skew_s, rest) = math::div_rem(math::widen(policy.utc_skew_ms), 1_000);
        let skew_s = skew_s.saturating_add(u64::from(rest > 0));
        UnixTime::from_secs(now.utc()?.as_secs().saturating_sub(skew_s))
    }
}

/// A write that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landed {
    pub cost: u32,
    pub sent: Instant,
    pub charged: bool,
    /// `true` if a limiter decided it: its quota is reported, or the service accepted.
    pub judged: bool,
}

/// Seconds in a day.
const SECONDS_PER_DAY: u32 = 86_400;
/// 2^12 s: a little more than an hour.
const MOST_DOUBLINGS: u8 = 12;
