//! Rows are touched when a table is made, so that no decision has to wait for the system to find a
//! page for them.
#![cfg(target_os = "linux")]

use limiter_host::Concurrent;
use limiter_host::core::{HashKey, Instant, Method, Now, Policy, Request};

/// Faults of this thread that needed no disk; the tenth field of its `stat`.
fn minor_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // Its second field, a name in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(7).unwrap().parse().unwrap()
}

fn decide(limiter: &Concurrent, key: &HashKey, tokens: u32) {
    let now = Now::new(Instant::from_millis(5_000), None);
    for number in 0..tokens {
        let request = Request::new(key.token(&number.to_le_bytes()), Method::Get);
        assert_eq!(limiter.check(&request, now).status(), Some(401));
    }
}

#[test]
fn no_decision_meets_a_row_for_the_first_time() {
    let key = HashKey::new([7; 16]);
    // 64 MB: 16 000 pages of 4 KiB, or 32 of 2 MiB.
    let limiter = Concurrent::new(Policy::pipedrive(), 1_600_000, 16);
    // The code's own pages, the stack's, and those behind `minor_faults`.
    decide(&Concurrent::new(Policy::pipedrive(), 16, 16), &key, 100);
    minor_faults();
    let before = minor_faults();
    decide(&limiter, &key, 100_000);
    let faults = minor_faults() - before;
    // The system may move a page or two meanwhile.
    assert!(faults <= 8, "{faults} faults");

    // What they would be with as much memory that was never touched.
    let before = minor_faults();
    let untouched = vec![0_u8; 64 << 20];
    let sum: u64 = untouched
        .iter()
        .step_by(4_096)
        .copied()
        .map(u64::from)
        .sum();
    assert_eq!(std::hint::black_box(sum), 0);
    assert!(minor_faults() - before >= 32);
}
