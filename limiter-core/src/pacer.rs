//! The other side: when may a caller send, so that it is never refused?
//!
//! A [`Pacer`] keeps what is known of a remote service's limits and says before each request to go
//! now, to wait, or to stop. It is told when each request is sent and what each response says. It
//! serves one token; tasks that share the token share its pacer.
//!
//! ```
//! use limiter_core::pacer::{Answer, Ask, Pacer, PacerPolicy, Verdict};
//! use limiter_core::{Instant, Kind, Method, Now, Plan, Policy};
//!
//! let told = PacerPolicy::of(&Policy::pipedrive(), Plan::ESSENTIAL, Kind::ApiToken).unwrap();
//! let mut pacer = Pacer::<32>::new(told);
//! let at = |millis| Now::new(Instant::from_millis(millis), None);
//!
//! for left in (0..20).rev() {
//!     let Verdict::Go(ticket) = pacer.ask(Ask::new(Method::Get), at(0)) else {
//!         panic!("the limit is 20");
//!     };
//!     // ... send the request, and 30 ms later there is a response:
//!     let left = left.to_string();
//!     let headers = [
//!         ("x-ratelimit-limit", "20"),
//!         ("x-ratelimit-remaining", left.as_str()),
//!         ("x-ratelimit-reset", "2"),
//!     ];
//!     pacer.answered(ticket, &Answer::read(200, headers, at(30)), at(30));
//! }
//! // The window of the last one may have opened as late as at its answer; 3 ms are the margin.
//! assert_eq!(pacer.ask(Ask::new(Method::Get), at(30)), Verdict::Wait(2_003));
//! ```
//!
//! # What is promised
//!
//! With nothing assumed of the network but that a request without an answer is lost after a time
//! ([`PacerPolicy::with_lost_after`]), no window of the service counts more of this pacer's
//! requests than its limit, less what is left to others: `flights.rs` has the proof. So no request
//! is refused by the window, as long as the limit is not lowered unannounced, others take no more
//! than is left to them, and the margin covers the clocks. It costs the time of a round trip in
//! each window; a bound of the transit's spread ([`PacerPolicy::with_transit_spread`]) saves that.
//!
//! # What is done with what goes wrong
//!
//! | response | what the pacer does |
//! |---|---|
//! | 429 by the window | everyone waits for `retry-after`, else the reset, else a growing number of windows; others are left more for a while |
//! | 429 to a write, with fewer of the day's writes left than it costs | writes stop until `retry-after`, else the service's midnight; reads go on |
//! | 429 to a write, no daily header, a wait of more than two windows | both |
//! | 429 with room left and no wait | nothing: the request costs more than it may, and is the caller's to mend |
//! | 403 without quota headers | everyone stops for a long time that grows with each one, see [`Pacer::denial`] |
//! | 403 with them | nothing: the service itself said no |
//! | 503 with `retry-after` | everyone waits for it |
//! | no header that tells a limit | goes by what it was told or has learned; else one request at a time, and a pause after each |
//! | values that cannot be believed | left out; see [`Answer`] |

mod answer;
mod bytes;
mod date;
mod day;
mod denial;
mod flights;
mod opener;
mod others;
mod policy;
mod quota_fields;
mod status;
mod verdict;

pub use self::answer::{Answer, AnswerReader};
pub use self::policy::{Counting, DailySpending, PacerPolicy};
pub use self::status::{DenialState, PacerStatus};
pub use self::verdict::{Ask, Priority, Stop, StopReason, Ticket, Verdict};

use self::day::{Day, DayVerdict, Landed};
use self::denial::{Denial, Gate};
use self::flights::{Flight, Flights, Landing, Terms};
use self::opener::Opener;
use self::others::Others;
use self::policy::DAY_MS;
use self::verdict::RANKS;
use crate::math;
use crate::time::{Instant, Now};

