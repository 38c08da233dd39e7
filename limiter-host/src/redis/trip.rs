//! From a request to its decision: here if that is possible, else by a round trip, alone or with
//! others.

use super::Inner;
use super::decide::{Answer, Case};
use super::error::StoreError;
use super::local::{Ahead, Here};
use super::packed::Reply;
use super::script;
use limiter_core::{Decision, Now, Outage, Request};
use redis::{Pipeline, RedisResult, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A decision that was begun.
#[allow(
    clippy::large_enum_variant,
    reason = "a trip moves once, into the future that makes it"
)]
pub(super) enum Begun {
    Decided(Decision),
    Trip(Trip),
}

/// A decision that takes a round trip. If it is dropped before it arrived, what it took along is
/// lost.
pub(super) struct Trip {
    inner: Arc<Inner>,
    case: Case,
    ahead: Ahead,
    arrived: bool,
}

impl Trip {
    /// Decides on the store, or without it if it fails.
    pub(super) async fn finish(mut self, request: &Request, now: Now) -> Decision {
        let inner = Arc::clone(&self.inner);
        let asked = inner.ask(&self.case, request, now, false, &self.ahead);
        let answer = asked.await;
        self.arrive(answer, request, now)
    }

    /// Takes the store's answer in.
    fn arrive(
        &mut self,
        answer: Result<Answer, StoreError>,
        request: &Request,
        now: Now,
    ) -> Decision {
        let inner = Arc::clone(&self.inner);
        match answer {
            Ok(Answer {
                decision,
                before,
                after,
            }) => {
                self.arrived = true;
                let local = &self.case.entry.local;
                let holds = local.learn(
                    &self.case,
                    now.monotonic(),
                    &before,
                    after,
                    &self.ahead,
                    &inner.autonomy,
                );
                inner.learn_born(before.born);
                if holds {
                    inner.let_expire(&self.case.entry);
                }
                decision
            }
            Err(error) if error.is_of_a_record() => {
                inner.found_unreadable(&error);
                Outage::StoreFailed.decide(request)
            }
            Err(error) => {
                inner.failed(&self.case.entry.keys, &error);
                inner.decide_without_store(&self.case, request, now)
            }
        }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if !self.arrived {
            let lost = self.case.entry.local.lose(&self.ahead);
            let figure = &self.inner.figures.lost_permits;
            figure.fetch_add(u64::from(lost), Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// Begins a decision: makes it if no round trip is needed.
    pub(super) fn begin(self: &Arc<Self>, request: &Request, now: Now) -> Begun {
        let case = match self.case(request) {
            Ok(case) => case,
            Err(decision) => return Begun::Decided(decision),
        };
        if self.outage.lasts(case.entry.keys.slot) {
            return Begun::Decided(self.decide_without_store(&case, request, now));
        }
        match case.entry.local.decide(&case, request, now, &self.autonomy) {
            Here::Decided { decision, held } => {
                let figure = if held {
                    &self.figures.admitted_ahead
                } else {
                    &self.figures.refused_here
                };
                figure.fetch_add(1, Ordering::Relaxed);
                Begun::Decided(decision)
            }
            Here::Ask(ahead) => Begun::Trip(Trip {
                inner: Arc::clone(self),
                case,
                ahead,
                arrived: false,
            }),
        }
    }

    /// Decides requests by one round trip of all their scripts, in their order. Where the server had
    /// forgotten the script, it takes one more for each.
    pub(super) async fn check_batch(
        self: &Arc<Self>,
        requests: &[Request],
        now: Now,
    ) -> Vec<Decision> {
        // No question may be held back by the one before it: each takes along what is known now.
        let begun = requests.iter().map(|request| self.begin(request, now));
        let mut begun: Vec<Begun> = begun.collect();
        let values = self.send_batch(&begun, requests, now).await;
        let mut values = values.into_iter();
        let mut decisions = Vec::with_capacity(begun.len());
        for (begun, request) in begun.drain(..).zip(requests) {
            decisions.push(match begun {
                Begun::Decided(decision) => decision,
                Begun::Trip(mut trip) => {
                    let value = values.next().unwrap_or(Err(StoreError::NotConnected));
                    let answer = match value {
                        Ok(value) if Reply::wait(&value).is_some() => {
                            self.ask(&trip.case, request, now, false, &trip.ahead).await
                        }
                        Ok(value) => Answer::read(&value, &trip.case, request, self.time),
                        Err(error) => Err(error),
                    };
                    trip.arrive(answer, request, now)
                }
            });
        }
        decisions
    }

    /// Sends the questions of all trips; an answer for each, or fewer if the store failed.
    async fn send_batch(
        &self,
        begun: &[Begun],
        requests: &[Request],
        now: Now,
    ) -> Vec<Result<Value, StoreError>> {
        let Some(shared) = self.link.shared() else {
            return Vec::new();
        };
        let mut connection = shared.connection.clone();
        let mut questions = Vec::with_capacity(begun.len());
        let mut pipeline = Pipeline::new();
        for (begun, request) in begun.iter().zip(requests) {
            if let Begun::Trip(Trip { case, ahead, .. }) = begun {
                let question = self.question(case, request, now, false, ahead);
                pipeline.add_command(question.call(case));
                questions.push((case, question));
            }
        }
        let trips = u64::try_from(questions.len()).unwrap_or(u64::MAX);
        self.figures.round_trips.fetch_add(trips, Ordering::Relaxed);
        pipeline.ignore_errors();
        let mut sent: RedisResult<Vec<RedisResult<Value>>> =
            pipeline.query_async(&mut connection).await;
        if sent
            .as_ref()
            .is_err_and(|error| self.link.was_closed(error))
        {
            connection = match self.link.renew(&shared).await {
                Ok(connection) => connection,
                Err(error) => return vec![Err(error)],
            };
            sent = pipeline.query_async(&mut connection).await;
        }
        let mut answers = match sent {
            Ok(answers) => answers,
            Err(error) => return vec![Err(error.into())],
        };
        // What the server did not run for want of the script runs now, in the same order.
        for (answer, (case, question)) in answers.iter_mut().zip(&questions) {
            if answer.as_ref().is_err_and(script::is_forgotten) {
                *answer = question.run(case, &mut connection).await;
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.map_err(StoreError::from))
            .collect()
    }
}
