//@ figures: fast
//! Instructions of one decision, for every token of several tables.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;
use core::hint::black_box;

use board::{Console, Singleton, bench, counter};
use images::cases::{self, Case, ROWS, Sample, UNUSUAL, USUAL};
use limiter_core::{
    Decision, Instant, Limiter, Method, Now, Outcome, Policy, Reason, Request, Shared, TokenId,
};

/// The table, filled.
static FILLED: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));
/// The table in the situation that a case wants.
static PREPARED: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));
/// The table that decides.
static DECIDING: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));

#[board::entry]
fn main() -> ! {
    let (Some(filled), Some(prepared), Some(deciding)) =
        (FILLED.take(), PREPARED.take(), DECIDING.take())
    else {
        board::exit(1)
    };
    let mut bench = Bench {
        filled,
        prepared,
        deciding,
    };
    let mut console = Console::open();
    counter::start();

    for case in &USUAL {
        let cost = bench.of_case(case, ROWS / 2);
        let name = case.name;
        let _ = writeln!(
            console,
            "instructions: {name}, table half full, mean = {}",
            cost.mean()
        );
        let _ = writeln!(
            console,
            "instructions: {name}, table half full, max = {}",
            cost.max
        );
    }
    let mut worst = 0;
    for case in USUAL.iter().chain(&UNUSUAL) {
        let cost = bench.of_case(case, ROWS);
        worst = worst.max(cost.max);
        let _ = writeln!(
            console,
            "instructions: {}, table full, max = {}",
            case.name, cost.max
        );
    }
    let _ = writeln!(
        console,
        "instructions: worst found, table full, max = {worst}"
    );
    for (fill, count) in [("empty", 0), ("half full", ROWS / 2), ("full", ROWS)] {
        let cost = bench.of_unknown(count);
        let _ = writeln!(
            console,
            "instructions: unknown token, table {fill}, max = {}",
            cost.max
        );
    }
    let shared = of_shared(bench.deciding);
    let _ = writeln!(
        console,
        "instructions: what Shared adds to a check = {shared}"
    );
    console.flush();
    board::exit(0)
}

/// What a critical section around a check, and a clock that is a function, add to it.
fn of_shared(limiter: &mut Sample) -> u32 {
    static SHARED: Shared<Sample> = Shared::new();
    let request = Request::anonymous(Method::Get);
    let now = Now::new(Instant::ZERO, None);
    let started = SHARED.start(Policy::pipedrive(), || Ok(Now::new(Instant::ZERO, None)));
    assert!(started.is_ok());
    let within = bench::instructions(
        &mut request.clone(),
        |_| {},
        |request| {
            black_box(&SHARED.check(request));
        },
    );
    let alone = bench::instructions(
        &mut (limiter, request, now),
        |_| {},
        |(limiter, request, now)| {
            black_box(&cases::decide(limiter, request, *now));
        },
    );
    within.saturating_sub(alone)
}

struct Bench {
    filled: &'static mut Sample,
    prepared: &'static mut Sample,
    deciding: &'static mut Sample,
}

impl Bench {
    /// Measures a case for each token of each filling of `count` tokens.
    fn of_case(&mut self, case: &Case, count: usize) -> Cost {
        let mut cost = Cost::default();
        for filling in 0..FILLINGS {
            cases::fill(self.filled, filling, count);
            for index in 0..count {
                let token = cases::token(filling, index);
                self.prepared.clone_from(self.filled);
                (case.prepare)(self.prepared, token);
                cost.add(self.count(case, token));
            }
        }
        cost
    }

    /// Measures tokens that are in no table.
    fn of_unknown(&mut self, count: usize) -> Cost {
        let case = Case {
            name: "unknown",
            outcome: Outcome::Refused(Reason::Unauthenticated),
            method: Method::Get,
            ..USUAL[0]
        };
        let mut cost = Cost::default();
        for filling in 0..FILLINGS {
            cases::fill(self.prepared, filling, count);
            for stranger in 0..STRANGERS {
                cost.add(self.count(&case, cases::token(filling, ROWS + stranger)));
            }
        }
        cost
    }

    /// Counts the instructions of one decision in the prepared table.
    fn count(&mut self, case: &Case, token: TokenId) -> u32 {
        let mut call = Call {
            prepared: self.prepared,
            deciding: self.deciding,
            request: case.request(token),
            now: case.now,
        };
        let instructions = bench::instructions(&mut call, Call::prepare, |call| {
            black_box(&call.decide());
        });
        call.prepare();
        assert_eq!(call.decide().outcome(), case.outcome, "{}", case.name);
        instructions
    }
}

/// One decision and what it needs.
struct Call<'a> {
    prepared: &'a Sample,
    deciding: &'a mut Sample,
    request: Request,
    now: Now,
}

impl Call<'_> {
    fn prepare(&mut self) {
        self.deciding.clone_from(self.prepared);
    }

    #[inline(always)]
    fn decide(&mut self) -> Decision {
        cases::decide(self.deciding, &self.request, self.now)
    }
}

/// Counts of one case.
#[derive(Default)]
struct Cost {
    sum: u32,
    times: u32,
    max: u32,
}

impl Cost {
    fn add(&mut self, instructions: u32) {
        self.sum += instructions;
        self.times += 1;
        self.max = self.max.max(instructions);
    }

    fn mean(&self) -> u32 {
        (self.sum + self.times / 2) / self.times.max(1)
    }
}

/// Tables of the same size with other tokens.
const FILLINGS: u64 = 4;
/// Unknown tokens tried at each.
const STRANGERS: usize = 32;
