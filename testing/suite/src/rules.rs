//! Every rule of the specification, each a function named after what it says; [`crate::suite!`]
//! makes them tests of one implementation.
#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "the names say it, and failing is what they are for"
)]

pub mod block;
pub mod calendar;
pub mod daily;
pub mod decision;
pub mod operations;
pub mod order;
pub mod table;
pub mod timeline;
pub mod window;

use core::time::Duration;
use std::num::NonZeroU32;

use limiter_core::daily::DailyMode;
use limiter_core::policy::PolicyBuilder;
use limiter_core::{
    Decision, Kind, Method, Now, Origin, Plan, Policy, Reason, Receipt, Registered, Registration,
    Request, TokenLimit,
};

use crate::{Subject, now, token, user};

/// The accounting day of most tests, and its noon in Unix seconds.
const DAY: i64 = 19_860;
const NOON: i64 = DAY * 86_400 + 43_200;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const FAIR: DailyMode = DailyMode::FairUse {
    tolerated_days: 1,
    forgiven_after_days: 3,
};

/// Tokens 1 and 2 of user 1 on Advanced (40), OAuth token 3 of user 1 (160), token 4 of user 2.
fn subject<S: Subject>(policy: Policy) -> S {
    let mut subject = S::new(policy);
    for (id, owner, kind) in [
        (1, 1, Kind::ApiToken),
        (2, 1, Kind::ApiToken),
        (3, 1, Kind::AccessToken),
        (4, 2, Kind::ApiToken),
    ] {
        let registration = Registration::new(user(owner), kind, Plan::ADVANCED);
        let registered = subject.register(token(id), registration, dark(0));
        assert_eq!(registered, Ok(Registered::New));
    }
    subject
}

fn page<S: Subject>() -> S {
    subject(Policy::pipedrive())
}

/// The page's numbers, without a block.
fn plans() -> PolicyBuilder {
    Policy::pipedrive_builder().no_block()
}

fn built(builder: PolicyBuilder) -> Policy {
    builder.build().expect("a valid policy")
}

fn daily(limit: u32, mode: DailyMode) -> Policy {
    built(plans().daily_limit(limit).daily_mode(mode))
}

/// A block of 10 s for 3 offences within 1 s.
fn blocking() -> PolicyBuilder {
    plans().block(3, Duration::from_secs(1), Duration::from_secs(10))
}

/// Token 1 has one permit a window, and `policy` blocks.
fn one_permit<S: Subject>(policy: Policy) -> S {
    let mut subject = subject::<S>(policy);
    subject.update(token(1), TokenLimit::Own(1)).expect("known");
    subject
}

fn request(id: u64, method: Method, cost: u32) -> Request {
    let cost = NonZeroU32::new(cost).expect("a cost is at least 1");
    Request::new(token(id), method).with_cost(cost)
}

fn get(id: u64, cost: u32) -> Request {
    request(id, Method::Get, cost)
}

fn post(id: u64, cost: u32) -> Request {
    request(id, Method::Post, cost)
}

fn ui(id: u64, cost: u32) -> Request {
    post(id, cost).with_origin(Origin::Ui)
}

fn hook(id: u64, cost: u32) -> Request {
    post(id, cost).with_origin(Origin::Webhook)
}

/// A moment at which it is noon.
fn at(t_ms: u64) -> Now {
    on_day(t_ms, 0)
}

/// A moment whose UTC is unknown.
fn dark(t_ms: u64) -> Now {
    now(t_ms, None)
}

/// A moment of the day `DAY + day`, at noon.
fn on_day(t_ms: u64, day: i64) -> Now {
    now(t_ms, Some(NOON + day * 86_400))
}

/// A moment so many seconds after the midnight that ends `DAY`.
fn after_midnight(t_ms: u64, seconds: i64) -> Now {
    now(t_ms, Some((DAY + 1) * 86_400 + seconds))
}

/// Limit, remaining, reset and what is left of the day, if they are reported.
fn quota(decision: &Decision) -> Option<(u32, u32, u32, Option<u32>)> {
    let quota = decision.quota()?;
    Some((
        quota.limit,
        quota.remaining,
        quota.reset_ms,
        quota.daily_left,
    ))
}

fn daily_left(decision: &Decision) -> Option<u32> {
    decision.quota()?.daily_left
}

fn refused(decision: &Decision) -> Option<(Reason, Option<u32>)> {
    Some((decision.reason()?, decision.retry_after_ms()))
}

fn admits(subject: &mut impl Subject, request: &Request, now: Now) -> bool {
    subject.check(request, now).is_admitted()
}

fn receipt(subject: &mut impl Subject, request: &Request, now: Now) -> Receipt {
    let decision = subject.check(request, now);
    decision.into_receipt().expect("an admission has a receipt")
}

/// Spends token 1's one permit at `t_ms`, if it is there, and offends once.
fn offend(subject: &mut impl Subject, t_ms: u64) {
    if subject.peek(&get(1, 1), at(t_ms)).is_admitted() {
        assert!(admits(subject, &get(1, 1), at(t_ms)));
    }
    let decision = subject.check(&get(1, 1), at(t_ms));
    assert_eq!(decision.reason(), Some(Reason::Window), "at {t_ms}");
}

fn offend_at(subject: &mut impl Subject, moments: &[u64]) {
    for &t_ms in moments {
        offend(subject, t_ms);
    }
}

fn refills(subject: &impl Subject) -> u32 {
    subject.accounting_day().1
}
