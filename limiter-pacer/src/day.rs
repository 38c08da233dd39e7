//! What is left of the day's writes, and when there is more.
//!
//! The server alone knows the count, and tells it with every write. Between two answers the pacer
//! goes by the smallest number told, less what is under way. A number that grows again in an
//! answer to a later request tells of a new day. The day is also over once the *server's* UTC is
//! certain to have passed midnight: by the `date` of its last answer where it had one, else by
//! this device's UTC less its possible skew, and at the latest 24 h after the number was told.
//! Then one write goes ahead to learn what the new day allows.

use super::policy::{DAY_MS, DailySpending, PacerPolicy};
use super::{Priority, SendRequest};
use limiter_core::math;
use limiter_core::time::{Instant, Now, UnixTime};

/// The day's writes as the pacer knows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    /// What was told last, less what was charged without a word; `None` until a first word.
    left: Option<u32>,
    /// When that was.
    told: Instant,
    /// The server's day then, if its UTC was known.
    told_day: Option<u32>,
    /// Answers to requests sent earlier are of the day before.
    since: Instant,
    /// Cost of the writes under way, and how many they are.
    in_flight: u32,
    flights: u32,
    /// When a refusal said that there is more.
    refused_until: Option<Instant>,
    /// Refusals in a row.
    refusals: u8,
    /// Whether the next write goes alone, to learn.
    probing: bool,
    last_write: Option<Instant>,
    /// The server's time and when it was told.
    server: Option<(UnixTime, Instant)>,
}

/// What the day says of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayVerdict {
    Go,
    /// Not yet, for so many milliseconds.
    Wait(u32),
    /// Wait for the answers under way.
    Answers,
    /// Not today: there is more in so many milliseconds.
    Spent(u32),
    /// The rest is kept for writes of high priority.
    Kept(u32),
}

impl Day {
    pub(super) const NEW: Self = Self {
        left: None,
        told: Instant::ZERO,
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
        let Some(told) = left else {
            // Judged, and no word of a day: there may be none. A count that is known goes on.
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
            Some(left) if told > left => {
                if write.sent <= self.told {
                    return; // the count before the one that is known
                }
                self.since = write.sent;
                self.tell(told, policy, now);
            }
            _ => self.tell(told, policy, now),
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
        self.tell(left.unwrap_or(0), policy, now);
        let wait = retry_after_ms.unwrap_or_else(|| self.rest_ms(policy, now));
        // A server that keeps refusing with short waits is asked less and less often.
        let least = 1_000_u32 << self.refusals.min(MOST_DOUBLINGS);
        self.refusals = self.refusals.saturating_add(1);
        let until = now
            .monotonic()
            .saturating_add(math::widen(wait.max(least).min(DAY_MS)));
        self.refused_until = Some(self.refused_until.unwrap_or(until).max(until));
    }

    /// The server told its time.
    pub(super) fn hear(&mut self, date: UnixTime, now: Instant) {
        self.server = Some((date, now));
    }

    /// Follows monotonic time that went backwards.
    pub(super) fn rewind(&mut self, now: Instant) {
        self.told = self.told.min(now);
        self.since = self.since.min(now);
        self.last_write = self.last_write.map(|last| last.min(now));
        let latest = now.saturating_add(math::widen(DAY_MS));
        self.refused_until = self.refused_until.map(|until| until.min(latest));
        self.server = self.server.filter(|(_, told)| *told <= now);
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

    fn tell(&mut self, left: u32, policy: &PacerPolicy, now: Now) {
        self.left = Some(left);
        self.told = now.monotonic();
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

    /// Whether the day that was told of is over for certain.
    fn is_over(&self, policy: &PacerPolicy, now: Now) -> bool {
        if self.left.is_none() {
            return false;
        }
        let age = now.monotonic().saturating_since(self.told);
        if age >= math::widen(DAY_MS).saturating_add(math::widen(policy.utc_skew_ms)) {
            return true;
        }
        match (self.told_day, self.server_utc(policy, now)) {
            (Some(told), Some(utc)) => utc.day() > told,
            _ => false,
        }
    }

    /// Milliseconds until the day is over for certain, at least 1, at most 24 h and the skew.
    fn rest_ms(&self, policy: &PacerPolicy, now: Now) -> u32 {
        let longest = DAY_MS.saturating_add(policy.utc_skew_ms);
        let age = now.monotonic().saturating_since(self.told);
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
        if let Some((date, told)) = self.server {
            let (passed, _) = math::div_rem(now.monotonic().saturating_since(told), 1_000);
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
    /// Whether a limiter had its say: its quota is told, or the service was content.
    pub judged: bool,
}

/// Seconds in a day.
const SECONDS_PER_DAY: u32 = 86_400;
/// 2^12 s: a good hour.
const MOST_DOUBLINGS: u8 = 12;
