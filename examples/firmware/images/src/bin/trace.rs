//@ expects: testing/vectors/edges.decisions.jsonl testing/vectors/days.decisions.jsonl testing/vectors/clocks.decisions.jsonl testing/vectors/flood.decisions.jsonl
//! Replays the project's vectors on the device: the decisions must be those of every other implementation.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use board::{Console, Singleton};
use images::trace::{self, Line};
use limiter_core::{HashKey, Limiter, Policy};

static LIMITER: Singleton<Limiter<8, 8>> = Singleton::new(EMPTY);
const EMPTY: Limiter<8, 8> = Limiter::new(Policy::pipedrive());

/// Each is a limiter's whole life.
static TRACES: [&str; 4] = [
    include_str!("../../../../../testing/vectors/edges.trace.jsonl"),
    include_str!("../../../../../testing/vectors/days.trace.jsonl"),
    include_str!("../../../../../testing/vectors/clocks.trace.jsonl"),
    include_str!("../../../../../testing/vectors/flood.trace.jsonl"),
];

#[board::entry]
fn main() -> ! {
    let Some(limiter) = LIMITER.take() else {
        board::exit(1)
    };
    let mut console = Console::open();
    let key = HashKey::new(*b"any key will do!");
    for trace in TRACES {
        *limiter = EMPTY;
        for (index, line) in trace.lines().enumerate() {
            let Ok(line) = Line::parse(line) else {
                board::exit(2)
            };
            let Some(decision) = line.decide(limiter, &key) else {
                board::exit(3)
            };
            if trace::write_decision(&mut console, index, &decision).is_err() {
                board::exit(4);
            }
        }
    }
    console.flush();
    board::exit(0)
}
