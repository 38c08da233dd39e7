//! Writes lines: events in full or as short as defaults allow, and decisions.

use serde_json::Value;

use super::{Event, KIND_WORDS, METHOD_WORDS, ORIGIN_WORDS, PLAN_WORDS};
use crate::decision::Decision;
use crate::policy::{Kind, Method, Origin};

impl Event {
    /// Writes the event with every field; a line without a token has neither token nor user.
    ///
    /// [`Method::Other`] has no word, so it becomes `null` and is not read back.
    #[must_use]
    pub fn line(&self) -> String {
        self.write(|_| true)
    }

    /// Writes the event without the fields that have their default.
    #[must_use]
    pub fn short_line(&self) -> String {
        self.write(|is_default| !is_default)
    }

    /// Writes the event with those fields for which `keep`, asked whether it is a default,
    /// answers true.
    fn write(&self, keep: impl Fn(bool) -> bool) -> String {
        let mut fields = vec![("t_ms", Value::from(self.now.t_ms))];
        if keep(self.now.utc.is_none()) {
            fields.push(("utc", self.now.utc.into()));
        }
        if let Some(caller) = &self.caller {
            fields.push(("token", caller.token.as_str().into()));
            if keep(caller.user == caller.token) {
                fields.push(("user", caller.user.as_str().into()));
            }
        }
        if keep(self.kind == Kind::ApiToken) {
            fields.push(("kind", word(&KIND_WORDS, self.kind)));
        }
        if keep(self.plan == 0) {
            fields.push(("plan", PLAN_WORDS[self.plan].into()));
        }
        if keep(self.method == Method::Get) {
            fields.push(("method", word(&METHOD_WORDS, self.method)));
        }
        if keep(self.origin == Origin::Api) {
            fields.push(("origin", word(&ORIGIN_WORDS, self.origin)));
        }
        if keep(self.cost == 1) {
            fields.push(("cost", self.cost.into()));
        }
        object(&fields)
    }
}

/// Writes the decision of the request with the 0-based index `i`.
#[must_use]
pub fn decision_line(i: usize, decision: &Decision) -> String {
    object(&[
        ("i", i.into()),
        ("status", decision.status().into()),
        ("reason", decision.word().into()),
        ("limit", decision.limit.into()),
        ("remaining", decision.remaining.into()),
        ("reset_ms", decision.reset_ms.into()),
        ("daily_left", decision.daily_left.into()),
        ("retry_after_ms", decision.retry_after_ms.into()),
    ])
}

/// One object with its fields in order; names need no escape.
fn object(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

fn word<T: PartialEq>(words: &[(&'static str, T)], meaning: T) -> Value {
    words
        .iter()
        .find(|(_, m)| *m == meaning)
        .map(|&(word, _)| word)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Now;
    use crate::trace::Caller;

    #[test]
    fn what_is_written_is_read_back() {
        let full = Event {
            now: Now {
                t_ms: 8_796_093_022_207,
                utc: Some(-1),
            },
            caller: Some(Caller {
                token: "a \"b\"\u{1}".into(),
                user: "u".into(),
            }),
            kind: Kind::AccessToken,
            plan: 3,
            method: Method::Delete,
            origin: Origin::Ui,
            cost: 4_294_967_295,
        };
        let plain = Event::read(r#"{"t_ms":0,"token":"a"}"#).unwrap();
        let nobody = Event::read(r#"{"t_ms":0}"#).unwrap();
        for event in [full, plain, nobody] {
            assert_eq!(Event::read(&event.line()).as_ref(), Ok(&event));
            assert_eq!(Event::read(&event.short_line()).as_ref(), Ok(&event));
        }
    }

    #[test]
    fn a_short_line_leaves_the_defaults_out() {
        let line = r#"{"t_ms": 0, "token": "a"}"#;
        let event = Event::read(line).unwrap();
        assert_eq!(event.short_line(), line);
        assert_eq!(
            event.line(),
            r#"{"t_ms": 0, "utc": null, "token": "a", "user": "a", "kind": "api_token", "plan": "essential", "method": "GET", "origin": "api", "cost": 1}"#
        );
    }
}
