//! A line of the trace format (SPEC 11), read by the model's strict reader.

use std::num::NonZeroU32;

use limiter_core::{HashKey, Instant, Kind, Method, Now, Origin, Plan, UnixTime};
use limiter_model as model;
use limiter_model::trace::{Event, PLAN_WORDS};

use super::Wrong;
use crate::log::Record;

/// `plan` finds the plan of a word.
pub(super) fn record(
    line: &[u8],
    key: &HashKey,
    plan: impl Fn(&str) -> Result<Plan, Wrong>,
) -> Result<Record, Wrong> {
    let line = std::str::from_utf8(line).map_err(|error| {
        let column = error.valid_up_to() + 1;
        Wrong::new("line", format!("is not UTF-8 at column {column}"))
    })?;
    let event = Event::read(line).map_err(|error| Wrong::new(error.field, error.wrong))?;
    let cost = u32::try_from(event.cost).ok().and_then(NonZeroU32::new);
    Ok(Record {
        now: Now::new(
            Instant::from_millis(event.now.t_ms),
            event.now.utc.and_then(known),
        ),
        caller: event.caller.map(|caller| {
            (
                key.token(caller.token.as_bytes()),
                key.user(caller.user.as_bytes()),
            )
        }),
        kind: match event.kind {
            model::Kind::ApiToken => Kind::ApiToken,
            model::Kind::AccessToken => Kind::AccessToken,
        },
        plan: plan(PLAN_WORDS[event.plan])?,
        method: method(event.method),
        origin: match event.origin {
            model::Origin::Api => Origin::Api,
            model::Origin::Ui => Origin::Ui,
            model::Origin::Webhook => Origin::Webhook,
        },
        cost: cost.ok_or_else(|| Wrong::new("cost", "is out of range"))?,
    })
}

/// UTC before 1970 and from 2^39 on is unknown (SPEC 2); the policy's floor comes later.
fn known(utc: i64) -> Option<UnixTime> {
    u64::try_from(utc).ok().and_then(UnixTime::from_secs)
}

fn method(method: model::Method) -> Method {
    match method {
        model::Method::Get => Method::Get,
        model::Method::Head => Method::Head,
        model::Method::Post => Method::Post,
        model::Method::Put => Method::Put,
        model::Method::Patch => Method::Patch,
        model::Method::Delete => Method::Delete,
        model::Method::Connect => Method::Connect,
        model::Method::Options => Method::Options,
        model::Method::Trace => Method::Trace,
        model::Method::Other => Method::Other,
    }
}
