//! Reads a line strictly: what is not in SPEC 11 is an error that names the field.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use super::{Caller, Event, KIND_WORDS, METHOD_WORDS, ORIGIN_WORDS, PLAN_WORDS};
use crate::policy::{Kind, Method, Now, Origin};

impl Event {
    /// Reads one line of a trace.
    ///
    /// A field that is `null` is absent. An unknown field and one that stands twice are errors.
    ///
    /// # Errors
    /// Says which field is wrong and what is wrong with it. No text of the line is repeated, since
    /// any of it may be a token; a number is where one is wanted.
    pub fn read(line: &str) -> Result<Self, TraceError> {
        let Fields(mut fields) = serde_json::from_str(line).map_err(|e| not_an_object(&e))?;
        for (i, (name, _)) in fields.iter().enumerate() {
            if !FIELDS.contains(&name.as_str()) {
                let wrong = format!("has a field, number {}, that no trace has", i + 1);
                return Err(TraceError::new("line", wrong));
            }
            if fields[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(TraceError::new(name, "stands twice".into()));
            }
        }
        fields.retain(|(_, value)| !value.is_null());
        let field = |name: &'static str| Field {
            name,
            value: fields
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value),
        };

        let t_ms = field("t_ms").integer(0, T_END_MS - 1)?;
        let t_ms = t_ms.ok_or_else(|| TraceError::new("t_ms", "is missing".into()))?;
        let utc = field("utc").integer(i64::MIN.into(), i64::MAX.into())?;
        let (token, user) = (field("token").text()?, field("user").text()?);
        let caller = token.map(|token| Caller {
            token: token.to_owned(),
            user: user.unwrap_or(token).to_owned(),
        });
        let plans: Vec<(&str, usize)> = PLAN_WORDS
            .iter()
            .enumerate()
            .map(|(plan, &word)| (word, plan))
            .collect();
        Ok(Self {
            now: Now {
                t_ms: narrow(t_ms),
                utc: utc.map(narrow),
            },
            caller,
            kind: field("kind").word(&KIND_WORDS)?.unwrap_or(Kind::ApiToken),
            plan: field("plan").word(&plans)?.unwrap_or(0),
            method: field("method").word(&METHOD_WORDS)?.unwrap_or(Method::Get),
            origin: field("origin").word(&ORIGIN_WORDS)?.unwrap_or(Origin::Api),
            cost: field("cost").integer(1, u32::MAX.into())?.map_or(1, narrow),
        })
    }
}

/// Says what is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The field, or `line`.
    pub field: String,
    /// What is wrong with it.
    pub wrong: String,
}

impl TraceError {
    fn new(field: &str, wrong: String) -> Self {
        Self {
            field: field.to_owned(),
            wrong,
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.wrong)
    }
}

impl std::error::Error for TraceError {}

/// The fields of one object as they stand, twice if one stands twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// One field, absent or not `null`.
struct Field<'a> {
    name: &'static str,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    fn integer(&self, min: i128, max: i128) -> Result<Option<i128>, TraceError> {
        let Some(value) = self.value else {
            return Ok(None);
        };
        let number = value
            .as_u64()
            .map(i128::from)
            .or_else(|| value.as_i64().map(i128::from));
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => {
                let what = match value {
                    Value::Number(number) => number.to_string(),
                    _ => class(value).to_owned(),
                };
                Err(self.error(format!(
                    "must be an integer from {min} to {max}, not {what}"
                )))
            }
        }
    }

    fn text(&self) -> Result<Option<&'a str>, TraceError> {
        let Some(value) = self.value else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.error(format!("must be text, not {}", class(value))))
    }

    fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<Option<T>, TraceError> {
        let Some(value) = self.value else {
            return Ok(None);
        };
        let known = words.iter().find(|(word, _)| value.as_str() == Some(*word));
        known.map(|&(_, meaning)| Some(meaning)).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
            let words = words.join(", ");
            match value {
                Value::String(_) => self.error(format!("must be one of {words}, not another text")),
                _ => self.error(format!("must be one of {words}, not {}", class(value))),
            }
        })
    }

    fn error(&self, wrong: String) -> TraceError {
        TraceError::new(self.name, wrong)
    }
}

/// What the JSON parser complains of, without the text that it complains about.
fn not_an_object(error: &serde_json::Error) -> TraceError {
    let wrong = match error.classify() {
        Category::Data => "is JSON, but no object".into(),
        Category::Syntax | Category::Eof | Category::Io => {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            format!("is no JSON object: {what} at column {}", error.column())
        }
    };
    TraceError::new("line", wrong)
}

/// Says what sort of value it is.
fn class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn narrow<T: TryFrom<i128, Error: fmt::Debug>>(number: i128) -> T {
    T::try_from(number).expect("the range was checked")
}

