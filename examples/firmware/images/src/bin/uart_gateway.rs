//@ drive: gateway
//! A limiter on a wire: frames come in over the UART, the limiter decides, the answer with its headers goes back.
//!
//! The main loop and a timer interrupt share the limiter. The interrupt empties the UART into a ring while the main
//! loop is busy, and every 50 ms meters an upload of the device's own with the same limiter. What the interrupt
//! decided is told before the next answer, in the order of the decisions, so that the host can check all of them.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicU32, Ordering};

use board::uart::{self, UartReader, UartWriter};
use board::{Console, tick};
use critical_section::Mutex;
use heapless::{Deque, Vec};
use images::frame::{self, Frame, FrameError};
use images::line::{Line, LineReader};
use images::receiver::{Lost, Ring};
use limiter_core::clock::{Clock, ClockError};
use limiter_core::http::{self, Style};
use limiter_core::{
    Busy, Decision, HashKey, Instant, Kind, Limiter, Method, Now, Outage, Outcome, Plan, Policy,
    Registration, Request, Shared, SharedError, TokenId, UnixTime,
};

static LIMITER: Shared<Limiter<16, 8>, DeviceTime> = Shared::new();
const POLICY: Policy = Policy::pipedrive();

/// A product would read this from a page of flash that was written when it was provisioned.
const KEY: HashKey = HashKey::new(*b"provisioned once");
/// The credential of the device's own uploads.
const OWN_TOKEN: &[u8] = b"device";
const UPLOAD_EVERY_MS: u32 = 50;

static PORT: Mutex<RefCell<Option<Port>>> = Mutex::new(RefCell::new(None));
static CLOCK: Mutex<Cell<DeviceClock>> = Mutex::new(Cell::new(DeviceClock::AT_BOOT));
/// What the interrupt decided and nobody has been told yet.
static UPLOADS: Mutex<RefCell<Deque<Told, 8>>> = Mutex::new(RefCell::new(Deque::new()));
/// Interrupts that found the limiter in use; interrupts are off while it is, so none ever does.
static BUSY: AtomicU32 = AtomicU32::new(0);

/// The end that receives, and what it received.
struct Port {
    reader: UartReader,
    ring: Ring<256>,
}

/// A decision, and when it was made, if the clock could be read.
type Told = (Decision, Option<Now>);

#[board::entry]
fn main() -> ! {
    let (reader, mut writer) = uart::open();
    critical_section::with(|cs| {
        PORT.borrow(cs).replace(Some(Port {
            reader,
            ring: Ring::new(),
        }))
    });
    let own = Registration::new(KEY.user(OWN_TOKEN), Kind::ApiToken, Plan::ADVANCED).pinned();
    if LIMITER.start(POLICY, DeviceTime).is_err() {
        board::exit(1);
    }
    let registered = LIMITER.with(|limiter, now| limiter.register(KEY.token(OWN_TOKEN), own, now));
    if !matches!(registered, Ok(Ok(_))) {
        board::exit(2);
    }
    tick::start(on_tick);
    writer.write(b"ready\n");

    let mut gateway = Gateway {
        writer,
        counts: Counts::default(),
    };
    let mut lines = LineReader::<64>::new();
    while !gateway.done() {
        let line = match receive() {
            None => continue,
            Some(Err(Lost)) => Some(lines.overrun()),
            Some(Ok(byte)) => lines.push(byte),
        };
        if let Some(line) = line {
            // Writing to the UART cannot fail.
            let _ = gateway.answer(line);
        }
    }
    let _ = gateway.counts.write(&mut Console::open());
    board::exit(0)
}

/// In interrupt context, every millisecond.
fn on_tick() {
    critical_section::with(|cs| {
        if let Some(port) = PORT.borrow_ref_mut(cs).as_mut() {
            rescue(port);
        }
    });
    if tick::millis().is_multiple_of(UPLOAD_EVERY_MS) {
        let request = Request::new(KEY.token(OWN_TOKEN), Method::Post);
        let metered = critical_section::with(|cs| {
            let mut uploads = UPLOADS.borrow_ref_mut(cs);
            if !uploads.is_full() {
                // OK because it is not full.
                let _ = uploads.push_back(decide(&request)?);
            }
            Ok::<(), Busy>(())
        });
        if metered.is_err() {
            BUSY.store(
                BUSY.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Relaxed,
            );
        }
    }
}

