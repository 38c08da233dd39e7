//@ figures: s
//! How deep each operation digs into the stack, in the situations that are measured.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::{self, Write as _};
use core::hint::black_box;

use board::{Console, Singleton, stack};
use images::cases::{self, ROWS, Sample, UNUSUAL, USUAL};
use limiter_core::http::{self, Style};
use limiter_core::{HashKey, Kind, Limiter, Plan, Policy, Registration, UserId};

static FILLED: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));
static DECIDING: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));

#[board::entry]
fn main() -> ! {
    let (Some(filled), Some(deciding)) = (FILLED.take(), DECIDING.take()) else {
        board::exit(1)
    };
    cases::fill(filled, 0, ROWS);
    let mut deepest = Deepest::default();

    let key = HashKey::new(black_box([7; 16]));
    let mut credential = key.token(b"");
    deepest.hash =
        stack::depth_bytes(&mut || credential = key.token(black_box(b"a1b2c3d4e5f60718")));

    for case in USUAL.iter().chain(&UNUSUAL) {
        for index in 0..ROWS {
            let token = cases::token(0, index);
            let request = case.request(token);
            deciding.clone_from(filled);
            (case.prepare)(deciding, token);
            deepest.check = deepest.check.max(stack::depth_bytes(&mut || {
                black_box(&cases::decide(deciding, &request, case.now));
            }));
            let decision = deciding.peek(&request, case.now);
            deepest.http = deepest.http.max(stack::depth_bytes(&mut || {
                let written =
                    http::write_refusal(&mut Sink, &decision, deciding.policy(), Style::STANDARDS);
                black_box(&written);
            }));
            // A table that is full of idle rows: the longest way.
            let newcomer = cases::token(1, index);
            let user = UserId::from_hash(cases::random(1, index));
            let registration = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
            deepest.register = deepest.register.max(stack::depth_bytes(&mut || {
                black_box(&deciding.register(newcomer, registration, case.now));
            }));
        }
    }

    let mut console = Console::open();
    let _ = writeln!(console, "stack B: hash a token = {}", deepest.hash);
    let _ = writeln!(console, "stack B: check = {}", deepest.check);
    let _ = writeln!(console, "stack B: register = {}", deepest.register);
    let _ = writeln!(console, "stack B: write a refusal = {}", deepest.http);
    console.flush();
    board::exit(0)
}

#[derive(Default)]
struct Deepest {
    hash: usize,
    check: usize,
    register: usize,
    http: usize,
}

/// Takes text and costs nothing.
struct Sink;

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        black_box(text);
        Ok(())
    }
}
