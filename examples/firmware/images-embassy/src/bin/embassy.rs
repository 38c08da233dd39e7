//@ icount: yes
//! The limiter on embassy's clock: spends a window, waits asynchronously as long as it is told, and goes on.

#![no_std]
#![no_main]

use core::fmt::Write as _;
use core::time::Duration;

use board::Console;
use embassy_executor::Spawner;
use embassy_time::Timer;
use limiter_core::clock::{Clock as _, Clocks, EmbassyClock, NoUtc};
use limiter_core::{
    HashKey, Kind, Limiter, Method, Plan, Policy, PolicyError, Registration, Request,
};

/// A short window: the emulated executor does not sleep, it spins.
const POLICY: Result<Policy, PolicyError> = Policy::builder()
    .window(Duration::from_millis(20))
    .plan(Plan::ADVANCED, 40, 160)
    .build();

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    images_embassy::start();
    let Ok(policy) = POLICY else { board::exit(1) };
    let mut limiter = Limiter::<4, 4>::new(policy);

    // What a user writes: the clock, and then `check_with` in the place of `check`.
    let mut clock = Clocks {
        monotonic: EmbassyClock::new(),
        utc: NoUtc,
    };

    let key = HashKey::new(*b"provisioned once");
    let token = key.token(b"a1b2c3");
    let registration = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    let Ok(now) = clock.read() else {
        board::exit(2)
    };
    if limiter.register(token, registration, now).is_err() {
        board::exit(3);
    }
    let request = Request::new(token, Method::Get);
    let mut admitted = 0;
    let wait_ms = loop {
        match limiter.check_with(&request, &mut clock).retry_after_ms() {
            None => admitted += 1,
            Some(wait_ms) => break u64::from(wait_ms),
        }
    };
    let mut console = Console::open();
    let _ = writeln!(
        console,
        "{admitted} admitted, then to wait at most 20 ms: {}",
        wait_ms <= 20
    );
    Timer::after_millis(wait_ms - 1).await;
    let _ = writeln!(
        console,
        "1 ms too early: {:?}",
        limiter.check_with(&request, &mut clock).outcome()
    );
    Timer::after_millis(1).await;
    let _ = writeln!(
        console,
        "after the wait: {:?}",
        limiter.check_with(&request, &mut clock).outcome()
    );
    console.flush();
    board::exit(0)
}
