//! The same thing in the core's and in the model's words.

use std::num::{NonZeroU32, NonZeroU64};

use limiter_core::daily::DailyMode;
use limiter_core::policy::BlockRule;
use limiter_core::{Instant, Kind, Method, Now, Origin, Plan, Policy, Request, TokenLimit};
use limiter_core::{TokenId, UnixTime, UserId};
use limiter_model as model;

/// Returns the token with the id `id`, which must not be 0.
#[must_use]
pub fn token(id: u64) -> TokenId {
    TokenId::from_hash(NonZeroU64::new(id).expect("an id is not 0"))
}

/// Returns the user with the id `id`, which must not be 0.
#[must_use]
pub fn user(id: u64) -> UserId {
    UserId::from_hash(NonZeroU64::new(id).expect("an id is not 0"))
}

/// Returns both clocks' reading; a UTC that cannot be told is unknown.
#[must_use]
pub fn now(t_ms: u64, utc: Option<i64>) -> Now {
    let utc = utc
        .and_then(|seconds| u64::try_from(seconds).ok())
        .and_then(UnixTime::from_secs);
    Now::new(Instant::from_millis(t_ms), utc)
}

/// Returns the model's form of a policy that has plans without a gap, from 0 on.
#[must_use]
pub fn model_policy(policy: &Policy) -> model::Policy {
    let kinds = [Kind::ApiToken, Kind::AccessToken];
    let plans = (0..8).map_while(|plan| {
        let [api, oauth] = kinds.map(|kind| policy.window_limit(Plan::new(plan), kind));
        Some([u64::from(api?), u64::from(oauth?)])
    });
    let mode = match policy.daily().mode {
        DailyMode::Strict => model::Mode::Strict,
        DailyMode::Advisory => model::Mode::Advisory,
        DailyMode::FairUse {
            tolerated_days,
            forgiven_after_days,
        } => model::Mode::FairUse {
            tolerated_days: tolerated_days.into(),
            forgiven_after_days: forgiven_after_days.into(),
        },
        _ => unimplemented!("a mode that the model does not know"),
    };
    model::Policy {
        window_ms: policy.window_ms().into(),
        plans: plans.collect(),
        daily_limit: policy.daily().limit.into(),
        mode,
        writes: METHODS
            .into_iter()
            .filter(|&(core, _)| policy.writes().contains(core))
            .map(|(_, model)| model)
            .collect(),
        block: policy.block().map(model_block),
        utc_floor: i64::try_from(policy.utc_floor().as_secs()).expect("it is below 2^39"),
    }
}

fn model_block(rule: BlockRule) -> model::Block {
    model::Block {
        offences: rule.offences().into(),
        within_ms: rule.within_ms().into(),
        duration_ms: rule.duration_ms().into(),
        extend_on_hit: rule.extend_on_hit(),
    }
}

/// Returns the core's form of a kind.
pub(crate) fn core_kind(kind: model::Kind) -> Kind {
    match kind {
        model::Kind::ApiToken => Kind::ApiToken,
        model::Kind::AccessToken => Kind::AccessToken,
    }
}

/// Returns the core's form of a limit.
pub(crate) fn core_limit(limit: model::Limit) -> TokenLimit {
    match limit {
        model::Limit::Plan(plan) => {
            TokenLimit::Plan(Plan::new(u8::try_from(plan).expect("there are 8 plans")))
        }
        model::Limit::Own(permits) => {
            TokenLimit::Own(u32::try_from(permits).expect("a limit fits 20 bits"))
        }
    }
}

/// Returns the core's form of a request.
///
/// # Panics
///
/// If the cost is not from 1 to 2^32 - 1.
#[must_use]
pub fn core_request(request: &model::Request) -> Request {
    let method = METHODS
        .into_iter()
        .find(|&(_, model)| model == request.method)
        .map_or(Method::Other, |(core, _)| core);
    let origin = match request.origin {
        model::Origin::Api => Origin::Api,
        model::Origin::Ui => Origin::Ui,
        model::Origin::Webhook => Origin::Webhook,
    };
    let cost = u32::try_from(request.cost).ok().and_then(NonZeroU32::new);
    let base = match request.token {
        Some(id) => Request::new(token(id), method),
        None => Request::anonymous(method),
    };
    base.with_origin(origin)
        .with_cost(cost.expect("a cost is from 1 to 2^32 - 1"))
}

const METHODS: [(Method, model::Method); 9] = [
    (Method::Get, model::Method::Get),
    (Method::Head, model::Method::Head),
    (Method::Post, model::Method::Post),
    (Method::Put, model::Method::Put),
    (Method::Patch, model::Method::Patch),
    (Method::Delete, model::Method::Delete),
    (Method::Options, model::Method::Options),
    (Method::Trace, model::Method::Trace),
    (Method::Connect, model::Method::Connect),
];
