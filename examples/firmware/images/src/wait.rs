//! The errand that every clock image runs: spend a window, wait as long as one is told, go on.

use core::fmt::Write;

use limiter_core::clock::{Clock, Clocks, MonotonicClock, NoUtc};
use limiter_core::{HashKey, Kind, Limiter, Method, Plan, Policy, Registration, Request};

/// Runs the errand on `clock`, which must move while the processor sleeps between ticks. `None` if the clock fails.
pub fn spend_and_wait(out: &mut impl Write, clock: impl MonotonicClock) -> Option<()> {
    let mut limiter = Limiter::<4, 4>::new(Policy::pipedrive());
    let mut clock = Clocks {
        monotonic: clock,
        utc: NoUtc,
    };
    let key = HashKey::new(*b"provisioned once");
    let token = key.token(b"a1b2c3");
    let registration = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    limiter
        .register(token, registration, clock.read().ok()?)
        .ok()?;

    let request = Request::new(token, Method::Get);
    let mut admitted = 0;
    let wait_ms = loop {
        match limiter.check_with(&request, &mut clock).retry_after_ms() {
            None => admitted += 1,
            Some(wait_ms) => break u64::from(wait_ms),
        }
    };
    writeln!(
        out,
        "{admitted} admitted, then to wait at most 2 s: {}",
        wait_ms <= 2_000
    )
    .ok()?;

    let refused_at = clock.read().ok()?.monotonic();
    for (after_ms, when) in [(wait_ms - 1, "1 ms too early"), (wait_ms, "after the wait")] {
        while clock.read().ok()?.monotonic() < refused_at.saturating_add(after_ms) {
            board::wait_for_interrupt();
        }
        let outcome = limiter.check_with(&request, &mut clock).outcome();
        writeln!(out, "{when}: {outcome:?}").ok()?;
    }
    Some(())
}
