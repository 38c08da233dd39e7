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
use limiter_core::clock::{ClockError, Clocks, FnUtc, TickClock, TickRate};
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

    /// Lets hours pass, reading the counter as often as its range asks for (W7).
    fn pass_hours(&self, hours: u32, mut read: impl FnMut()) {
        for _ in 0..3 * hours {
            self.pass_ms(20 * 60 * 1_000);
            read();
        }
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
    let mut clock = Clocks {
        monotonic: TickClock::new(rate, || {
            if registers.micros_fail.get() {
                Err(ClockError::Failed)
            } else {
                Ok(u64::from(registers.micros.get()))
            }
        }),
        utc: FnUtc(|| registers.rtc.get().ok_or(ClockError::NotRunning)),
    };

    let mut limiter = Limiter::<4, 4>::new(Policy::pipedrive());
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
    let whole_window = read.with_cost(NonZeroU32::new(40).unwrap_or(NonZeroU32::MIN));

    let mut console = Console::open();
    let mut show = |limiter: &mut Limiter<4, 4>, clock: &mut _, what: &str, request: &Request| {
        let decision = limiter.check_with(request, clock);
        let quota = decision.quota();
        let _ = write!(console, "{what}: {:?}", decision.outcome());
        if let Some(quota) = quota {
            let _ = write!(console, ", {} left", quota.remaining);
            if let Some(left) = quota.daily_left {
                let _ = write!(console, ", {left} today");
            }
        }
        if let Some(wait_ms) = decision.retry_after_ms() {
            let _ = write!(console, ", again in {wait_ms} ms");
        }
        let _ = writeln!(console);
    };

    show(
        &mut limiter,
        &mut clock,
        "1 s before the counter wraps",
        &whole_window,
    );
    registers.pass_ms(1_999);
    show(
        &mut limiter,
        &mut clock,
        "1999 ms later, over the wrap",
        &read,
    );
    registers.pass_ms(1);
    show(&mut limiter, &mut clock, "2000 ms later", &read);

    show(&mut limiter, &mut clock, "RTC never set", &write);
    registers.rtc.set(Some(0));
    show(
        &mut limiter,
        &mut clock,
        "RTC says 1970, below the floor",
        &write,
    );
    registers.rtc.set(Some(MIDNIGHT_S - 10));
    show(
        &mut limiter,
        &mut clock,
        "RTC set to 10 s before midnight: no refill",
        &write,
    );

    registers.pass_ms(10_000);
    registers.rtc.set(Some(MIDNIGHT_S));
    show(&mut limiter, &mut clock, "midnight: refill", &write);
    registers.rtc.set(Some(MIDNIGHT_S - 60));
    show(
        &mut limiter,
        &mut clock,
        "set back by 60 s over midnight: no refill",
        &write,
    );
    registers.rtc.set(Some(MIDNIGHT_S + 1));
    show(
        &mut limiter,
        &mut clock,
        "midnight again: no refill",
        &write,
    );

    registers.rtc.set(Some(MIDNIGHT_S + 2 * 86_400));
    show(
        &mut limiter,
        &mut clock,
        "RTC jumps two days on: refill",
        &write,
    );
    registers.rtc.set(Some(MIDNIGHT_S + 3 * 86_400));
    show(&mut limiter, &mut clock, "and another: held back", &write);
    registers.pass_hours(23, || {
        let _ = limiter.check_with(&read, &mut clock);
    });
    show(&mut limiter, &mut clock, "23 h later: refill", &write);

    registers.micros_fail.set(true);
    show(&mut limiter, &mut clock, "counter fails", &read);
    registers.micros_fail.set(false);
    show(&mut limiter, &mut clock, "counter is back", &read);
    registers.rtc.set(None);
    show(&mut limiter, &mut clock, "RTC fails", &write);
    drop(show);
    console.flush();
    board::exit(0)
}