/// Takes the oldest byte: from the ring, else from the port itself, which the sender waits for.
fn receive() -> Option<Result<u8, Lost>> {
    critical_section::with(|cs| {
        let mut port = PORT.borrow_ref_mut(cs);
        let Port { reader, ring } = port.as_mut()?;
        ring.pop().or_else(|| {
            reader
                .read()
                .map(|received| received.map_err(|uart::Overrun| Lost))
        })
    })
}

/// Moves into the ring what arrives in a millisecond at 115 200 Bd, and a little more.
fn rescue(port: &mut Port) {
    for _ in 0..16 {
        let Some(received) = port.reader.read() else {
            return;
        };
        port.ring.push(received.map_err(|uart::Overrun| Lost));
    }
}

fn overflows() -> bool {
    critical_section::with(|cs| {
        PORT.borrow_ref(cs)
            .as_ref()
            .is_some_and(|port| port.ring.overflows())
    })
}

/// Decides, and tells the time that it was decided at: within a critical section the clock stands still.
fn decide(request: &Request) -> Result<Told, Busy> {
    critical_section::with(|_| Ok((LIMITER.check(request)?, DeviceTime.read().ok())))
}

struct Gateway {
    writer: UartWriter,
    counts: Counts,
}

impl Gateway {
    fn done(&self) -> bool {
        self.counts.byes > 0
    }

    /// Answers one line, whatever it is; an answer ends with an empty line.
    fn answer(&mut self, line: Line<'_>) -> fmt::Result {
        let (number, frame) = match line {
            Line::Whole(text) => frame::parse(text),
            Line::TooLong => return self.writer.write_str("? too_long\r\n\r\n"),
            Line::Overrun => {
                self.counts.overruns += 1;
                return self.writer.write_str("? overrun\r\n\r\n");
            }
        };
        let Some(number) = number else {
            return write!(self.writer, "? {}\r\n\r\n", FrameError::NoNumber.word());
        };
        match frame {
            Ok(frame) => self.obey(number, frame),
            Err(error) => write!(self.writer, "#{number} ? {}\r\n\r\n", error.word()),
        }
    }

    fn obey(&mut self, number: u32, frame: Frame<'_>) -> fmt::Result {
        match frame {
            Frame::Request {
                token,
                method,
                origin,
                cost,
            } => {
                let request = match token {
                    // Hashed before the critical section.
                    Some(token) => Request::new(KEY.token(token.as_bytes()), method),
                    None => Request::anonymous(method),
                };
                return self.decide(number, &request.with_origin(origin).with_cost(cost));
            }
            Frame::Register {
                token,
                user,
                kind,
                plan,
            } => {
                let registration =
                    Registration::new(KEY.user(user.as_bytes()), kind, plan).pinned();
                return self.register(number, KEY.token(token.as_bytes()), registration);
            }
            Frame::Step(millis) => DeviceClock::change(|clock| {
                clock.offset_ms = clock.offset_ms.saturating_add(millis);
            }),
            Frame::ClockWorks(works) => DeviceClock::change(|clock| clock.fails = !works),
            Frame::Utc(seconds) => DeviceClock::change(|clock| clock.rtc = seconds),
            Frame::Away => {
                let begin = tick::millis();
                // A host that sends too little to overflow it gets its answer all the same.
                while !overflows() && tick::millis().wrapping_sub(begin) < 10_000 {}
            }
            Frame::Bye => self.counts.byes += 1,
        }
        write!(self.writer, "#{number} ok\r\n\r\n")
    }

    fn decide(&mut self, number: u32, request: &Request) -> fmt::Result {
        self.counts.decisions += 1;
        let (uploads, told) = critical_section::with(|_| (take_uploads(), decide(request)));
        let told = told.map_err(|Busy| fmt::Error)?;
        self.tell_uploads(uploads)?;
        write!(self.writer, "#{number}")?;
        self.tell(&told)
    }

