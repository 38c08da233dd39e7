//! The naive model: the same inputs in the model's words, its decisions in the core's.

use std::collections::BTreeSet;

use limiter_core::daily::DailyMode;
use limiter_core::{self as core, Outcome, Plan, Statistics};
use limiter_model as model;

use super::{Backend, BackendError};
use crate::log::Entry;
use crate::verdict::Verdict;

/// The model, with tokens and users by their keyed hashes.
pub(super) struct Naive(model::Model);

impl Naive {
    pub(super) fn new(policy: &core::Policy) -> Result<Self, BackendError> {
        Ok(Self(model::Model::new(policy_of(policy)?)))
    }
}

impl Backend for Naive {
    fn decide(&mut self, entry: &Entry) -> Result<Verdict, BackendError> {
        let request = model::Request {
            token: entry.request.token.map(core::TokenId::as_u64),
            method: method_of(entry.request.method)?,
            origin: match entry.request.origin {
                core::Origin::Api => model::Origin::Api,
                core::Origin::Ui => model::Origin::Ui,
                core::Origin::Webhook => model::Origin::Webhook,
            },
            cost: entry.request.cost.get().into(),
        };
        if let (Some(caller), Some(token)) = (entry.caller, request.token)
            && request.origin != model::Origin::Webhook
        {
            let kind = match caller.kind {
                core::Kind::ApiToken => model::Kind::ApiToken,
                core::Kind::AccessToken => model::Kind::AccessToken,
            };
            let plan = model::Limit::Plan(caller.plan.index().into());
            self.0.register(token, caller.user.as_u64(), kind, plan);
        }
        let now = model::Now {
            t_ms: entry.now.monotonic().as_millis(),
            utc: entry
                .now
                .utc()
                .and_then(|utc| i64::try_from(utc.as_secs()).ok()),
        };
        verdict_of(&self.0.check(&request, now))
    }

    fn statistics(&self) -> Option<Statistics> {
        None
    }
}

fn policy_of(policy: &core::Policy) -> Result<model::Policy, BackendError> {
    let plans = (0..core::Policy::MAX_PLANS).map(|index| {
        let plan = Plan::new(u8::try_from(index).unwrap_or(u8::MAX));
        [core::Kind::ApiToken, core::Kind::AccessToken]
            .map(|kind| policy.window_limit(plan, kind).unwrap_or(0).into())
    });
    let writes: BTreeSet<_> = METHODS
        .into_iter()
        .filter(|&(ours, _)| policy.writes().contains(ours))
        .map(|(_, theirs)| theirs)
        .collect();
    Ok(model::Policy {
        window_ms: policy.window_ms().into(),
        plans: plans.collect(),
        daily_limit: policy.daily().limit.into(),
        mode: match policy.daily().mode {
            DailyMode::Strict => model::Mode::Strict,
            DailyMode::Advisory => model::Mode::Advisory,
            DailyMode::FairUse {
                tolerated_days,
                forgiven_after_days,
            } => model::Mode::FairUse {
                tolerated_days: tolerated_days.into(),
                forgiven_after_days: forgiven_after_days.into(),
            },
            other => return Err(BackendError(format!("the model has no mode {other:?}"))),
        },
        writes,
        block: policy.block().map(|rule| model::Block {
            offences: rule.offences().into(),
            within_ms: rule.within_ms().into(),
            duration_ms: rule.duration_ms().into(),
            extend_on_hit: rule.extend_on_hit(),
        }),
        utc_floor: i64::try_from(policy.utc_floor().as_secs()).unwrap_or(i64::MAX),
    })
}

fn method_of(method: core::Method) -> Result<model::Method, BackendError> {
    let known = METHODS.into_iter().find(|&(ours, _)| ours == method);
    let missing = || BackendError(format!("the model has no method {method:?}"));
    known.map(|(_, theirs)| theirs).ok_or_else(missing)
}

fn verdict_of(decision: &model::Decision) -> Result<Verdict, BackendError> {
    let outcome = match decision.outcome {
        model::Outcome::Admitted => Outcome::Admitted,
        model::Outcome::Exempt => Outcome::Exempt,
        model::Outcome::Refused(reason) => Outcome::Refused(reason_of(reason)),
    };
    let narrow = |number: Option<u64>| {
        number
            .map(u32::try_from)
            .transpose()
            .map_err(|_| BackendError("the model reports a number of 2^32 or more".to_owned()))
    };
    Ok(Verdict {
        outcome,
        limit: narrow(decision.limit)?,
        remaining: narrow(decision.remaining)?,
        reset_ms: narrow(decision.reset_ms)?,
        daily_left: narrow(decision.daily_left)?,
        retry_after_ms: narrow(decision.retry_after_ms)?,
    })
}

fn reason_of(reason: model::Reason) -> core::Reason {
    match reason {
        model::Reason::Window => core::Reason::Window,
        model::Reason::Daily => core::Reason::Daily,
        model::Reason::CostExceedsLimit => core::Reason::CostExceedsLimit,
        model::Reason::Blocked => core::Reason::Blocked,
        model::Reason::Unauthenticated => core::Reason::Unauthenticated,
        model::Reason::TableFull => core::Reason::TableFull,
        model::Reason::ClockFailed => core::Reason::ClockFailed,
        model::Reason::StoreFailed => core::Reason::StoreFailed,
    }
}

const METHODS: [(core::Method, model::Method); 10] = [
    (core::Method::Get, model::Method::Get),
    (core::Method::Head, model::Method::Head),
    (core::Method::Post, model::Method::Post),
    (core::Method::Put, model::Method::Put),
    (core::Method::Patch, model::Method::Patch),
    (core::Method::Delete, model::Method::Delete),
    (core::Method::Options, model::Method::Options),
    (core::Method::Trace, model::Method::Trace),
    (core::Method::Connect, model::Method::Connect),
    (core::Method::Other, model::Method::Other),
];
