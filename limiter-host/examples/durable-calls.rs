//! Counts that survive a crash, without HTTP and behind one lock: the core's reserving limiter, and a
//! directory. (`persist::Durable` is the limiter for all cores, which writes in the background; here
//! who needs a write makes it, and the others wait meanwhile.)
//!
//! Each run goes on where the last one ended, however that was:
//! `cargo run -p limiter-host --features persist --example durable-calls -- /tmp/calls`

use limiter_host::SharedClock;
use limiter_host::core::{
    Bound, Decision, HashKey, Kind, Method, Now, OffTime, OnLostState, Outage, Plan, Policy,
    Registration, Request, Reserve, ReservedIn, TokenRow, UserRow, Verdict, snapshot,
};
use limiter_host::persist::{Directory, Found, Storage as _};
use std::error::Error;
use std::sync::{Mutex, PoisonError};

const TOKENS: usize = 1_000;
const USERS: usize = 500;

/// A limiter whose counts survive. What is stored in the order of its drafts is behind one lock.
struct Kept {
    inner: Mutex<Inner>,
    key: HashKey,
}

struct Inner {
    limiter: ReservedIn<Vec<TokenRow>, Vec<UserRow>, Vec<Bound>>,
    directory: Directory,
}

impl Kept {
    /// Takes over what the directory holds.
    fn start(directory: Directory, now: Now) -> Result<Self, Box<dyn Error>> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let key = directory.key(|| Some(secret))?;
        let (tokens, users) = (vec![TokenRow::VACANT; TOKENS], vec![UserRow::VACANT; USERS]);
        let (policy, bounds) = (Policy::pipedrive(), vec![Bound::NONE; USERS]);
        let mut limiter = ReservedIn::with_rows(policy, Reserve::DEFAULT, tokens, users, bounds);
        match directory.load(&key) {
            Found::Nothing => {}
            Found::Whole { image, .. } => {
                limiter.restore(&key, &image, OffTime::Trust, now.monotonic())?;
            }
            Found::Broken { flaws } => {
                eprintln!("{flaws:?}");
                limiter.lose_state(OnLostState::Refuse);
            }
        }
        let inner = Mutex::new(Inner { limiter, directory });
        Ok(Self { inner, key })
    }

    /// Decides a request; one in a hundred that count daily waits for the disk.
    fn check(&self, request: &Request, now: Now) -> Decision {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let mut verdict = inner.limiter.check(request, now);
        loop {
            match verdict {
                // What is due beside a decision can wait until a request needs it.
                Verdict::Decided { decision, .. } => return decision,
                Verdict::WriteFirst(due) => {
                    let buffer = vec![0; due.bytes];
                    let draft = inner.limiter.draft(&self.key, buffer, now.monotonic());
                    // Never: the buffer is as long as it has to be.
                    let Ok(draft) = draft else {
                        return inner.limiter.refuse_for(request, Outage::StoreFailed);
                    };
                    match inner.directory.store(draft.number(), draft.bytes()) {
                        Ok(()) => inner.limiter.stored(draft),
                        Err(_) => inner.limiter.failed(draft),
                    }
                    verdict = inner.limiter.check_again(request, now);
                }
            }
        }
    }

    /// Stores the exact counts: without this, the restart costs each user what is reserved for him.
    fn close(self, now: Now) -> Result<(), Box<dyn Error>> {
        let inner = self.inner.into_inner();
        let mut inner = inner.unwrap_or_else(PoisonError::into_inner);
        let buffer = vec![0; snapshot::size(TOKENS, USERS)];
        let last = inner
            .limiter
            .last_draft(&self.key, buffer, now.monotonic())?;
        Ok(inner.directory.store(last.number(), last.bytes())?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("which directory?")?;
    let clock = SharedClock::system();
    let kept = Kept::start(Directory::open(path.as_ref())?, clock.now()?)?;
    let martin = Registration::new(kept.key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    let token = kept.key.token(b"a1b2c3");
    if let Ok(mut inner) = kept.inner.lock() {
        inner.limiter.register(token, martin, clock.now()?)?;
    }
    for _ in 0..3 {
        let decision = kept.check(&Request::new(token, Method::Post), clock.now()?);
        let left = decision.quota().and_then(|quota| quota.daily_left);
        println!(
            "{:?}, left today: {left:?}",
            decision.status().unwrap_or(200)
        );
    }
    kept.close(clock.now()?)
}
