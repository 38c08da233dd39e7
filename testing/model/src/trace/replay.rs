//! Drives a model through a trace: registers, updates and decides as SPEC 11 says.

use std::collections::BTreeMap;

use super::Event;
use crate::decision::Decision;
use crate::model::Model;
use crate::policy::{Limit, Origin, Policy, Request};

/// Replays a trace, one event after the other.
#[derive(Clone, Debug)]
pub struct Replay {
    model: Model,
    /// The tokens that are registered, each with the plan of its last line.
    tokens: BTreeMap<String, (u64, usize)>,
    users: BTreeMap<String, u64>,
}

impl Replay {
    /// Makes a replay in which no token has been seen.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            model: Model::new(policy),
            tokens: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// Decides one event.
    ///
    /// A token is registered with the user, kind and plan of its first line; a later line with
    /// another plan changes the plan (P3). A webhook line registers and changes nothing.
    ///
    /// # Panics
    /// If the event's plan is none of the policy's.
    pub fn decide(&mut self, event: &Event) -> Decision {
        if event.origin != Origin::Webhook {
            self.make_known(event);
        }
        self.model.check(&self.request(event), event.now)
    }

    /// Returns the request that an event makes; a token that is not registered is unknown.
    #[must_use]
    pub fn request(&self, event: &Event) -> Request {
        let token = event
            .caller
            .as_ref()
            .map(|caller| match self.token(&caller.token) {
                Some(id) => id,
                None => UNKNOWN,
            });
        Request {
            token,
            method: event.method,
            origin: event.origin,
            cost: event.cost,
        }
    }

    /// Returns the model as it is now.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the model's id of a token that has been registered.
    #[must_use]
    pub fn token(&self, token: &str) -> Option<u64> {
        self.tokens.get(token).map(|&(id, _)| id)
    }

    /// Returns the model's id of a user that has been registered.
    #[must_use]
    pub fn user(&self, user: &str) -> Option<u64> {
        self.users.get(user).copied()
    }

    fn make_known(&mut self, event: &Event) {
        let Some(caller) = &event.caller else { return };
        if let Some((id, plan)) = self.tokens.get_mut(&caller.token) {
            if *plan != event.plan {
                *plan = event.plan;
                self.model.update(*id, Limit::Plan(event.plan));
            }
            return;
        }
        let next_user = id_after(self.users.len());
        let user = *self.users.entry(caller.user.clone()).or_insert(next_user);
        let id = id_after(self.tokens.len());
        self.tokens.insert(caller.token.clone(), (id, event.plan));
        self.model
            .register(id, user, event.kind, Limit::Plan(event.plan));
    }
}

/// The id that follows `count` others.
fn id_after(count: usize) -> u64 {
    count as u64
}

/// An id that is never given.
const UNKNOWN: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn decide(replay: &mut Replay, line: &str) -> Decision {
        replay.decide(&Event::read(line).unwrap())
    }

    #[test]
    fn a_webhook_line_registers_and_changes_nothing() {
        let mut replay = Replay::new(Policy::pipedrive());
        let hook = r#"{"t_ms":0,"token":"a","plan":"enterprise","origin":"webhook"}"#;
        assert_eq!(decide(&mut replay, hook).outcome, Outcome::Exempt);
        assert_eq!(replay.token("a"), None);
        assert_eq!(
            decide(&mut replay, r#"{"t_ms":0,"token":"a"}"#).limit,
            Some(20)
        );
        assert_eq!(decide(&mut replay, hook).outcome, Outcome::Exempt);
        let model = replay.model();
        assert_eq!(model.limit(replay.token("a").unwrap()), Some(20));
    }

    #[test]
    fn a_later_line_changes_the_plan_but_neither_user_nor_kind() {
        let mut replay = Replay::new(Policy::pipedrive());
        let first = r#"{"t_ms":0,"token":"a","user":"u","plan":"advanced","method":"POST"}"#;
        assert_eq!(decide(&mut replay, first).daily_left, Some(9_999));
        let later = r#"{"t_ms":1,"token":"a","user":"v","kind":"access_token","method":"POST"}"#;
        let decision = decide(&mut replay, later);
        // The plan is absent, so it is `essential` now; what was used stays used.
        assert_eq!((decision.limit, decision.remaining), (Some(20), Some(18)));
        assert_eq!(decision.daily_left, Some(9_998));
        assert_eq!(replay.user("v"), None);
    }

    #[test]
    fn a_line_without_a_token_is_unauthenticated() {
        let mut replay = Replay::new(Policy::pipedrive());
        let decision = decide(&mut replay, r#"{"t_ms":0,"user":"u"}"#);
        assert_eq!(
            (decision.status(), decision.word()),
            (401, Some("unauthenticated"))
        );
    }
}
