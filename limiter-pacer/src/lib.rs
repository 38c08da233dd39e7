//! The other side: when may a caller send, so that it is never refused?
//!
//! A [`Pacer`] keeps what is known of a remote service's limits and says before each request to go
//! now, to wait, or to stop. It is told when each request is sent and what each response says. It
//! serves one token; tasks that share the token share its pacer.
//!
//! ```
//! use limiter_pacer::{ResponseInfo, SendRequest, Pacer, PacerPolicy, SendDecision};
//! use limiter_core::{Instant, Kind, Method, Now, Plan, Policy};
//!
//! let told = PacerPolicy::of(&Policy::pipedrive(), Plan::ESSENTIAL, Kind::ApiToken).unwrap();
//! let mut pacer = Pacer::<32>::new(told);
//! let at = |millis| Now::new(Instant::from_millis(millis), None);
//!
//! for left in (0..20).rev() {
//!     let SendDecision::Go(ticket) = pacer.poll_send(SendRequest::new(Method::Get), at(0)) else {
//!         panic!("the limit is 20");
//!     };
//!     // ... send the request, and 30 ms later there is a response:
//!     let left = left.to_string();
//!     let headers = [
//!         ("x-ratelimit-limit", "20"),
//!         ("x-ratelimit-remaining", left.as_str()),
//!         ("x-ratelimit-reset", "2"),
//!     ];
//!     pacer.on_response(ticket, &ResponseInfo::read(200, headers, at(30)), at(30));
//! }
//! // The window of the last one may have opened as late as at its answer; 3 ms are the margin.
//! assert_eq!(pacer.poll_send(SendRequest::new(Method::Get), at(30)), SendDecision::Wait(2_003));
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
//! | 429 with room left and no wait | the same: a limit of which no header tells |
//! | a wait or a reset of 0 | none is told: some services round down |
//! | 429 to a write, with fewer of the day's writes left than it costs | writes stop until `retry-after`, else the service's midnight; reads go on |
//! | 429 to a write, no daily header, a wait of more than two windows | both |
//! | 429 to a request that costs more than the limit | nothing: it is the caller's to mend, and stopped from then on |
//! | 403 without quota headers | everyone stops for a long time that grows with each one, see [`Pacer::denial`] |
//! | 403 with them | nothing: the service itself said no |
//! | 503 with `retry-after` | everyone waits for it |
//! | no header that tells a limit | goes by what it was told or has learned; else one request at a time, and a pause after each |
//! | values that cannot be believed | left out; see [`ResponseInfo`] |
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::integer_division,
    clippy::as_conversions
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::integer_division,
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "a test that overflows or divides by zero fails, as it should"
    )
)]

#[cfg(test)]
extern crate std;

mod day;
mod denial;
mod flights;
pub mod headers;
mod learn;
mod opener;
mod others;
mod policy;
mod send;
mod status;
mod wait;

pub use self::headers::{HeaderReader, ResponseInfo};
pub use self::policy::{Counting, DailySpending, PacerPolicy};
pub use self::send::{Priority, SendDecision, SendRequest, Stop, StopReason, Ticket};
pub use self::status::{DenialState, PacerStatus};

use self::day::{Day, DayVerdict};
use self::denial::{Denial, Gate};
use self::flights::{Flights, Terms};
use self::opener::Opener;
use self::others::Others;
use self::send::RANKS;
use limiter_core::math;
use limiter_core::time::{Instant, Now};

/// Says when a token's next request may be sent; see [the module](self).
///
/// `FLIGHTS` is the number of requests that can be without an answer at once, at least 2. It also
/// bounds the burst: with fewer slots than the limit, answered requests share slots, which costs
/// some throughput and never a refusal. A pacer has 56 bytes for each, and about 400 besides.
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
    /// [`SendDecision::Go`] reserves its permits until its answer tells when they come back. Send at
    /// once, or say with [`Pacer::on_sent`] when it was done. After [`SendDecision::Wait`] ask again, at
    /// the latest when the time has passed; the next answer may open the way sooner.
    pub fn poll_send(&mut self, request: SendRequest, now: Now) -> SendDecision {
        self.settle(now.monotonic());
        let at = now.monotonic();
        if let Some(retry_ms) = self.denial.wait_ms(at) {
            return SendDecision::Stop(Stop::until(StopReason::Denied, retry_ms));
        }
        if self
            .known_limit()
            .is_some_and(|limit| request.cost.get() > limit)
        {
            return SendDecision::Stop(Stop::NEVER_FITS);
        }
        let write = self.policy.writes.contains(request.method);
        if write {
            match self.day.judge(&request, &self.policy, now) {
                DayVerdict::Go => {}
                DayVerdict::Wait(wait_ms) => return SendDecision::Wait(wait_ms),
                DayVerdict::Answers => return SendDecision::Wait(self.hint_ms()),
                DayVerdict::Spent(retry_ms) => {
                    return SendDecision::Stop(Stop::until(StopReason::DailySpent, retry_ms));
                }
                DayVerdict::Kept(retry_ms) => {
                    return SendDecision::Stop(Stop::until(StopReason::DailyKept, retry_ms));
                }
            }
        }
        let rank = self.rank(&request, write);
        let wait_ms = self.window_wait_ms(&request, at);
        if wait_ms > 0 {
            self.note_waiting(rank, wait_ms, at);
            return SendDecision::Wait(wait_ms);
        }
        if let Some(wait_ms) = self.wait_for_higher(rank, at) {
            return SendDecision::Wait(wait_ms);
        }
        let terms = self.terms();
        let Some(ticket) = self.flights.depart(request.cost.get(), write, at, &terms) else {
            return SendDecision::Wait(self.hint_ms());
        };
        if write {
            self.day.depart(request.cost.get(), at);
        }
        if let Some(waiting) = self.waiting.get_mut(rank) {
            *waiting = Instant::ZERO;
        }
        SendDecision::Go(ticket)
    }

    /// Says that a request goes out only now, some time after [`SendDecision::Go`].
    pub fn on_sent(&mut self, ticket: &Ticket, now: Now) {
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
    pub fn on_response(&mut self, ticket: Ticket, answer: &ResponseInfo, now: Now) {
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
            unacknowledged: self.denial.is_unacknowledged(),
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
            in_flight: self.flights.in_flight(),
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

    /// Permits of a window that are not this pacer's to spend.
    fn left_to_others(&self, limit: u32) -> u32 {
        let by_policy = self.policy.others.min(limit.saturating_sub(1));
        by_policy.max(self.others.permits(limit))
    }

    /// The limit, or one request at a time until it is known.
    fn limit_or_one(&self) -> u32 {
        self.known_limit().unwrap_or(1)
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

/// A ticket's slot fits 16 bits.
const MOST_FLIGHTS: usize = 1 << 16;
#[cfg(test)]
mod tests;
