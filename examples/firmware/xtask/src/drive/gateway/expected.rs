//! What each frame must be answered: the model's decision at the moment that the device names.

use anyhow::{Context as _, Result, ensure};
use limiter_model::{Decision, Kind, Limit, Method, Model, Now, Origin, Policy, Request};

use super::{
    answer::{Answer, Moment},
    frames::{Frame, Meaning, TOKENS},
};

/// The model, which has seen what the device has seen.
pub(super) struct Expected {
    model: Model,
}

impl Expected {
    pub(super) fn new() -> Self {
        let mut model = Model::new(Policy::pipedrive());
        model.register(OWN_TOKEN, OWN_TOKEN, Kind::ApiToken, Limit::Plan(ADVANCED));
        Self { model }
    }

    /// Checks the answer to a frame, and follows it.
    pub(super) fn check(&mut self, frame: &Frame, answer: &Answer) -> Result<()> {
        let (head, headers) = self
            .of(frame, answer)
            .with_context(|| format!("{frame:?}"))?;
        ensure!(
            answer.head == head && answer.headers == headers,
            "{frame:?} was answered\n{answer:?} instead of\n{head:?} {headers:?}"
        );
        Ok(())
    }

    /// Checks what the device's interrupt decided.
    pub(super) fn check_upload(&mut self, answer: &Answer) -> Result<()> {
        let moment = answer.moment()?;
        let request = Request {
            token: Some(OWN_TOKEN),
            method: Method::Post,
            origin: Origin::Api,
            cost: 1,
        };
        let decision = self.decide(&request, moment);
        let (head, headers) = told("*", &decision, moment);
        ensure!(
            answer.head == head && answer.headers == headers,
            "the device decided of itself\n{answer:?} instead of\n{head:?} {headers:?}"
        );
        Ok(())
    }

    fn of(&mut self, frame: &Frame, answer: &Answer) -> Result<(String, Vec<String>)> {
        let tag = format!("#{}", frame.number);
        Ok(match frame.meaning {
            Meaning::Order => (format!("{tag} ok"), Vec::new()),
            Meaning::Nonsense {
                word,
                numbered: true,
            } => (format!("{tag} ? {word}"), Vec::new()),
            Meaning::Nonsense {
                word,
                numbered: false,
            } => (format!("? {word}"), Vec::new()),
            Meaning::Request {
                token,
                method,
                origin,
                cost,
            } => {
                let moment = answer.moment()?;
                let decision = self.decide(
                    &Request {
                        token,
                        method,
                        origin,
                        cost,
                    },
                    moment,
                );
                told(&tag, &decision, moment)
            }
            Meaning::Register {
                token,
                user,
                kind,
                plan,
            } => {
                let request = Request {
                    token: Some(token),
                    method: Method::Other,
                    origin: Origin::Api,
                    cost: 1,
                };
                // An answer with a time is a refusal.
                if answer.head.contains(" t=-") {
                    told(&tag, &self.model.check_clock_failed(&request), None)
                } else if token >= TOKENS {
                    let moment = answer.moment()?;
                    told(&tag, &self.model.check_table_full(&request), moment)
                } else {
                    self.model.register(token, user, kind, Limit::Plan(plan));
                    (format!("{tag} ok"), Vec::new())
                }
            }
        })
    }

    fn decide(&mut self, request: &Request, moment: Moment) -> Decision {
        match moment {
            Some((t_ms, utc)) => self.model.check(request, Now { t_ms, utc }),
            None => self.model.check_clock_failed(request),
        }
    }
}

/// A decision as the gateway writes it.
fn told(tag: &str, decision: &Decision, moment: Moment) -> (String, Vec<String>) {
    let word = decision.word().unwrap_or("admitted");
    let millis = moment.map_or("-".to_owned(), |(millis, _)| millis.to_string());
    let seconds = moment
        .and_then(|(_, seconds)| seconds)
        .map_or("-".to_owned(), |seconds| seconds.to_string());
    let head = format!(
        "{tag} {} {word} t={millis} utc={seconds}",
        decision.status()
    );
    let headers = [
        ("x-ratelimit-limit", decision.limit),
        ("x-ratelimit-remaining", decision.remaining),
        ("x-ratelimit-reset", decision.reset_s()),
        ("x-daily-requests-left", decision.daily_left),
        ("retry-after", decision.retry_after_s()),
    ];
    let lines = headers
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}: {value}")));
    let mut lines: Vec<String> = lines.collect();
    if decision.status() == 401 {
        lines.push("www-authenticate: Bearer".to_owned());
    }
    (head, lines)
}

/// A number that no frame has: the device's own token and user.
const OWN_TOKEN: u64 = u64::MAX;
const ADVANCED: usize = 1;
