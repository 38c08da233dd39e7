//! The trace format (SPEC 11) without an allocator: one flat JSON object a line in, one out.

use core::fmt;
use core::num::NonZeroU32;

use limiter_core::{
    Decision, HashKey, Instant, Kind, LimiterIn, Method, Now, Origin, Outcome, Plan, Registration,
    Request, TokenId, TokenLimit, TokenRow, UnixTime, UpdateError, UserRow,
};

/// A line of a trace, its names still in the line's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    token: Option<&'a str>,
    user: Option<&'a str>,
    kind: Kind,
    plan: Plan,
    method: Method,
    origin: Origin,
    cost: NonZeroU32,
    now: Now,
}

/// Why a line means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// It is not one flat object of words and whole numbers.
    Syntax,
    /// It has a field that the format does not know.
    UnknownField,
    /// A field's value is none of those it may have.
    Value,
    /// It has no `t_ms`.
    NoTime,
}

impl<'a> Line<'a> {
    /// Reads one line.
    pub fn parse(line: &'a str) -> Result<Self, TraceError> {
        let mut parsed = Self {
            token: None,
            user: None,
            kind: Kind::ApiToken,
            plan: Plan::ESSENTIAL,
            method: Method::Get,
            origin: Origin::Api,
            cost: NonZeroU32::MIN,
            now: Now::new(Instant::ZERO, None),
        };
        let (mut time, mut utc) = (None, None);
        let inside = line
            .trim()
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .ok_or(TraceError::Syntax)?;
        for field in inside.split(',') {
            let (key, value) = field.split_once(':').ok_or(TraceError::Syntax)?;
            let (key, value) = (quoted(key.trim())?, value.trim());
            if value == "null" {
                continue;
            }
            match key {
                "t_ms" => time = Some(millis(value)?),
                "utc" => utc = seconds(value)?,
                "token" => parsed.token = Some(quoted(value)?),
                "user" => parsed.user = Some(quoted(value)?),
                "kind" => parsed.kind = kind(quoted(value)?)?,
                "plan" => parsed.plan = plan(quoted(value)?)?,
                "method" => parsed.method = Method::from_exact_name(quoted(value)?),
                "origin" => parsed.origin = origin(quoted(value)?)?,
                "cost" => parsed.cost = value.parse().map_err(|_| TraceError::Value)?,
                _ => return Err(TraceError::UnknownField),
            }
        }
        parsed.now = Now::new(time.ok_or(TraceError::NoTime)?, utc);
        Ok(parsed)
    }

    /// Decides the line: registers its token when it is first seen, and follows its plan.
    ///
    /// # Errors
    ///
    /// `None` if the limiter has no row for the token.
    pub fn decide<T, U>(&self, limiter: &mut LimiterIn<T, U>, key: &HashKey) -> Option<Decision>
    where
        T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
        U: AsRef<[UserRow]> + AsMut<[UserRow]>,
    {
        let request = match self.token {
            None => Request::anonymous(self.method),
            Some(token) => {
                let id = key.token(token.as_bytes());
                if self.origin != Origin::Webhook {
                    self.make_known(limiter, key, id, token)?;
                }
                Request::new(id, self.method)
            }
        };
        Some(limiter.check(
            &request.with_cost(self.cost).with_origin(self.origin),
            self.now,
        ))
    }

    fn make_known<T, U>(
        &self,
        limiter: &mut LimiterIn<T, U>,
        key: &HashKey,
        id: TokenId,
        token: &str,
    ) -> Option<()>
    where
        T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
        U: AsRef<[UserRow]> + AsMut<[UserRow]>,
    {
        match limiter.update(id, TokenLimit::Plan(self.plan)) {
            Err(UpdateError::UnknownToken) => {
                let user = key.user(self.user.unwrap_or(token).as_bytes());
                let registration = Registration::new(user, self.kind, self.plan);
                limiter
                    .register(id, registration, self.now)
                    .ok()
                    .map(|_| ())
            }
            updated => updated.ok(),
        }
    }
}

/// Writes the decision of the line with this index.
pub fn write_decision(out: &mut impl fmt::Write, index: usize, decision: &Decision) -> fmt::Result {
    let quota = decision.quota();
    write!(
        out,
        "{{\"i\":{index},\"status\":{}",
        decision.status().unwrap_or(200)
    )?;
    match decision.outcome() {
        Outcome::Admitted => out.write_str(",\"reason\":null")?,
        Outcome::Exempt => out.write_str(",\"reason\":\"exempt\"")?,
        Outcome::Refused(reason) => write!(out, ",\"reason\":\"{}\"", reason.word())?,
    }
    write_number(out, "limit", quota.map(|quota| quota.limit))?;
    write_number(out, "remaining", quota.map(|quota| quota.remaining))?;
    write_number(out, "reset_ms", quota.map(|quota| quota.reset_ms))?;
    write_number(out, "daily_left", quota.and_then(|quota| quota.daily_left))?;
    write_number(out, "retry_after_ms", decision.retry_after_ms())?;
    out.write_str("}\n")
}

