//! An answer of the gateway: a line, headers, an empty line.

use anyhow::{Context as _, Result, ensure};

use super::super::Serial;

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) tag: Tag,
    /// The first line, its tag included.
    pub(super) head: String,
    /// The lines after the first.
    pub(super) headers: Vec<String>,
}

/// Which frame it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The frame with this number.
    Frame(u32),
    /// A line without a number.
    Line,
    /// None: the device's interrupt decided something of its own.
    Upload,
}

/// When the device decided, as it says: `None` if its clock failed.
pub(super) type Moment = Option<(u64, Option<i64>)>;

impl Answer {
    /// Receives one.
    pub(super) fn receive(serial: &mut Serial) -> Result<Self> {
        let mut lines = Vec::new();
        loop {
            let line = serial.line()?;
            let line = line
                .strip_suffix('\r')
                .with_context(|| format!("no CR at the end of `{line}`"))?
                .to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
            ensure!(
                lines.len() <= MOST_LINES,
                "an answer without an end: {lines:?}"
            );
        }
        ensure!(!lines.is_empty(), "an empty answer");
        let head = lines.remove(0);
        Ok(Self {
            tag: Tag::of(&head)?,
            head,
            headers: lines,
        })
    }

    /// Reads `t=… utc=…` at the end of the first line.
    pub(super) fn moment(&self) -> Result<Moment> {
        let word = |key: &str| {
            let value = self.head.split(' ').find_map(|word| word.strip_prefix(key));
            value.with_context(|| format!("no {key} in `{}`", self.head))
        };
        let (millis, seconds) = (word("t=")?, word("utc=")?);
        if millis == "-" {
            ensure!(seconds == "-", "a UTC without a time in `{}`", self.head);
            return Ok(None);
        }
        let seconds = if seconds == "-" {
            None
        } else {
            Some(seconds.parse()?)
        };
        Ok(Some((millis.parse()?, seconds)))
    }
}

impl Tag {
    fn of(head: &str) -> Result<Self> {
        let word = head.split(' ').next().unwrap_or_default();
        match word {
            "*" => Ok(Self::Upload),
            "?" => Ok(Self::Line),
            _ => {
                let number = word
                    .strip_prefix('#')
                    .and_then(|digits| digits.parse().ok());
                Ok(Self::Frame(
                    number.with_context(|| format!("no tag at `{head}`"))?,
                ))
            }
        }
    }
}

/// One more than there are headers.
const MOST_LINES: usize = 8;
