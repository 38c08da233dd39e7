//! Decisions as `http` responses (SPEC 7): the core renders, this file puts it into types.

use super::fields::{value, write_quota};
use super::grpc;
use super::refusal::{Refusal, is_refusal};
use super::settings::Settings;
use crate::awaited::DecideAsync;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use limiter_core::http::{body, headers, seconds};
use limiter_core::{Decision, Policy, Reason, TokenId};

impl<D: DecideAsync> Settings<D> {
    /// The answer to a refused request with these headers.
    pub(super) fn refusal(
        &self,
        decision: &Decision,
        token: Option<TokenId>,
        request: &HeaderMap,
    ) -> Response<&'static str> {
        let policy = self.policy_to_write();
        // OK because every reason's status is a status.
        let status = decision.status().map(StatusCode::from_u16);
        let status = status.and_then(Result::ok).unwrap_or_default();
        let wait_s = self.retry_after_s(decision, token);
        let mut response = match grpc::content_type(request) {
            Some(content_type) => grpc::refusal(content_type, grpc::status(status), wait_s),
            None => match body(decision, &policy, self.style) {
                Some(body) => plain(status, body.content_type, body.text),
                None => Response::default(),
            },
        };
        let refusal = Refusal::new(status, decision.reason());
        response.extensions_mut().insert(refusal);
        self.write_headers(response.headers_mut(), decision, &policy);
        if status == StatusCode::UNAUTHORIZED
            && let Some(challenge) = self.style.challenge
        {
            // OK because a challenge is of visible ASCII and spaces.
            let challenge = HeaderValue::from_static(challenge.as_str());
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait_s) = wait_s {
            response.headers_mut().insert(RETRY_AFTER, value(wait_s));
        }
        response
    }

    /// Puts the quota headers onto the service's answer, in the place of those that are there, unless
    /// another limiter behind this one has refused: its numbers stand.
    pub(super) fn report<R>(&self, answer: &mut Response<R>, decision: &Decision) {
        if decision.quota().is_some() && !is_refusal(answer) {
            self.write_headers(answer.headers_mut(), decision, &self.policy_to_write());
        }
    }

    /// The headers of a quota.
    fn write_headers(&self, into: &mut HeaderMap, decision: &Decision, policy: &Policy) {
        if self.quota_headers
            && let Some(quota) = decision.quota()
        {
            write_quota(into, &quota);
        }
        if !self.style.ietf_fields {
            return;
        }
        for header in headers(decision, policy, self.style) {
            // OK because the core writes visible ASCII alone.
            if header.name.starts_with("ratelimit")
                && let Ok(value) = HeaderValue::from_str(&header.value)
            {
                into.insert(HeaderName::from_static(header.name), value);
            }
        }
    }

    /// Seconds to wait, rounded up, with the token's jitter.
    fn retry_after_s(&self, decision: &Decision, token: Option<TokenId>) -> Option<u32> {
        let wait_s = seconds(decision.retry_after_ms()?);
        let jitter_s = match (decision.reason(), token) {
            (Some(Reason::Window | Reason::Daily | Reason::Blocked), Some(token)) => {
                jitter_s(token, self.jitter_s)
            }
            _ => 0,
        };
        Some(wait_s.saturating_add(jitter_s))
    }

    /// The policy that the core wants for rendering; only what newer standards add looks at it, so
    /// the limiter is not asked for nothing.
    fn policy_to_write(&self) -> Policy {
        if self.style.ietf_fields || self.style.problem_json {
            self.limiter.current_policy()
        } else {
            const { Policy::pipedrive() }
        }
    }
}

/// The answer to a request with these headers that shows two credentials.
pub(super) fn conflict(request: &HeaderMap) -> Response<&'static str> {
    let status = StatusCode::BAD_REQUEST;
    let mut response = match grpc::content_type(request) {
        Some(content_type) => grpc::refusal(content_type, grpc::status(status), None),
        None => plain(status, "application/json", CONFLICT_BODY),
    };
    response.extensions_mut().insert(Refusal::new(status, None));
    response
}

fn plain(
    status: StatusCode,
    content_type: &'static str,
    text: &'static str,
) -> Response<&'static str> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// 0 to `most_s`, always the same for one token, evenly spread over all tokens since ids are keyed
/// hashes.
fn jitter_s(token: TokenId, most_s: u32) -> u32 {
    let spread = (token.as_u64() >> 32) * (u64::from(most_s) + 1);
    // OK because the product is below 2^32 * (most_s + 1), so this is at most `most_s`.
    u32::try_from(spread >> 32).unwrap_or(most_s)
}

const CONFLICT_BODY: &str =
    r#"{"success":false,"error":"conflicting credentials","errorCode":400}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::HashKey;

    #[test]
    fn spreads_tokens_over_all_seconds_of_the_jitter() {
        let key = HashKey::new([3; 16]);
        let tokens = (0..1_000_u32).map(|i| key.token(&i.to_le_bytes()));
        let mut seen = [0; 4];
        for token in tokens {
            let jitter = jitter_s(token, 3);
            assert_eq!(jitter, jitter_s(token, 3));
            seen[usize::try_from(jitter).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
    }

    #[test]
    fn adds_nothing_where_no_jitter_is_wanted_and_never_more_than_is() {
        let key = HashKey::new([3; 16]);
        let highest = TokenId::from_hash(u64::MAX.try_into().unwrap());
        assert_eq!(jitter_s(key.token(b"t"), 0), 0);
        assert_eq!(jitter_s(highest, 7), 7);
        assert_eq!(jitter_s(highest, u32::MAX), u32::MAX);
    }
}
