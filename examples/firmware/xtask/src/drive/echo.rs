//! Thousands of lines there and back: no byte may be lost or changed, in either direction.

use std::collections::VecDeque;

use anyhow::{Result, ensure};

use super::Serial;

/// Sends lines of every length around the reader's limit, some ahead of the answers, and checks each answer.
pub(super) fn talk(serial: &mut Serial) -> Result<()> {
    let mut expected = VecDeque::new();
    for number in 0..LINES {
        let line = line(number);
        serial.send(line.as_bytes())?;
        serial.send(b"\n")?;
        expected.push_back(answer(number, &line));
        if expected.len() == AHEAD {
            receive(serial, &mut expected)?;
        }
    }
    while !expected.is_empty() {
        receive(serial, &mut expected)?;
    }
    serial.send(b"bye\n")
}

fn receive(serial: &mut Serial, expected: &mut VecDeque<String>) -> Result<()> {
    let wanted = expected.pop_front().unwrap_or_default();
    let line = serial.line()?;
    ensure!(line == wanted, "sent back `{line}` instead of `{wanted}`");
    Ok(())
}

fn line(number: usize) -> String {
    let length = number * 7 % (READER_BYTES + 16);
    (0..length)
        .map(|place| char::from(b"0123456789abcdefghijk"[(number + place) % 21]))
        .collect()
}

fn answer(number: usize, line: &str) -> String {
    let text = if line.len() > READER_BYTES {
        "too long"
    } else {
        line
    };
    format!("{number} {text}")
}

const LINES: usize = 2000;
/// Lines sent before the first answer is read: the wire is full both ways.
const AHEAD: usize = 32;
/// The image's `LineReader` holds this much.
const READER_BYTES: usize = 64;
