//! Our own limiters: one value, behind a lock, and for all cores.

use super::{ID, LIMIT, TOKEN, each};
use crate::clock;
use crate::measure::Subject;
use crate::steps::{Step, TOKENS_PER_USER, hash_key};
use limiter_core::clock::{Clock, ClockError};
use limiter_core::{
    HashKey, Kind, LimiterIn, Method, Now, Plan, Policy, Registration, Request, Shared, TokenRow,
    UserRow,
};
use limiter_host::decide::BoxedLimiter;
use limiter_host::{Concurrent, Decide, Locked};
use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

/// The window of the preset, nobody blocked, and a day that is never used up.
#[must_use]
pub fn policy() -> Policy {
    const POLICY: Policy = match Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::ADVANCED, 40, 160)
        .daily_limit(u32::MAX)
        .build()
    {
        Ok(policy) => policy,
        Err(_) => panic!("not a policy"),
    };
    POLICY
}

/// What every token is registered with.
#[must_use]
pub fn registration(step: &Step) -> Registration {
    let user = hash_key().user(step.user.as_bytes());
    Registration::new(user, Kind::ApiToken, Plan::ADVANCED).with_own_limit(LIMIT)
}

/// Rows of tokens and of users that a limiter of `tokens` tokens is given: a quarter stays free, as
/// it would in service, and bounds the probes.
#[must_use]
pub fn rows(tokens: usize) -> (usize, usize) {
    let users = tokens.div_ceil(TOKENS_PER_USER as usize);
    (tokens * 4 / 3 + 1, users * 4 / 3 + 1)
}

/// A limiter over boxed rows, empty.
#[must_use]
pub fn boxed(policy: Policy, tokens: usize) -> BoxedLimiter {
    let (tokens, users) = rows(tokens);
    LimiterIn::with_rows(
        policy,
        vec![TokenRow::VACANT; tokens].into_boxed_slice(),
        vec![UserRow::VACANT; users].into_boxed_slice(),
    )
}

/// A limiter behind a mutex, empty.
#[must_use]
pub fn locked(policy: Policy, tokens: usize) -> Locked {
    let (tokens, users) = rows(tokens);
    Locked::new(policy, tokens, users)
}

/// A limiter for all cores, empty. It sees to the free rows itself.
#[must_use]
pub fn concurrent(policy: Policy, tokens: usize) -> Concurrent {
    Concurrent::new(policy, tokens, rows(tokens).1)
}

/// Each of our forms, with the same tokens in it.
pub struct Ours {
    plain: Rc<RefCell<BoxedLimiter>>,
    shared: Arc<Shared<BoxedLimiter, BenchClock>>,
    locked: Arc<Locked>,
    concurrent: Arc<Concurrent>,
}

/// The clock of all subjects, for the one that keeps a clock.
struct BenchClock;

impl Clock for BenchClock {
    fn read(&mut self) -> Result<Now, ClockError> {
        Ok(clock::now())
    }
}

impl Ours {
    /// Registers `population`.
    #[must_use]
    pub fn new(population: &[Step]) -> Self {
        let count = population.len();
        let plain = RefCell::new(boxed(policy(), count));
        let shared = Shared::from_parts(boxed(policy(), count), BenchClock);
        let locked = locked(policy(), count);
        let concurrent = concurrent(policy(), count);
        clock::advance();
        let now = clock::now();
        for step in population {
            let terms = registration(step);
            let _ = plain.borrow_mut().register(step.id, terms, now);
            let _ = shared.with(|limiter, now| limiter.register(step.id, terms, now).is_ok());
            let _ = locked.with(|limiter| limiter.register(step.id, terms, now).is_ok());
            let _ = concurrent.register(step.id, terms, now);
        }
        let registered = concurrent.statistics().tokens as usize;
        assert_eq!(registered, count, "every token has a row");
        Self {
            plain: Rc::new(plain),
            shared: Arc::new(shared),
            locked: Arc::new(locked),
            concurrent: Arc::new(concurrent),
        }
    }

    /// Fails the run if a request was refused: then what was timed is not what the table says.
    pub fn expect_all_admitted(&self) {
        let forms = [
            ("Limiter", Ok(self.plain.borrow().statistics())),
            (
                "Shared",
                self.shared.with_limiter(|limiter| limiter.statistics()),
            ),
            (
                "Locked",
                Ok(self.locked.with(|limiter| limiter.statistics())),
            ),
            ("Concurrent", Ok(self.concurrent.statistics())),
        ];
        for (form, statistics) in forms {
            let refused = statistics.map(|counts| counts.refused_in_all());
            assert_eq!(refused, Ok(0), "{form} refused requests");
        }
    }

    /// All forms, told the token and told the id, asked for `method`.
    #[must_use]
    pub fn subjects(&self, method: Method) -> Vec<Subject> {
        let mut subjects = self.of_form(TOKEN, move |step, key| {
            Request::new(key.token(step.token.as_bytes()), method)
        });
        subjects.extend(self.of_form(ID, move |step, _| Request::new(step.id, method)));
        subjects.push(self.check_many(TOKEN, move |step, key| {
            Request::new(key.token(step.token.as_bytes()), method)
        }));
        subjects.push(self.check_many(ID, move |step, _| Request::new(step.id, method)));
        subjects
    }

    fn of_form(
        &self,
        form: &'static str,
        request: impl Fn(&Step, &HashKey) -> Request + Copy + Send + Sync + 'static,
    ) -> Vec<Subject> {
        let key = black_box(hash_key());
        let keys = [key.clone(), key.clone(), key.clone(), key];
        let [plain_key, shared_key, locked_key, concurrent_key] = keys;
        let plain = Rc::clone(&self.plain);
        let shared = Arc::clone(&self.shared);
        let locked = Arc::clone(&self.locked);
        let concurrent = Arc::clone(&self.concurrent);
        vec![
            Subject::alone("Limiter", form, "", move |steps| {
                let mut limiter = plain.borrow_mut();
                each(steps, |step| {
                    black_box(&limiter.check(&request(step, &plain_key), clock::now()));
                });
            }),
            Subject::shared("Shared", form, "", move |steps| {
                each(steps, |step| {
                    let request = request(step, &shared_key);
                    black_box(&shared.check(&request));
                });
            }),
            Subject::shared("Locked", form, "", move |steps| {
                each(steps, |step| {
                    black_box(&locked.check(&request(step, &locked_key), clock::now()));
                });
            }),
            Subject::shared("Concurrent", form, "", move |steps| {
                each(steps, |step| {
                    black_box(&concurrent.check(&request(step, &concurrent_key), clock::now()));
                });
            }),
        ]
    }

    /// Sixteen requests at a time, as they come off a wire.
    fn check_many(
        &self,
        form: &'static str,
        request: impl Fn(&Step, &HashKey) -> Request + Send + Sync + 'static,
    ) -> Subject {
        let concurrent = Arc::clone(&self.concurrent);
        let key = black_box(hash_key());
        Subject::shared("Concurrent, check_many", form, "", move |steps| {
            for block in steps.chunks(1_024) {
                clock::advance();
                for group in block.chunks(GROUP) {
                    let mut requests = [Request::anonymous(Method::Get); GROUP];
                    for (slot, step) in requests.iter_mut().zip(group) {
                        *slot = request(step, &key);
                    }
                    let requests = requests.get(..group.len()).unwrap_or(&requests);
                    concurrent.check_many(requests, clock::now(), |_, decision| {
                        black_box(&decision);
                    });
                }
            }
        })
    }
}

const GROUP: usize = 16;
