//! Decides each measured case once. `cargo xtask profile` runs it instruction by instruction to show where they go.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;
use core::hint::black_box;

use board::{Console, Singleton};
use images::cases::{self, ROWS, Sample, UNUSUAL, USUAL};
use limiter_core::{Decision, Limiter, Now, Policy, Request};

static FILLED: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));
static DECIDING: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));

#[board::entry]
fn main() -> ! {
    let (Some(filled), Some(deciding)) = (FILLED.take(), DECIDING.take()) else {
        board::exit(1)
    };
    let mut console = Console::open();
    cases::fill(filled, 0, ROWS / 2);
    let token = cases::token(0, 0);
    for case in USUAL.iter().chain(&UNUSUAL) {
        deciding.clone_from(filled);
        (case.prepare)(deciding, token);
        let decision = profiled(deciding, &case.request(token), case.now);
        profiled_end();
        assert_eq!(decision.outcome(), case.outcome, "{}", case.name);
        let _ = writeln!(console, "{}", case.name);
    }
    console.flush();
    board::exit(0)
}

/// The runner counts from its first instruction.
#[inline(never)]
fn profiled(limiter: &mut Sample, request: &Request, now: Now) -> Decision {
    limiter.check(request, now)
}

/// The runner counts to its first instruction.
#[inline(never)]
fn profiled_end() {
    black_box(());
}
