//! The blocking form, over a clock that the pauses move.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// A pacer whose blocked threads move its clock, and the clock.
fn pacer(policy: PacerPolicy) -> (SharedPacer, SharedClock) {
    let millis = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&millis);
    let clock = SharedClock::from_fn(move || {
        let now = Instant::from_millis(read.load(Ordering::SeqCst));
        Ok(Now::new(now, None))
    });
    let pacer = SharedPacer::with_pause(policy, clock.clone(), move |pause: Duration| {
        let pause = u64::try_from(pause.as_millis()).unwrap();
        millis.fetch_add(pause, Ordering::SeqCst);
    });
    (pacer, clock)
}

#[test]
fn blocks_until_each_request_may_go() {
    let remote = Remote::new(Plan::ADVANCED);
    let (pacer, clock) = pacer(known_limits(Plan::ADVANCED));
    for _ in 0..200 {
        let response = pacer.send_blocking(&Method::GET, Pacing::new(), 0, || {
            Ok::<_, Infallible>(remote.serve(&Method::GET, clock.now().unwrap()))
        });
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(remote.refused(), 0);
    // Each window, its margin of 2 ms, and the 1 ms of rounding.
    let took = clock.now().unwrap().monotonic().as_millis();
    assert_eq!(took, 4 * 2_003);
}

#[test]
fn fails_at_once_where_the_wait_would_pass_the_deadline() {
    let (pacer, clock) = pacer(known_limits(Plan::ESSENTIAL));
    let method = limiter_core::Method::Get;
    for _ in 0..20 {
        let permit = pacer.acquire_blocking(method, Pacing::new()).unwrap();
        permit.on_response(|_| ResponseInfo::bare(200));
    }
    let soon = Pacing::new().within(Duration::from_millis(2_002));
    let error = pacer.acquire_blocking(method, soon).unwrap_err();
    let wait = Duration::from_millis(2_003);
    assert_eq!(error, PaceError::PastDeadline { wait });
    assert_eq!(clock.now().unwrap().monotonic(), Instant::ZERO);
}

#[test]
fn sends_again_what_may_be_and_passes_failures_on() {
    let (pacer, clock) = pacer(known_limits(Plan::ESSENTIAL));
    let mut answers = [429, 429, 200].into_iter();
    let response = pacer.send_blocking(&Method::POST, Pacing::new(), 2, || {
        Response::builder()
            .status(answers.next().unwrap())
            .header("retry-after", "3")
            .body(())
    });
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(clock.now().unwrap().monotonic().as_millis(), 6_000);
    let failed = pacer.send_blocking(&Method::GET, Pacing::new(), 2, || {
        Err::<Response<()>, _>("no connection")
    });
    assert_eq!(failed.unwrap_err(), CallError::Call("no connection"));
}

#[test]
fn shares_the_limit_between_threads() {
    let remote = Remote::new(Plan::ENTERPRISE);
    let (pacer, clock) = pacer(known_limits(Plan::ENTERPRISE));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..150 {
                    let response = pacer.send_blocking(&Method::GET, Pacing::new(), 0, || {
                        Ok::<_, Infallible>(remote.serve(&Method::GET, clock.now().unwrap()))
                    });
                    assert_eq!(response.unwrap().status(), 200);
                }
            });
        }
    });
    assert_eq!(remote.statuses.lock().unwrap().len(), 600);
}
