//! The limiter without HTTP: ask before the work, give back when it failed.

use limiter_host::core::{HashKey, Kind, Method, Plan, Policy, Registration, Request};
use limiter_host::{Decide as _, Locked, SharedClock};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let (key, clock) = (HashKey::new(secret), SharedClock::system());
    let limiter = Locked::new(Policy::pipedrive(), 10_000, 2_000);
    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    let (token, now) = (key.token(b"a1b2c3"), clock.now()?);
    limiter.with(|limiter| limiter.register(token, martin, now))?;

    for job in 1..=42 {
        let decision = limiter.check(&Request::new(token, Method::Post), clock.now()?);
        match decision.retry_after_ms() {
            Some(wait) => println!("job {job}: {:?}, again in {wait} ms", decision.reason()),
            None if work(job).is_err() => {
                if let Some(receipt) = decision.into_receipt() {
                    let refunded = limiter.refund(receipt, clock.now()?);
                    println!("job {job}: failed, {} permit given back", refunded.window);
                }
            }
            None => {}
        }
    }
    Ok(())
}

fn work(job: u32) -> Result<(), ()> {
    if job == 7 { Err(()) } else { Ok(()) }
}
