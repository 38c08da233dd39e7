//! A pacer for the calling side of a rate-limited API.
//!
//! A [`Pacer`] tracks the limits of a remote service and decides, before each request, whether to
//! send it now, to wait, or to stop, so that the service never refuses it. The caller reports when
//! a request is sent and passes in each response. One pacer serves one token; tasks that share the
//! token share the pacer.
//!
//! ```
//! use limiter_pacer::{ResponseInfo, SendRequest, Pacer, PacerPolicy, SendDecision};
//! use limiter_core::{Instant, Kind, Method, Now, Plan, Policy};
//!
//! let policy = PacerPolicy::of(&Policy::pipedrive(), Plan::ESSENTIAL, Kind::ApiToken).unwrap();
//! let mut pacer = Pacer::<32>::new(policy);
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
//! // The last request's window may have opened as late as its response; the margin is 3 ms.
//! assert_eq!(pacer.poll_send(SendRequest::new(Method::Get), at(30)), SendDecision::Wait(2_003));
//! ```
//!
//! # Guarantee
//!
//! No window of the service counts more of this pacer's requests than the limit less what is
//! reserved for others; `flights.rs` has the proof. The only assumption about the network is that
//! a request without a response is lost after a stated time ([`PacerPolicy::with_lost_after`]). So
//! the window never refuses a request, provided that the limit is not lowered without notice, that
//! other users of the token take no more than is reserved for them, and that the margin covers the
//! difference of the clocks. The price is one round trip in each window; a bound on the variation
//! of the transit time ([`PacerPolicy::with_transit_spread`]) removes it.
//!
//! # Refusals and other failures
//!
//! | response | reaction of the pacer |
//! |---|---|
//! | 429 by the window | all requests wait for `retry-after`, else for the reset, else for a growing number of windows; more is reserved for others for a while |
//! | 429 with room left and no wait | the same: a limit that no header reports |
//! | a wait or a reset of 0 | ignored: some services round down |
//! | 429 to a write, fewer daily writes left than it costs | writes stop until `retry-after`, else until the service's midnight; reads continue |
//! | 429 to a write, no daily header, a wait of more than two windows | both |
//! | 429 to a request that costs more than the limit | stopped from then on: waiting cannot help |
//! | 403 without quota headers | all requests stop for a long time that grows with each 403; see [`Pacer::denial`] |
//! | 403 with quota headers | none: the service itself refused, not its limiter |
//! | 503 with `retry-after` | all requests wait for it |
//! | no header that reports a limit | the configured or learned limit applies; without one, one request at a time with a pause after each |
//! | implausible values | ignored; see [`ResponseInfo`] |
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

/// A pacer for the requests of one token; see [the crate](self).
///
/// `FLIGHTS` is the number of requests that can await a response at once, 2 to 65 536. It also
/// bounds the burst: with fewer slots than the limit, answered requests share slots, which costs
/// some throughput but never causes a refusal. A pacer takes 56 bytes per slot and about 400 more.
///
/// Every method is *O*(`FLIGHTS`), does not allocate, block or panic, and reads no clock. Monotonic
/// time that goes backwards never lengthens a wait beyond its original maximum.
#[derive(Clone, Debug)]
pub struct Pacer<const FLIGHTS: usize> {
    policy: PacerPolicy,
    flights: Flights<FLIGHTS>,
    /// Permits per window that the service reported, and the sending of the request it answered.
    limit: Option<u32>,
    limit_sent: Instant,
    cap: Option<u32>,
    /// The longest window seen, where none is configured or reported.
    learned_window_ms: Option<u32>,
    /// The request that opened the newest known window.
    opener: Opener,
    others: Others,
    gate: Gate,
    denial: Denial,
    day: Day,
    /// End of the precedence of each rank's waiting requests over lower ranks.
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
    /// [`SendDecision::Go`] reserves the request's permits. Send it at once, or report the moment of
    /// sending with [`Pacer::on_sent`]. After [`SendDecision::Wait`] ask again when the time has
    /// passed; a response in between may allow it sooner.
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

    /// Reports that a request is sent only now, some time after [`SendDecision::Go`].
    pub fn on_sent(&mut self, ticket: &Ticket, now: Now) {
        let terms = self.terms();
        self.flights.delay(ticket, now.monotonic(), &terms);
    }

    /// Cancels the reservation of a request that was not sent and never will be.
    ///
    /// Do not cancel a request that was sent and got no response: drop its ticket. Its permits
    /// return once it is certain to be lost.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn cancel(&mut self, ticket: Ticket) {
        if let Some(flight) = self.flights.cancel(&ticket)
            && flight.write
        {
            self.day.cancel(flight.cost);
        }
    }

    /// Processes the response to a request, received at `now`.
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
            // It counted as lost. Its quota is stale; a refusal is still a refusal.
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

    /// Caps the limit at `permits` from now on, whatever the service reports. `None` removes the cap.
    ///
    /// A cap that is set one window and one round trip before a plan is lowered avoids all refusals.
    pub fn set_cap(&mut self, permits: Option<u32>) {
        self.cap = permits.map(|permits| permits.max(1));
    }

    /// Returns the state of a denial (403), until the service answers otherwise. A person should see
    /// it: the service blocks callers that ignore its refusals, so something is wrong.
    #[must_use]
    pub fn denial(&self, now: Now) -> Option<DenialState> {
        (self.denial.streak() > 0).then(|| DenialState {
            times: self.denial.streak(),
            retry_ms: self.denial.wait_ms(now.monotonic()).unwrap_or(0),
            unacknowledged: self.denial.is_unacknowledged(),
        })
    }

    /// Records that a person knows of the denial. The denial continues.
    pub fn acknowledge_denial(&mut self) {
        self.denial.acknowledge();
    }

    /// Ends a denial after a person has removed its cause.
    pub fn lift_denial(&mut self) {
        self.denial.lift();
    }

    /// Returns a summary of the pacer's state.
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

    /// The policy in force.
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

    /// Permits of a window that are reserved for others.
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