/// Says when a token's next request may be sent; see [the module](self).
///
/// `FLIGHTS` is the number of requests that can be without an answer at once, at least 2. It also
/// bounds the burst: with fewer slots than the limit, answered requests share slots, which costs
/// some throughput and never a refusal. A pacer has 56 bytes for each, and about 300 besides.
///
/// Every method is *O*(`FLIGHTS`), does not allocate, block or panic, and reads no clock.
/// Monotonic time that goes backwards lengthens no wait beyond what it could have been at most.
#[derive(Clone, Debug)]
pub struct Pacer<const FLIGHTS: usize> {
    policy: PacerPolicy,
    flights: Flights<FLIGHTS>,
    /// Permits per window that the service reported, and the sending of the request it answered.
    limit: Option<u32>,
    limit_sent: Instant,
    cap: Option<u32>,
    /// The longest window seen, where none is told.
    learned_window_ms: Option<u32>,
    /// The request that opened the newest known window.
    opener: Opener,
    others: Others,
    gate: Gate,
    denial: Denial,
    day: Day,
    /// Until when requests of each rank that were told to wait go before lower ones.
    waiting: [Instant; RANKS],
    last_seen: Instant,
}

impl<const FLIGHTS: usize> Pacer<FLIGHTS> {
    /// A pacer that has sent nothing yet.
    #[must_use]
    pub const fn new(policy: PacerPolicy) -> Self {
        const {
            assert!(
                FLIGHTS >= 2 && FLIGHTS <= MOST_FLIGHTS,
                "a pacer has 2 to 65536 flights"
            );
        }
        Self {
            policy,
            flights: Flights::new(),
            limit: None,
            limit_sent: Instant::ZERO,
            cap: None,
            learned_window_ms: None,
            opener: Opener::UNKNOWN,
            others: Others::NONE,
            gate: Gate::OPEN,
            denial: Denial::new(policy.seed),
            day: Day::NEW,
            waiting: [Instant::ZERO; RANKS],
            last_seen: Instant::ZERO,
        }
    }

    /// Asks to send a request now.
    ///
    /// [`Verdict::Go`] reserves its permits until its answer tells when they come back. Send at
    /// once, or say with [`Pacer::sent`] when it was done. After [`Verdict::Wait`] ask again, at
    /// the latest when the time has passed; the next answer may open the way sooner.
    pub fn ask(&mut self, ask: Ask, now: Now) -> Verdict {
        self.settle(now.monotonic());
        let at = now.monotonic();
        if let Some(retry_ms) = self.denial.wait_ms(at) {
            return Verdict::Stop(Stop::until(StopReason::Denied, retry_ms));
        }
        if self
            .known_limit()
            .is_some_and(|limit| ask.cost.get() > limit)
        {
            return Verdict::Stop(Stop::NEVER_FITS);
        }
        let write = self.policy.writes.contains(ask.method);
        if write {
            match self.day.judge(&ask, &self.policy, now) {
                DayVerdict::Go => {}
                DayVerdict::Wait(wait_ms) => return Verdict::Wait(wait_ms),
                DayVerdict::Answers => return Verdict::Wait(self.hint_ms()),
                DayVerdict::Spent(retry_ms) => {
                    return Verdict::Stop(Stop::until(StopReason::DailySpent, retry_ms));
                }
                DayVerdict::Kept(retry_ms) => {
                    return Verdict::Stop(Stop::until(StopReason::DailyKept, retry_ms));
                }
            }
        }
        let rank = self.rank(&ask, write);
        let wait_ms = self.window_wait_ms(&ask, at);
        if wait_ms > 0 {
            self.note_waiting(rank, wait_ms, at);
            return Verdict::Wait(wait_ms);
        }
        if let Some(wait_ms) = self.wait_for_higher(rank, at) {
            return Verdict::Wait(wait_ms);
        }
        let terms = self.terms();
        let Some(ticket) = self.flights.depart(ask.cost.get(), write, at, &terms) else {
            return Verdict::Wait(self.hint_ms());
        };
        if write {
            self.day.depart(ask.cost.get(), at);
        }
        if let Some(waiting) = self.waiting.get_mut(rank) {
            *waiting = Instant::ZERO;
        }
        Verdict::Go(ticket)
    }

    /// Says that a request goes out only now, some time after [`Verdict::Go`].
    pub fn sent(&mut self, ticket: &Ticket, now: Now) {
        let terms = self.terms();
        self.flights.delay(ticket, now.monotonic(), &terms);
    }

