//@ drive: api_client
//! The caller's side on a wire: requests go out over the UART when the pacer lets them, to a service that limits.
//!
//! The host says what to send ([`images::errand`]) and carries the bytes to a gateway and back. The device knows
//! nothing of the service's limits; the pacer learns them from the answers' headers. When the service denies access
//! it stops, and a lamp tells a person.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::{self, Write as _};

use board::uart::{self, UartReader, UartWriter};
use board::{Console, timebase};
use images::errand::{self, Errand};
use images::line::{Line, LineReader};
use images::response::{Head, ResponseError, ResponseReader};
use limiter_core::clock::{Clock, ClockError, Clocks, NoUtc, TickClock, TickRate, TickRateError};
use limiter_core::{Method, Now};
use limiter_pacer::{HeaderReader, Pacer, PacerPolicy, SendDecision, SendRequest};

/// A product has a number of its own: devices with different ones do not come back at once.
const DEVICE: u32 = 7;
/// One connection, one request at a time: a few slots for answered ones are plenty.
type DevicePacer = Pacer<16>;

#[board::entry]
fn main() -> ! {
    timebase::start();
    let mut console = Console::open();
    let code = match run(&mut console) {
        Ok(()) => 0,
        Err(failure) => {
            let _ = writeln!(console, "{failure}");
            1
        }
    };
    console.flush();
    board::exit(code)
}

fn run(console: &mut Console) -> Result<(), Failure> {
    let rate = TickRate::from_hz(timebase::HZ, timebase::BITS).map_err(Failure::Rate)?;
    let clock = Clocks {
        monotonic: TickClock::new(rate, || Ok(timebase::read())),
        // The answers' `date` will do.
        utc: NoUtc,
    };
    let (reader, mut writer) = uart::open();
    writer.write(b"ready\n");
    let mut client = Client {
        wire: Wire { reader, clock },
        writer,
        responses: ResponseReader::new(),
    };
    let mut lines = LineReader::<64>::new();
    loop {
        let line = match lines.push(client.wire.byte()?) {
            None => continue,
            Some(Line::Whole(line)) => line,
            Some(_) => return Err(Failure::NoErrand),
        };
        if line == b"bye" {
            return Ok(());
        }
        let errand = errand::parse(line).ok_or(Failure::NoErrand)?;
        let report = if errand.paced {
            client.send_paced(&errand)?
        } else {
            client.send_unpaced(&errand)?
        };
        report.write(&errand, console).map_err(Failure::Format)?;
        client.writer.write(b"done\n");
    }
}

struct Client<C> {
    wire: Wire<C>,
    writer: UartWriter,
    responses: ResponseReader<1024>,
}

impl<C: Clock> Client<C> {
    /// Sends when the pacer says so, until all is sent or the pacer says to stop.
    fn send_paced(&mut self, errand: &Errand<'_>) -> Result<Report, Failure> {
        let mut pacer = DevicePacer::new(PacerPolicy::ADAPTIVE.with_seed(DEVICE));
        let mut report = Report::default();
        while report.sent < errand.requests {
            let method = method(report.sent);
            let ticket = match pacer.poll_send(SendRequest::new(method), self.wire.now()?) {
                SendDecision::Go(ticket) => ticket,
                SendDecision::Wait(millis) => {
                    self.wire.wait(millis)?;
                    continue;
                }
                SendDecision::Stop(_) => break,
            };
            self.request(errand.token, method)
                .map_err(Failure::Format)?;
            let (head, now) = self.wire.answer(&mut self.responses)?;
            report.count(head.status);
            let mut answer = HeaderReader::new(head.status, now);
            for (name, value) in head.headers() {
                answer.header(name, value);
            }
            pacer.on_response(ticket, &answer.finish(), now);
            if pacer
                .denial(now)
                .is_some_and(|denial| denial.unacknowledged)
            {
                // A product would light a lamp.
                report.lamp = true;
                pacer.acknowledge_denial();
            }
        }
        Ok(report)
    }

    /// Sends as fast as the wire carries, as a client without a pacer does.
    fn send_unpaced(&mut self, errand: &Errand<'_>) -> Result<Report, Failure> {
        let mut report = Report::default();
        while report.sent < errand.requests {
            self.request(errand.token, method(report.sent))
                .map_err(Failure::Format)?;
            let (head, _) = self.wire.answer(&mut self.responses)?;
            report.count(head.status);
        }
        Ok(report)
    }

    fn request(&mut self, token: &str, method: Method) -> fmt::Result {
        let (word, body) = match method {
            Method::Post => ("POST", r#"{"title":"42 litres"}"#),
            _ => ("GET", ""),
        };
        write!(
            self.writer,
            "{word} /v1/deals HTTP/1.1\r\nhost: gateway\r\nx-api-token: {token}\r\n"
        )?;
        if !body.is_empty() {
            let length = body.len();
            write!(
                self.writer,
                "content-type: application/json\r\ncontent-length: {length}\r\n"
            )?;
        }
        write!(self.writer, "\r\n{body}")
    }
}

/// Every fourth request is a write.
fn method(number: u32) -> Method {
    if number % 4 == 3 {
        Method::Post
    } else {
        Method::Get
    }
}

/// The end that receives, and the clock.
struct Wire<C> {
    reader: UartReader,
    clock: C,
}

impl<C: Clock> Wire<C> {
    fn now(&mut self) -> Result<Now, Failure> {
        self.clock.read().map_err(Failure::Clock)
    }

    /// Waits for a byte.
    fn byte(&mut self) -> Result<u8, Failure> {
        // A product would give up after a while. Here the host does.
        self.reader.wait().map_err(|uart::Overrun| Failure::Overrun)
    }

    /// Waits for an answer; tells when it was whole.
    fn answer<'a, const HEAD: usize>(
        &mut self,
        responses: &'a mut ResponseReader<HEAD>,
    ) -> Result<(Head<'a>, Now), Failure> {
        while !responses.push(self.byte()?) {}
        let head = responses.response().map_err(Failure::Response)?;
        Ok((head, self.now()?))
    }

    fn wait(&mut self, millis: u32) -> Result<(), Failure> {
        let now = self.now()?.monotonic();
        let deadline = now.saturating_add(u64::from(millis));
        // A product would sleep; the counter has to be read once in half its range.
        while self.now()?.monotonic() < deadline {}
        Ok(())
    }
}

/// What came of an errand.
#[derive(Default)]
struct Report {
    sent: u32,
    refused: u32,
    lamp: bool,
}

impl Report {
    fn count(&mut self, status: u16) {
        self.sent += 1;
        self.refused += u32::from(matches!(status, 403 | 429 | 503));
    }

    /// Only what is the same in every run.
    fn write(&self, errand: &Errand<'_>, out: &mut impl fmt::Write) -> fmt::Result {
        let manner = if errand.paced { "paced" } else { "unpaced" };
        writeln!(
            out,
            "{manner}: all sent: {}, any refused: {}, the lamp is lit: {}",
            self.sent == errand.requests,
            self.refused > 0,
            self.lamp
        )
    }
}

/// Why the client gives up.
enum Failure {
    Rate(TickRateError),
    Clock(ClockError),
    /// The host said something else.
    NoErrand,
    /// The port lost bytes.
    Overrun,
    Response(ResponseError),
    Format(fmt::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(error) => error.fmt(f),
            Self::Clock(error) => error.fmt(f),
            Self::NoErrand => f.write_str("that is no errand"),
            Self::Overrun => f.write_str("the port lost bytes"),
            Self::Response(error) => error.fmt(f),
            Self::Format(error) => error.fmt(f),
        }
    }
}