    fn register(&mut self, number: u32, token: TokenId, registration: Registration) -> fmt::Result {
        let request = Request::new(token, Method::Other);
        let (uploads, refusal) = critical_section::with(|_| {
            let registered =
                LIMITER.with(
                    |limiter, now| match limiter.register(token, registration, now) {
                        Ok(_) => None,
                        Err(_) => {
                            Some((limiter.refuse_for(&request, Outage::TableFull), Some(now)))
                        }
                    },
                );
            let refusal = match registered {
                Ok(refusal) => Ok(refusal),
                // A clock that cannot be read refuses every request.
                Err(SharedError::Clock(_)) => decide(&request).map(Some),
                Err(_) => Err(Busy),
            };
            (take_uploads(), refusal)
        });
        let refusal = refusal.map_err(|Busy| fmt::Error)?;
        self.tell_uploads(uploads)?;
        write!(self.writer, "#{number}")?;
        match refusal {
            Some(told) => self.tell(&told),
            None => self.writer.write_str(" ok\r\n\r\n"),
        }
    }

    fn tell_uploads(&mut self, uploads: Vec<Told, 8>) -> fmt::Result {
        for told in uploads {
            self.counts.uploads += 1;
            self.writer.write_str("*")?;
            self.tell(&told)?;
        }
        Ok(())
    }

    /// Writes status, reason, time and headers.
    fn tell(&mut self, (decision, now): &Told) -> fmt::Result {
        let out = &mut self.writer;
        let word = match decision.outcome() {
            Outcome::Admitted => "admitted",
            Outcome::Exempt => "exempt",
            Outcome::Refused(reason) => reason.word(),
        };
        write!(out, " {} {word}", decision.status().unwrap_or(200))?;
        match now {
            Some(now) => write!(out, " t={}", now.monotonic().as_millis())?,
            None => out.write_str(" t=-")?,
        }
        match now.and_then(|now| now.utc()) {
            Some(utc) => write!(out, " utc={}\r\n", utc.as_secs())?,
            None => out.write_str(" utc=-\r\n")?,
        }
        http::write_headers(out, decision, &POLICY, Style::PAGE)?;
        out.write_str("\r\n")
    }
}

/// Takes what the interrupt decided; called where no interrupt can come between.
fn take_uploads() -> Vec<Told, 8> {
    critical_section::with(|cs| {
        let mut uploads = UPLOADS.borrow_ref_mut(cs);
        core::iter::from_fn(|| uploads.pop_front()).collect()
    })
}

/// The device's clocks: the tick, with what the host does to it.
#[derive(Clone, Copy)]
struct DeviceClock {
    offset_ms: i64,
    fails: bool,
    rtc: Option<i64>,
}

impl DeviceClock {
    const AT_BOOT: Self = Self {
        offset_ms: 0,
        fails: false,
        rtc: None,
    };

    fn change(change: impl FnOnce(&mut Self)) {
        critical_section::with(|cs| {
            let cell = CLOCK.borrow(cs);
            let mut clock = cell.get();
            change(&mut clock);
            cell.set(clock);
        });
    }
}

/// Reads [`CLOCK`].
struct DeviceTime;

impl Clock for DeviceTime {
    fn read(&mut self) -> Result<Now, ClockError> {
        let clock = critical_section::with(|cs| CLOCK.borrow(cs).get());
        if clock.fails {
            return Err(ClockError::Failed);
        }
        let millis = i64::from(tick::millis()).saturating_add(clock.offset_ms);
        let monotonic = Instant::from_millis(u64::try_from(millis).unwrap_or(0));
        let utc = clock
            .rtc
            .and_then(|seconds| u64::try_from(seconds).ok())
            .and_then(UnixTime::from_secs);
        Ok(Now::new(monotonic, utc))
    }
}

/// What happened.
#[derive(Default)]
struct Counts {
    decisions: u32,
    uploads: u32,
    overruns: u32,
    byes: u32,
}

impl Counts {
    /// Only what is the same in every run.
    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        writeln!(out, "frames were decided: {}", self.decisions > 0)?;
        writeln!(out, "the interrupt decided: {}", self.uploads > 0)?;
        writeln!(
            out,
            "it found the limiter in use: {} times",
            BUSY.load(Ordering::Relaxed)
        )?;
        writeln!(
            out,
            "bytes were lost while the main loop was busy: {}",
            self.overruns > 0
        )?;
        // What an interrupt would have been told.
        let inner = LIMITER.with_limiter(|_| LIMITER.with_limiter(|_| ()));
        writeln!(out, "the limiter used from within its own use: {inner:?}")
    }
}