    /// Gives a reservation back whose request was not sent and never will be.
    ///
    /// A request that was sent and got no answer is not cancelled: drop its ticket, and its
    /// permits come back when it is certain to be lost.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn cancel(&mut self, ticket: Ticket) {
        if let Some(flight) = self.flights.cancel(&ticket)
            && flight.write
        {
            self.day.cancel(flight.cost);
        }
    }

    /// Takes the response to a request, and the moment at which it came.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn answered(&mut self, ticket: Ticket, answer: &Answer, now: Now) {
        self.settle(now.monotonic());
        let at = now.monotonic();
        if let Some(date) = answer.date {
            self.day.hear(date, at);
        }
        self.learn_window(answer);
        let terms = self.terms();
        let landing = self.landing(answer);
        let hold_ms = landing.hold_ms;
        let used = landing.used.filter(|_| landing.charged);
        let Some((flight, others)) = self.flights.land(&ticket, landing, at, &terms) else {
            // It counted as lost. What it says of quotas is stale; a refusal is one.
            self.heed(None, answer, at);
            return;
        };
        self.learn_limit(answer, flight.sent);
        if used == Some(flight.cost) {
            self.opener.learn(flight.sent, at);
        }
        self.others
            .see(others, at.saturating_add(math::widen(hold_ms)));
        if flight.write {
            self.land_write(&flight, answer, now);
        }
        self.heed(Some(&flight), answer, at);
    }

    /// Tells the pacer of a limit that may come into force: from now on it sends as if the limit
    /// were at most `permits`. `None` goes by what the service reports.
    ///
    /// Say so a window and a round trip before a plan is lowered, and nothing is refused.
    pub fn set_cap(&mut self, permits: Option<u32>) {
        self.cap = permits.map(|permits| permits.max(1));
    }

    /// Access that was denied with 403, until the service answers otherwise. A person should see
    /// this: the service blocks callers who ignore its refusals, and something is wrong.
    #[must_use]
    pub fn denial(&self, now: Now) -> Option<DenialState> {
        (self.denial.streak() > 0).then(|| DenialState {
            times: self.denial.streak(),
            retry_ms: self.denial.wait_ms(now.monotonic()).unwrap_or(0),
            untold: self.denial.is_untold(),
        })
    }

    /// Notes that a person has been told of the denial; it lasts.
    pub fn acknowledge_denial(&mut self) {
        self.denial.acknowledge();
    }

    /// Ends a denial, at the word of a person who has mended its cause.
    pub fn lift_denial(&mut self) {
        self.denial.lift();
    }

    /// What the pacer knows at this moment.
    #[must_use]
    pub fn status(&self) -> PacerStatus {
        PacerStatus {
            limit: self.known_limit(),
            window_ms: self.policy.window_ms.or(self.learned_window_ms),
            held: self.flights.held(),
            flying: self.flights.flying(),
            others: self.left_to_others(self.limit_or_one()),
            daily_left: self.day.left(),
        }
    }

    /// How it behaves.
    #[must_use]
    pub const fn policy(&self) -> &PacerPolicy {
        &self.policy
    }

    fn settle(&mut self, now: Instant) {
        let terms = self.terms();
        if now < self.last_seen {
            self.flights.rewind(now, &terms);
            self.others.rewind(now);
            self.gate.rewind(now);
            self.denial.rewind(now);
            self.day.rewind(now);
            self.limit_sent = self.limit_sent.min(now);
            self.opener = Opener::UNKNOWN;
            self.waiting = [Instant::ZERO; RANKS];
        }
        self.last_seen = now;
        let day = &mut self.day;
        self.flights.settle(now, &terms, |lost| {
            if lost.write {
                day.lose(lost.cost);
            }
        });
        self.others.settle(now, terms.window_ms);
    }

    /// What an answer says of its request's permits.
    fn landing(&self, answer: &Answer) -> Landing {
        let from_first = self.policy.counting == Counting::FromFirst;
        // A request that was refused is not counted, at least where the counting is known.
        let charged = match answer.status {
            429 => !from_first,
            403 | 503 => answer.has_quota() || !from_first,
            _ => true,
        };
        let window_ms = self.window_ms();
        let hold_ms = match answer.reset_ms {
            // SPEC W6 bounds what may be told; beyond that it is no reset of this window.
            Some(reset_ms) if from_first && reset_ms > 0 => {
                reset_ms.min(window_ms.saturating_mul(2))
            }
            _ => window_ms,
        };
        // Nothing left may also be less than nothing, after a limit was lowered.
        let used = match (answer.limit.or(self.known_limit()), answer.remaining) {
            (Some(limit), Some(remaining)) if remaining > 0 && remaining < limit => {
                Some(limit.saturating_sub(remaining))
            }
            _ => None,
        };
        Landing {
            hold_ms,
            used,
            charged,
            restarts: from_first,
        }
    }

    /// Takes the limit of an answer to a request at least as late as the last one heeded.
    fn learn_limit(&mut self, answer: &Answer, sent: Instant) {
        if let Some(limit) = answer.limit
            && sent >= self.limit_sent
        {
            self.limit = Some(limit);
            self.limit_sent = sent;
        }
    }

    /// Learns the length of the window where it is not told: the longest reset is nearest to it.
    fn learn_window(&mut self, answer: &Answer) {
        if self.policy.window_ms.is_some() {
            return;
        }
        let Some(seen) = answer.window_ms.or(answer.reset_ms).filter(|&ms| ms > 0) else {
            return;
        };
        let before = self.window_ms();
        if self.learned_window_ms.is_none_or(|known| seen > known) {
            self.learned_window_ms = Some(seen);
            self.flights.lengthen(seen.saturating_sub(before));
        }
    }

    /// Heeds what an answer says beyond its own request: refusals, for everyone.
    fn heed(&mut self, flight: Option<&Flight>, answer: &Answer, now: Instant) {
        let window_ms = self.window_ms();
        match answer.status {
            403 if !answer.has_quota() => {
                let sent = flight.map_or(now, |flight| flight.sent);
                let first_ms = self.policy.denied_ms;
                self.denial.deny(sent, answer.retry_after_ms, first_ms, now);
                return;
            }
            429 if refused_by_day(flight, answer, window_ms) => {
                if answer.daily_left.is_none() || answer.remaining == Some(0) {
                    self.gate.close(answer.reset_ms, window_ms, now);
                }
            }
            429 if never_fits(answer) => {}
            429 => {
                let wait_ms = answer.retry_after_ms.max(answer.reset_ms);
                self.gate.close(wait_ms, window_ms, now);
                if let Some(limit) = self.known_limit() {
                    self.others.refused(limit, now, window_ms);
                }
            }
            503 => {
                if answer.retry_after_ms.is_some() {
                    self.gate.close(answer.retry_after_ms, window_ms, now);
                }
            }
            _ => self.gate.passed(),
        }
        if let Some(flight) = flight {
            self.denial.passed(flight.sent);
        }
    }

    fn land_write(&mut self, flight: &Flight, answer: &Answer, now: Now) {
        let refused = matches!(answer.status, 403 | 429 | 503);
        let landed = Landed {
            cost: flight.cost,
            sent: flight.sent,
            charged: !refused,
        };
        let window_ms = self.window_ms();
        let by_day = answer.status == 429 && refused_by_day(Some(flight), answer, window_ms);
        if by_day {
            let wait = answer.retry_after_ms;
            self.day
                .refuse(landed, answer.daily_left, wait, &self.policy, now);
        } else {
            self.day.land(landed, answer.daily_left, &self.policy, now);
        }
    }

    /// Milliseconds until the window may have room for a request, 0 if it has.
    fn window_wait_ms(&self, ask: &Ask, now: Instant) -> u32 {
        let gate_ms = self.gate.wait_ms(now);
        if gate_ms > 0 {
            return gate_ms;
        }
        if self.denial.streak() > 0 && self.flights.flying() > 0 {
            return self.hint_ms();
        }
        let limit = self.limit_or_one();
        let left_to_others = self.left_to_others(limit);
        let held = self.flights.held();
        let wanted = held.saturating_add(ask.cost.get());
        // A request that is larger than what others leave goes when nothing else is held.
        let alone = held == 0 && left_to_others <= self.policy.others;
        let wanted_of_all = wanted.saturating_add(left_to_others);
        if alone || wanted_of_all < limit {
            return 0;
        }
        if wanted_of_all == limit {
            return self.last_permit_wait_ms(limit, now);
        }
        let terms = self.terms();
        let mut next = self.flights.next_return(&terms);
        if wanted <= limit {
            next = earlier(next, self.others.next_change());
        }
        let by_time = next.map(|next| denial::narrow(next.saturating_since(now)));
        match by_time {
            Some(wait_ms) if self.flights.flying() == 0 => wait_ms.max(1),
            Some(wait_ms) => wait_ms.min(self.hint_ms()).max(1),
            None => self.hint_ms(),
        }
    }

    /// Permits of a window that are not this pacer's to spend.
    fn left_to_others(&self, limit: u32) -> u32 {
        let by_policy = self.policy.others.min(limit.saturating_sub(1));
        by_policy.max(self.others.permits(limit))
    }

    /// The limit, or one request at a time until it is known.
    fn limit_or_one(&self) -> u32 {
        self.known_limit().unwrap_or(1)
    }

    /// The last permit of a window is worth more at its end: if it lands in the next window, that
    /// window is known to be open a round trip sooner. So it is kept until it might, where a round
    /// trip costs more of a window than one permit is worth.
    fn last_permit_wait_ms(&self, limit: u32, now: Instant) -> u32 {
        if self.policy.counting != Counting::FromFirst || self.policy.transit_spread_ms.is_some() {
            return 0;
        }
        let Some(next) = self.opener.next(limit, &self.terms()) else {
            return 0;
        };
        match denial::narrow(next.saturating_since(now)) {
            // A newer window's opener may be among those under way.
            0 if self.flights.flying() > 0 => self.hint_ms(),
            wait_ms => wait_ms,
        }
    }

    /// How long to wait for answers before asking again, where no time is known.
    fn hint_ms(&self) -> u32 {
        (self.window_ms() >> 4).clamp(1, LONGEST_HINT_MS)
    }

    /// Writes go before reads of the same priority once few are left of the day.
    fn rank(&self, ask: &Ask, write: bool) -> usize {
        let pressed = write
            && self
                .day
                .left()
                .is_some_and(|left| left <= self.policy.writes_first_below);
        ask.priority.rank(pressed)
    }

    fn note_waiting(&mut self, rank: usize, wait_ms: u32, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(rank) {
            let back = math::widen(wait_ms).saturating_add(GRACE_MS);
            *waiting = (*waiting).max(now.saturating_add(back));
        }
    }

    /// Milliseconds for which a request of a higher rank, which was told to wait, goes first.
    fn wait_for_higher(&self, rank: usize, now: Instant) -> Option<u32> {
        let higher = self.waiting.iter().skip(rank.saturating_add(1)).max()?;
        match denial::narrow(higher.saturating_since(now)) {
            0 => None,
            wait_ms => Some(wait_ms),
        }
    }

    /// The limit in force, as far as is known.
    fn known_limit(&self) -> Option<u32> {
        let known = self.limit.or(self.policy.limit);
        match (known, self.cap) {
            (Some(known), Some(cap)) => Some(known.min(cap)),
            (known, cap) => known.or(cap),
        }
    }

    /// The length of a window, as far as is known.
    fn window_ms(&self) -> u32 {
        self.policy
            .window_ms
            .or(self.learned_window_ms)
            .unwrap_or(self.policy.silent_window_ms)
    }

    fn terms(&self) -> Terms {
        Terms {
            window_ms: self.window_ms(),
            spread_ms: self.policy.transit_spread_ms,
            margin_ms: self.policy.margin_ms,
            lost_after_ms: self.policy.lost_after_ms,
        }
    }
}

/// Whether a 429 comes from the day's quota: it was a write, and fewer are left than it costs; or
/// no word of the day, but a wait that no window explains.
fn refused_by_day(flight: Option<&Flight>, answer: &Answer, window_ms: u32) -> bool {
    let Some(flight) = flight.filter(|flight| flight.write) else {
        return false;
    };
    match answer.daily_left {
        Some(left) => left < flight.cost,
        None => answer
            .retry_after_ms
            .is_some_and(|wait| wait > window_ms.saturating_mul(2)),
    }
}

/// Whether a 429 is of a request that can never fit: quota headers, and no time to come back.
fn never_fits(answer: &Answer) -> bool {
    answer.has_quota() && answer.remaining != Some(0) && answer.retry_after_ms.is_none()
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A ticket's slot fits 16 bits.
const MOST_FLIGHTS: usize = 1 << 16;
/// How long a request that was told to wait goes before lower ones after its time has come.
const GRACE_MS: u64 = 10;
/// An answer comes, if at all, within the time of a round trip.
const LONGEST_HINT_MS: u32 = 1_000;
const _: () = assert!(LONGEST_HINT_MS < DAY_MS, "a hint is no wait");

#[cfg(test)]
mod tests;