/// Monotonic time is below 2^43 ms (SPEC 2).
const T_END_MS: i128 = 1 << 43;
const FIELDS: [&str; 9] = [
    "t_ms", "utc", "token", "user", "kind", "plan", "method", "origin", "cost",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_and_nulls_take_their_defaults() {
        let caller = Some(Caller {
            token: "a".into(),
            user: "a".into(),
        });
        let event = Event {
            now: Now { t_ms: 5, utc: None },
            caller,
            kind: Kind::ApiToken,
            plan: 0,
            method: Method::Get,
            origin: Origin::Api,
            cost: 1,
        };
        assert_eq!(Event::read(r#"{"t_ms":5,"token":"a"}"#), Ok(event.clone()));
        let nulls = r#"{"t_ms":5,"utc":null,"token":"a","user":null,"kind":null,"plan":null,
            "method":null,"origin":null,"cost":null}"#;
        assert_eq!(Event::read(nulls), Ok(event.clone()));
        let nobody = Event {
            caller: None,
            ..event
        };
        assert_eq!(
            Event::read(r#"{"t_ms":5,"token":null,"user":"u"}"#),
            Ok(nobody)
        );
    }

    #[test]
    fn the_ranges_of_numbers_are_exact() {
        for good in [
            r#"{"t_ms":8796093022207}"#,
            r#"{"t_ms":0,"utc":9223372036854775807}"#,
            r#"{"t_ms":0,"utc":-9223372036854775808}"#,
            r#"{"t_ms":0,"cost":4294967295}"#,
        ] {
            assert!(Event::read(good).is_ok(), "{good}");
        }
        for (bad, field) in [
            (r"{}", "t_ms"),
            (r#"{"t_ms":null}"#, "t_ms"),
            (r#"{"t_ms":8796093022208}"#, "t_ms"),
            (r#"{"t_ms":-1}"#, "t_ms"),
            (r#"{"t_ms":1.0}"#, "t_ms"),
            (r#"{"t_ms":"1"}"#, "t_ms"),
            (r#"{"t_ms":0,"utc":9223372036854775808}"#, "utc"),
            (r#"{"t_ms":0,"utc":false}"#, "utc"),
            (r#"{"t_ms":0,"cost":0}"#, "cost"),
            (r#"{"t_ms":0,"cost":4294967296}"#, "cost"),
        ] {
            assert_eq!(
                Event::read(bad).map_err(|e| e.field),
                Err(field.into()),
                "{bad}"
            );
        }
    }

    #[test]
    fn words_are_compared_exactly() {
        for (bad, field) in [
            (r#"{"t_ms":0,"kind":"Api_token"}"#, "kind"),
            (r#"{"t_ms":0,"plan":"Advanced"}"#, "plan"),
            (r#"{"t_ms":0,"method":"post"}"#, "method"),
            (r#"{"t_ms":0,"method":""}"#, "method"),
            (r#"{"t_ms":0,"origin":" api"}"#, "origin"),
            (r#"{"t_ms":0,"token":7}"#, "token"),
            (r#"{"t_ms":0,"user":[]}"#, "user"),
            (r#"{"t_ms":0,"colour":"red"}"#, "line"),
            (r#"{"t_ms":0,"t_ms":0}"#, "t_ms"),
            ("[]", "line"),
            ("", "line"),
            (r#"{"t_ms":0} {}"#, "line"),
        ] {
            assert_eq!(
                Event::read(bad).map_err(|e| e.field),
                Err(field.into()),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_error_says_the_field_and_what_is_wrong() {
        let text = |line| Event::read(line).unwrap_err().to_string();
        assert_eq!(
            text(r#"{"t_ms":0,"cost":0}"#),
            "`cost` must be an integer from 1 to 4294967295, not 0"
        );
        assert_eq!(
            text(r#"{"t_ms":0,"origin":"UI"}"#),
            "`origin` must be one of api, ui, webhook, not another text"
        );
        assert_eq!(
            text(r#"{"t_ms":0,"kind":1.5}"#),
            "`kind` must be one of api_token, access_token, not a number"
        );
        assert_eq!(
            text(r#"{"t_ms":0,"utc":"1"}"#),
            "`utc` must be an integer from -9223372036854775808 to 9223372036854775807, not text"
        );
        assert_eq!(text("{}"), "`t_ms` is missing");
        assert_eq!(text("[]"), "`line` is JSON, but no object");
        assert_eq!(
            text(r#"{"t_ms":0"#),
            "`line` is no JSON object: EOF while parsing an object at column 9"
        );
        assert_eq!(
            text(r#"{"t_ms":0,"colour":"red"}"#),
            "`line` has a field, number 2, that no trace has"
        );
    }

    #[test]
    fn an_error_repeats_no_text_of_the_line() {
        for bad in [
            r#""secret""#,
            r#"["secret"]"#,
            r#"{"t_ms":0,"secret":1}"#,
            r#"{"t_ms":0,"token":["secret"]}"#,
            r#"{"t_ms":0,"token":{"secret":0}}"#,
            r#"{"t_ms":"secret"}"#,
            r#"{"t_ms":0,"cost":"secret"}"#,
            r#"{"t_ms":0,"plan":"secret"}"#,
            r#"{"t_ms":0,"token":"secret" "#,
            r#"{"t_ms":0,"token":"secret\q"}"#,
            r#"{"t_ms":0,"token":secret}"#,
            r#"{"t_ms":0} secret"#,
        ] {
            let text = Event::read(bad).unwrap_err().to_string();
            assert!(!text.contains("secret"), "{text}");
        }
        for bad in [r#"{"t_ms":0,"token":4711}"#, r#"{"t_ms":0,"plan":4711}"#] {
            let text = Event::read(bad).unwrap_err().to_string();
            assert!(!text.contains("4711"), "{text}");
        }
    }
}
