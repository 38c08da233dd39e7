//! Every rule of SPEC 3 to 9, each with a test named after what it says.

mod block;
mod calendar;
mod daily;
mod operations;
mod order;
mod table;
mod timeline;
mod window;

use limiter_model::{
    Block, Decision, Kind, Limit, Method, Mode, Model, Now, Origin, Outcome, Policy, Reason,
    Request,
};

/// The accounting day of most tests, and its noon in Unix seconds.
const DAY: i64 = 19_860;
const NOON: i64 = DAY * 86_400 + 43_200;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Token 1 of user 1 and token 2 of user 1 on Advanced (40), OAuth token 3 of user 1 (160).
fn model(policy: Policy) -> Model {
    let mut model = Model::new(policy);
    model.register(1, 1, Kind::ApiToken, Limit::Plan(1));
    model.register(2, 1, Kind::ApiToken, Limit::Plan(1));
    model.register(3, 1, Kind::AccessToken, Limit::Plan(1));
    model
}

fn pipedrive() -> Model {
    model(Policy::pipedrive())
}

/// The preset with a daily limit and a mode.
fn daily(daily_limit: u64, mode: Mode) -> Policy {
    Policy {
        daily_limit,
        mode,
        ..Policy::pipedrive()
    }
}

/// The preset with a block of 10 s for 3 offences within 1 s.
fn strict_block() -> Block {
    Block {
        offences: 3,
        within_ms: 1_000,
        duration_ms: 10_000,
        extend_on_hit: false,
    }
}

fn get(token: u64, cost: u64) -> Request {
    Request {
        token: Some(token),
        method: Method::Get,
        origin: Origin::Api,
        cost,
    }
}

fn post(token: u64, cost: u64) -> Request {
    Request {
        method: Method::Post,
        ..get(token, cost)
    }
}

/// A moment at which it is noon.
fn at(t_ms: u64) -> Now {
    Now {
        t_ms,
        utc: Some(NOON),
    }
}

/// A moment whose UTC is unknown.
fn dark(t_ms: u64) -> Now {
    Now { t_ms, utc: None }
}

/// A moment of the accounting day `DAY + day`, at noon.
fn on_day(t_ms: u64, day: i64) -> Now {
    Now {
        t_ms,
        utc: Some(NOON + day * 86_400),
    }
}

/// limit, remaining, reset and what is left of the day.
type Quota = (Option<u64>, Option<u64>, Option<u64>, Option<u64>);

fn quota(decision: &Decision) -> Quota {
    (
        decision.limit,
        decision.remaining,
        decision.reset_ms,
        decision.daily_left,
    )
}

fn refused(decision: &Decision) -> Option<(Reason, Option<u64>)> {
    match decision.outcome {
        Outcome::Refused(reason) => Some((reason, decision.retry_after_ms)),
        Outcome::Admitted | Outcome::Exempt => None,
    }
}

fn admits(model: &mut Model, request: &Request, now: Now) -> bool {
    model.check(request, now).outcome == Outcome::Admitted
}
