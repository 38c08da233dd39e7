//! A host that sends thousands of frames to the gateway image, good and bad ones, and holds every answer to the model.
//!
//! What is sent is the same each time; when it is decided is the device's to say, and the model is asked about that
//! very moment. So every answer is known to the byte although the device's clock runs freely.

mod answer;
mod expected;
mod frames;

use std::{collections::VecDeque, iter, sync::Once};

use anyhow::{Context as _, Result, ensure};

use self::{
    answer::{Answer, Tag},
    expected::Expected,
    frames::{Frame, Frames},
};
use super::Serial;

/// Sends the frames, then floods the device while its main loop is away, then says goodbye.
pub(super) fn talk(serial: &mut Serial) -> Result<()> {
    let mut talk = Talk {
        serial,
        expected: Expected::new(),
        sent: VecDeque::new(),
        sent_bytes: 0,
    };
    let mut frames = Frames::new();
    for frame in frames.registrations() {
        talk.send(frame)?;
    }
    for _ in 0..FRAMES {
        talk.send(frames.next())?;
    }
    talk.receive_all()?;
    talk.flood(&mut frames)?;
    talk.send(frames.known_request())?;
    talk.send(frames.bye())?;
    talk.receive_all()
}

struct Talk<'a> {
    serial: &'a mut Serial,
    expected: Expected,
    /// Sent and not answered yet.
    sent: VecDeque<Frame>,
    sent_bytes: usize,
}

impl Talk<'_> {
    /// Sends a frame as soon as the device's ring has room for it.
    fn send(&mut self, frame: Frame) -> Result<()> {
        while self.sent_bytes + frame.bytes.len() > AHEAD_BYTES {
            self.receive()?;
        }
        self.serial.send(&frame.bytes)?;
        self.sent_bytes += frame.bytes.len();
        self.sent.push_back(frame);
        Ok(())
    }

    fn receive_all(&mut self) -> Result<()> {
        while !self.sent.is_empty() {
            self.receive()?;
        }
        Ok(())
    }

    /// Receives the answer to the oldest frame, and what the device tells of itself before it.
    fn receive(&mut self) -> Result<()> {
        let frame = self.sent.pop_front().context("an answer to nothing")?;
        let answer = self
            .answer_to_a_frame()
            .with_context(|| format!("after {frame:?}"))?;
        self.sent_bytes -= frame.bytes.len();
        self.expected.check(&frame, &answer)?;
        if !answer.headers.is_empty() {
            SHOW.call_once(|| show(&frame, &answer));
        }
        Ok(())
    }

    fn answer_to_a_frame(&mut self) -> Result<Answer> {
        loop {
            let answer = Answer::receive(self.serial)?;
            if answer.tag != Tag::Upload {
                return Ok(answer);
            }
            self.expected.check_upload(&answer)?;
        }
    }

    /// Sends the device's main loop away and then more than the ring holds. Bytes must get lost, the device must say so and
    /// go on, and all that it does answer must be right.
    fn flood(&mut self, frames: &mut Frames) -> Result<()> {
        let away = frames.away();
        let flood: Vec<Frame> = (0..FLOOD_FRAMES).map(|_| frames.known_request()).collect();
        self.serial.send(&away.bytes)?;
        for frame in &flood {
            self.serial.send(&frame.bytes)?;
        }
        let answer = self.answer_to_a_frame()?;
        self.expected.check(&away, &answer)?;

        let mut sent = VecDeque::from(flood);
        let mut overruns = 0;
        while !sent.is_empty() {
            let answer = self.answer_to_a_frame().context("in the flood")?;
            match answer.tag {
                Tag::Frame(number) => {
                    // Those before it are lost.
                    let frame =
                        iter::from_fn(|| sent.pop_front()).find(|frame| frame.number == number);
                    self.expected
                        .check(&frame.context("an answer out of order")?, &answer)?;
                }
                _ if answer.head == "? overrun" => {
                    overruns += 1;
                    ensure!(overruns < FLOOD_FRAMES, "the flood has no end");
                    // The ring has room again. An empty line ends the frame that was cut, and all goes on.
                    let frame = frames.known_request();
                    self.serial.send(b"\n")?;
                    self.serial.send(&frame.bytes)?;
                    sent.push_back(frame);
                }
                // The empty line, if it had no cut frame to end.
                _ => ensure!(
                    answer.head == "? no_number",
                    "`{}` to good frames",
                    answer.head
                ),
            }
        }
        ensure!(overruns > 0, "the flood fitted into the ring");
        Ok(())
    }
}

/// Prints one exchange, so that a person sees what is said.
fn show(frame: &Frame, answer: &Answer) {
    println!(
        "        > {}",
        String::from_utf8_lossy(&frame.bytes).trim_end()
    );
    for line in iter::once(&answer.head).chain(&answer.headers) {
        println!("        < {line}");
    }
}

/// One exchange is enough for all machines.
static SHOW: Once = Once::new();
const FRAMES: usize = 2000;
/// Less than the device's ring of 256 bytes: sent and not answered.
const AHEAD_BYTES: usize = 200;
/// Some 2 000 bytes.
const FLOOD_FRAMES: usize = 80;
