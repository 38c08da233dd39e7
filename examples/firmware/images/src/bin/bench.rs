//@ figures: fast
//! Instructions of one decision, for every token of several tables.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;
use core::hint::black_box;

use board::{Console, Singleton, bench, counter};
use images::cases::{self, Case, ROWS, Sample, UNUSUAL, USUAL};
use limiter_core::snapshot::{self, SnapshotWriter};
use limiter_core::{
    Decision, HashKey, Instant, Kind, Limiter, Method, Now, OffTime, Outcome, Plan, Policy, Reason,
    Registration, Request, Shared, TokenId, UserId,
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
        steps: 0,
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
    bench.of_managing(&mut console);
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
    /// Steps of a snapshot to measure.
    steps: u32,
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

    /// Measures what is done seldom, and with interrupts held off where the limiter is shared.
    fn of_managing(&mut self, console: &mut Console) {
        let mut worst = 0;
        for filling in 0..FILLINGS {
            // All rows are taken, and idle by then: each newcomer takes one.
            cases::fill(self.prepared, filling, ROWS);
            for stranger in 0..STRANGERS {
                let newcomer = cases::token(filling, ROWS + stranger);
                worst = worst.max(self.manage(newcomer, |errand| {
                    black_box(&errand.register());
                }));
            }
        }
        let mut tell = |what: &str, instructions: u32| {
            let _ = writeln!(console, "instructions: {what} = {instructions}");
        };
        tell("register for an idle token's row, table full, max", worst);

        // Every user has used permits, and every token is blocked.
        cases::fill(self.prepared, 0, ROWS);
        for index in 0..ROWS {
            cases::block(self.prepared, cases::token(0, index));
        }
        let any = cases::token(0, 0);
        let set_policy = self.manage(any, |errand| {
            let policy = black_box(Policy::pipedrive());
            black_box(&errand.deciding.set_policy(policy).is_ok());
        });
        tell("set_policy, table full", set_policy);
        let at_once = self.manage(any, |errand| {
            black_box(&errand.snapshot());
        });
        tell("snapshot at once, table full", at_once);
        let (mut longest, mut before) = (0, 0);
        for steps in 0..=STEPS {
            self.steps = steps;
            let instructions = self.manage(any, |errand| errand.take_steps());
            // The hash of the key's check value is before the first, and needs no critical section.
            if steps > 0 {
                longest = longest.max(instructions.saturating_sub(before));
            }
            before = instructions;
        }
        tell("a step of a snapshot, table full, max", longest);
        let restore = self.manage_after_snapshot(|errand| {
            black_box(&errand.restore());
        });
        tell("restore, table full", restore);
    }

    fn manage(&mut self, token: TokenId, work: fn(&mut Errand<'_>)) -> u32 {
        let prepare = |errand: &mut Errand<'_>| errand.deciding.clone_from(errand.prepared);
        bench::instructions(&mut self.errand(token), prepare, work)
    }

    fn manage_after_snapshot(&mut self, work: fn(&mut Errand<'_>)) -> u32 {
        let mut errand = self.errand(cases::token(0, 0));
        errand.deciding.clone_from(errand.prepared);
        let written = errand.snapshot();
        let prepare = |errand: &mut Errand<'_>| errand.deciding.clone_from(&cases::EMPTY);
        let instructions = bench::instructions(&mut errand, prepare, work);
        errand.deciding.clone_from(&cases::EMPTY);
        assert!(written && errand.restore());
        instructions
    }

    fn errand(&mut self, token: TokenId) -> Errand<'_> {
        Errand {
            prepared: self.prepared,
            deciding: self.deciding,
            key: HashKey::new(black_box([7; 16])),
            image: [0; snapshot::size(ROWS, 16)],
            token,
            steps: self.steps,
        }
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

/// What is done to a limiter besides deciding, and what it needs.
struct Errand<'a> {
    prepared: &'a Sample,
    deciding: &'a mut Sample,
    key: HashKey,
    image: [u8; snapshot::size(ROWS, 16)],
    token: TokenId,
    steps: u32,
}

impl Errand<'_> {
    fn register(&mut self) -> bool {
        let terms = Registration::new(UserId::from_u32(7), Kind::ApiToken, Plan::ADVANCED);
        let registered = self.deciding.register(self.token, terms, cases::LATER);
        registered.is_ok()
    }

    fn snapshot(&mut self) -> bool {
        let now = cases::SOON.monotonic();
        let written = self.deciding.snapshot(&self.key, 1, &mut self.image, now);
        written.is_ok()
    }

    fn take_steps(&mut self) {
        let now = cases::SOON.monotonic();
        let mut writer = SnapshotWriter::new(&self.key, 1, &mut self.image);
        for _ in 0..self.steps {
            black_box(&self.deciding.snapshot_step(&mut writer, now));
        }
    }

    fn restore(&mut self) -> bool {
        let now = cases::SOON.monotonic();
        let restored = self
            .deciding
            .restore(&self.key, &self.image, OffTime::Trust, now);
        restored.is_ok()
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
/// Steps of a snapshot of 16 users and 32 tokens, and the header.
const STEPS: u32 = 7;
/// Unknown tokens tried at each.
const STRANGERS: usize = 32;
