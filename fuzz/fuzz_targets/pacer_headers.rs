//! Reads a response whose header values are any bytes, and lets a pacer act on it.
//!
//! The input: a status, the clock, then one line for each header, whose first byte picks the name.
//! Whatever it is, what is read stays within its bounds, and the pacer keeps sending in time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limiter_pacer::{ResponseInfo, SendRequest, Pacer, PacerPolicy, SendDecision};
use limiter_core::{Instant, Method, Now, UnixTime};

const NAMES: [&str; 9] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-daily-requests-left",
    "retry-after",
    "date",
    "ratelimit-policy",
    "ratelimit",
    "RateLimit-Reset",
];
const DAY_MS: u32 = 86_400_000;

fuzz_target!(|data: &[u8]| {
    let Some((head, lines)) = data.split_first_chunk::<8>() else {
        return;
    };
    let [a, b, utc @ .., method] = head;
    let utc = utc.iter().fold(0, |secs, &byte| secs << 8 | u64::from(byte));
    let now = Now::new(Instant::from_millis(10), UnixTime::from_secs(utc));
    let headers = lines.split(|&byte| byte == b'\n').filter_map(|line| {
        let (&first, value) = line.split_first()?;
        Some((NAMES[usize::from(first) % NAMES.len()], value))
    });
    let status = u16::from_be_bytes([*a, *b]) % 600;
    let answer = ResponseInfo::read(status, headers, now);

    assert!(answer.limit.is_none_or(|limit| (1..1 << 20).contains(&limit)));
    assert!(answer.window_ms != Some(0));
    for time in [answer.reset_ms, answer.window_ms, answer.retry_after_ms] {
        assert!(time.is_none_or(|millis| millis <= DAY_MS));
    }

    let method = if method % 2 == 0 { Method::Get } else { Method::Post };
    let mut pacer = Pacer::<4>::new(PacerPolicy::ADAPTIVE);
    let SendDecision::Go(ticket) = pacer.poll_send(SendRequest::new(method), now) else {
        panic!("nothing was sent yet");
    };
    pacer.on_response(ticket, &answer, now);
    // A window, a denial, a gate: each bounded, and one after the other.
    let mut now = now.monotonic();
    for _ in 0..64 {
        let wait = match pacer.poll_send(SendRequest::new(Method::Get), Now::new(now, None)) {
            SendDecision::Go(_) => return,
            SendDecision::Wait(millis) => millis,
            SendDecision::Stop(stop) => stop.retry_ms.expect("a read that costs 1 may always come back"),
        };
        assert!(wait >= 1 && wait <= DAY_MS + DAY_MS / 4 + 10);
        now = now.saturating_add(u64::from(wait));
    }
    panic!("never sends again");
});
