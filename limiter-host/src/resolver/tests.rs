//! Look-ups in virtual time, by a store that answers when it is told to.

mod awaited;
mod blocking;
mod load;
mod refresh;

use super::*;
use crate::{Decide as _, Locked, Manage as _, SharedClock};
use limiter_core::{Decision, Registration, Request};
use limiter_core::{HashKey, Instant, Kind, Method, Now, Plan, Policy, Reason};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a store says of a token.
#[derive(Clone, Copy, Debug)]
enum Says {
    Plan(Plan, &'static str),
    NoSuchToken,
    Fails,
}

#[derive(Debug)]
struct StoreFailed;

/// A credential store; clones are the same one.
#[derive(Clone)]
struct Store {
    says: Arc<Mutex<Says>>,
    calls: Arc<AtomicUsize>,
}

impl Store {
    fn new(says: Says) -> Self {
        Self {
            says: Arc::new(Mutex::new(says)),
            calls: Arc::default(),
        }
    }

    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn answer(&self, shown: &Shown) -> Result<Option<Registration>, StoreFailed> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        assert_eq!(key().token(shown.credential()), shown.token());
        match *self.says.lock().unwrap() {
            Says::Plan(plan, user) => Ok(Some(Registration::new(
                key().user(user.as_bytes()),
                Kind::ApiToken,
                plan,
            ))),
            Says::NoSuchToken => Ok(None),
            Says::Fails => Err(StoreFailed),
        }
    }
}

/// A clock that stands still until it is set.
#[derive(Clone, Default)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    fn now(&self) -> Now {
        Now::new(Instant::from_millis(self.0.load(Ordering::Relaxed)), None)
    }

    fn clock(&self) -> SharedClock {
        let time = self.clone();
        SharedClock::from_fn(move || Ok(time.now()))
    }
}

fn limiter(tokens: usize) -> Arc<Locked> {
    Arc::new(Locked::new(Policy::pipedrive(), tokens, tokens))
}

fn get(credential: &str) -> Request {
    Request::new(key().token(credential.as_bytes()), Method::Get)
}

fn key() -> HashKey {
    HashKey::new([9; 16])
}

/// The limit and what is left of it, or why not.
fn told(decision: &Decision) -> Result<(u32, u32), Reason> {
    match decision.reason() {
        Some(reason) => Err(reason),
        None => {
            let quota = decision.quota().unwrap();
            Ok((quota.limit, quota.remaining))
        }
    }
}

#[test]
fn shows_no_credential() {
    let shown = Shown::new(key().token(b"secret"), b"secret");
    let debug = format!("{shown:?}");
    assert!(debug.starts_with("Shown(TokenId(") && !debug.contains("secret"));
}