fn write_number(out: &mut impl fmt::Write, name: &str, value: Option<u32>) -> fmt::Result {
    match value {
        Some(value) => write!(out, ",\"{name}\":{value}"),
        None => write!(out, ",\"{name}\":null"),
    }
}

/// A JSON string without escapes: what names are made of here.
fn quoted(value: &str) -> Result<&str, TraceError> {
    let inside = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(TraceError::Syntax)?;
    if inside.contains(['"', '\\']) {
        Err(TraceError::Syntax)
    } else {
        Ok(inside)
    }
}

fn millis(value: &str) -> Result<Instant, TraceError> {
    let millis = value.parse().map_err(|_| TraceError::Value)?;
    if millis > Instant::MAX.as_millis() {
        Err(TraceError::Value)
    } else {
        Ok(Instant::from_millis(millis))
    }
}

/// Any 64-bit number is a value; one that no clock could mean is unknown time.
fn seconds(value: &str) -> Result<Option<UnixTime>, TraceError> {
    let secs: i64 = value.parse().map_err(|_| TraceError::Value)?;
    Ok(u64::try_from(secs).ok().and_then(UnixTime::from_secs))
}

fn kind(word: &str) -> Result<Kind, TraceError> {
    match word {
        "api_token" => Ok(Kind::ApiToken),
        "access_token" => Ok(Kind::AccessToken),
        _ => Err(TraceError::Value),
    }
}

fn plan(word: &str) -> Result<Plan, TraceError> {
    match word {
        "essential" => Ok(Plan::ESSENTIAL),
        "advanced" => Ok(Plan::ADVANCED),
        "professional" => Ok(Plan::PROFESSIONAL),
        "enterprise" => Ok(Plan::ENTERPRISE),
        _ => Err(TraceError::Value),
    }
}

fn origin(word: &str) -> Result<Origin, TraceError> {
    match word {
        "api" => Ok(Origin::Api),
        "ui" => Ok(Origin::Ui),
        "webhook" => Ok(Origin::Webhook),
        _ => Err(TraceError::Value),
    }
}

#[cfg(test)]
mod tests {
    use limiter_core::{Limiter, Policy};

    use super::*;

    #[test]
    fn fills_in_what_a_line_leaves_out() {
        let line = Line::parse(r#"{"t_ms":7,"utc":null,"token":"a"}"#).unwrap();
        assert_eq!(
            (line.token, line.user, line.cost.get()),
            (Some("a"), None, 1)
        );
        assert_eq!((line.kind, line.plan), (Kind::ApiToken, Plan::ESSENTIAL));
        assert_eq!(line.now, Now::new(Instant::from_millis(7), None));
    }

    #[test]
    fn refuses_what_the_format_does_not_know() {
        for (line, error) in [
            ("", TraceError::Syntax),
            (r#"{"t_ms":7,"token":a}"#, TraceError::Syntax),
            (r#"{"t_ms":7,"token":"a\n"}"#, TraceError::Syntax),
            (r#"{"token":"a"}"#, TraceError::NoTime),
            (r#"{"t_ms":8796093022208}"#, TraceError::Value),
            (r#"{"t_ms":7,"cost":0}"#, TraceError::Value),
            (r#"{"t_ms":7,"plan":"Advanced"}"#, TraceError::Value),
            (r#"{"t_ms":7,"colour":"red"}"#, TraceError::UnknownField),
        ] {
            assert_eq!(Line::parse(line), Err(error), "{line}");
        }
    }

    #[test]
    fn writes_every_field_of_a_decision() {
        let mut limiter = Limiter::<2, 2>::new(Policy::pipedrive());
        let key = HashKey::new([1; 16]);
        let line = r#"{"t_ms":1,"utc":1716000000,"token":"a","plan":"advanced","method":"POST"}"#;
        let decision = Line::parse(line)
            .unwrap()
            .decide(&mut limiter, &key)
            .unwrap();
        let mut text = String::new();
        write_decision(&mut text, 3, &decision).unwrap();
        assert_eq!(
            text,
            "{\"i\":3,\"status\":200,\"reason\":null,\"limit\":40,\"remaining\":39,\"reset_ms\":2000,\
             \"daily_left\":9999,\"retry_after_ms\":null}\n"
        );
    }
}
