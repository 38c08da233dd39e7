//! What an image says, as text: defmt frames decoded with the table in its ELF, anything else as it is.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, anyhow};
use defmt_decoder::{DecodeError, Table};

/// Turns the bytes that `elf` wrote into text.
pub(crate) fn text(elf: &Path, bytes: &[u8]) -> Result<String> {
    match Table::parse(&fs::read(elf)?)? {
        Some(table) if !table.is_empty() => decode(&table, bytes),
        _ => String::from_utf8(bytes.to_vec()).context("not UTF-8"),
    }
}

/// One line per frame: time, level, message.
fn decode(table: &Table, bytes: &[u8]) -> Result<String> {
    let mut decoder = table.new_stream_decoder();
    decoder.received(bytes);
    let mut text = String::new();
    loop {
        match decoder.decode() {
            Ok(frame) => {
                let time = frame
                    .display_timestamp()
                    .map(|time| format!("{time} "))
                    .unwrap_or_default();
                let level = frame.level().map_or("-", |level| level.as_str());
                writeln!(text, "{time}{level} {}", frame.display_message())?;
            }
            Err(DecodeError::UnexpectedEof) => return Ok(text),
            Err(DecodeError::Malformed) => {
                return Err(anyhow!("a malformed defmt frame after:\n{text}"));
            }
        }
    }
}
