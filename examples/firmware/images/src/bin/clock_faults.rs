//! Clocks as they are in the field: one that wraps, an RTC that nobody has set yet, one that is set back over
//! midnight, one that runs wild, one that fails. Each answer is stated beside it.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::cell::Cell;
use core::fmt::Write as _;
use core::num::NonZeroU32;

use board::Console;
use images as _;
use limiter_core::clock::{Clock, ClockError, Clocks, FnUtc, TickClock, TickRate};
use limiter_core::{
    HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy, Registration, Request,
};

/// The registers of two clocks, as a fault would leave them.
struct Registers {
    /// A 32-bit counter of microseconds: wraps every 71.6 min.
    micros: Cell<u32>,
    micros_fail: Cell<bool>,
    /// The RTC's Unix time; unset, it has none.
    rtc: Cell<Option<i64>>,
}

impl Registers {
    fn pass_ms(&self, millis: u32) {
        self.micros
            .set(self.micros.get().wrapping_add(millis.wrapping_mul(1_000)));
    }
}

const MIDNIGHT_S: i64 = 20_834 * 86_400;

#[board::entry]
fn main() -> ! {
    let registers = Registers {
        micros: Cell::new(u32::MAX - 1_000_000),
        micros_fail: Cell::new(false),
        rtc: Cell::new(None),
    };
    let Ok(rate) = TickRate::from_hz(1_000_000, 32) else {
        board::exit(1)
    };
    let clock = Clocks {
        monotonic: TickClock::new(rate, || {
            if registers.micros_fail.get() {
                Err(ClockError::Failed)
            } else {
                Ok(u64::from(registers.micros.get()))
            }
        }),
        utc: FnUtc(|| registers.rtc.get().ok_or(ClockError::NotRunning)),
    };

    let mut limiter = Limiter::new(Policy::pipedrive());
    let key = HashKey::new(*b"provisioned once");
    let token = key.token(b"a1b2c3");
    let registration = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    if limiter
        .register(token, registration, Now::new(Instant::ZERO, None))
        .is_err()
    {
        board::exit(2);
    }
    let read = Request::new(token, Method::Get);
    let write = Request::new(token, Method::Post);
    let mut story = Story {
        limiter,
        clock,
        console: Console::open(),
    };
    counter_that_wraps(&registers, &mut story, &read);
    rtc_that_nobody_set(&registers, &mut story, &write);
    rtc_that_steps_back(&registers, &mut story, &write);
    rtc_that_runs_wild(&registers, &mut story, &read, &write);
    clocks_that_fail(&registers, &mut story, &read, &write);
    story.console.flush();
    board::exit(0)
}

fn counter_that_wraps(registers: &Registers, story: &mut Story<impl Clock>, read: &Request) {
    let whole_window = read.with_cost(NonZeroU32::new(40).unwrap_or(NonZeroU32::MIN));
    story.tell("1 s before the counter wraps", &whole_window);
    registers.pass_ms(1_999);
    story.tell("1999 ms later, over the wrap", read);
    registers.pass_ms(1);
    story.tell("2000 ms later", read);
}

fn rtc_that_nobody_set(registers: &Registers, story: &mut Story<impl Clock>, write: &Request) {
    story.tell("RTC never set", write);
    registers.rtc.set(Some(0));
    story.tell("RTC says 1970, below the floor", write);
    registers.rtc.set(Some(MIDNIGHT_S - 10));
    story.tell("RTC set to 10 s before midnight: no refill", write);
}

fn rtc_that_steps_back(registers: &Registers, story: &mut Story<impl Clock>, write: &Request) {
    registers.pass_ms(10_000);
    registers.rtc.set(Some(MIDNIGHT_S));
    story.tell("midnight: refill", write);
    registers.rtc.set(Some(MIDNIGHT_S - 60));
    story.tell("set back by 60 s over midnight: no refill", write);
    registers.rtc.set(Some(MIDNIGHT_S + 1));
    story.tell("midnight again: no refill", write);
}

fn rtc_that_runs_wild(
    registers: &Registers,
    story: &mut Story<impl Clock>,
    read: &Request,
    write: &Request,
) {
    registers.rtc.set(Some(MIDNIGHT_S + 2 * 86_400));
    story.tell("RTC jumps two days on: refill", write);
    registers.rtc.set(Some(MIDNIGHT_S + 3 * 86_400));
    story.tell("and another: held back", write);
    // The counter must be read once per half range (W7).
    for _ in 0..23 * 3 {
        registers.pass_ms(20 * 60 * 1_000);
        let _ = story.limiter.check_with(read, &mut story.clock);
    }
    story.tell("23 h later: refill", write);
}

fn clocks_that_fail(
    registers: &Registers,
    story: &mut Story<impl Clock>,
    read: &Request,
    write: &Request,
) {
    registers.micros_fail.set(true);
    story.tell("counter fails", read);
    registers.micros_fail.set(false);
    story.tell("counter is back", read);
    registers.rtc.set(None);
    story.tell("RTC fails", write);
}

/// A limiter, its clock, and where its answers are written.
struct Story<C> {
    limiter: Limiter<4, 4>,
    clock: C,
    console: Console,
}

impl<C: Clock> Story<C> {
    /// Decides, and writes the answer beside what happened.
    fn tell(&mut self, what: &str, request: &Request) {
        let decision = self.limiter.check_with(request, &mut self.clock);
        let out = &mut self.console;
        let _ = write!(out, "{what}: {:?}", decision.outcome());
        if let Some(quota) = decision.quota() {
            let _ = write!(out, ", {} left", quota.remaining);
            if let Some(left) = quota.daily_left {
                let _ = write!(out, ", {left} today");
            }
        }
        if let Some(wait_ms) = decision.retry_after_ms() {
            let _ = write!(out, ", again in {wait_ms} ms");
        }
        let _ = writeln!(out);
    }
}
