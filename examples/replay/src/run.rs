//! One pass of a log through a backend, its decision lines written as they fall.

use std::io::{self, Write};

use limiter_core::Plan;

use crate::backend::{Backend, BackendError};
use crate::log::{Entry, Log};
use crate::tally::Tally;

/// Decides all requests of a log in their order. With a `plan`, all callers have it, whatever their
/// lines say. `progress` is told the number of requests now and then.
///
/// # Errors
/// [`RunError`]; the lines before that have been written.
pub fn run(
    log: &Log,
    backend: &mut dyn Backend,
    plan: Option<Plan>,
    output: &mut Output<impl Write>,
    mut progress: impl FnMut(u64),
) -> Result<Tally, RunError> {
    let mut tally = Tally::new(log);
    for (i, entry) in log.entries().iter().enumerate() {
        let entry = with_plan(*entry, plan);
        let verdict = backend.decide(&entry)?;
        tally.count(&entry, &verdict);
        output.line(&verdict.line(i))?;
        if (i + 1) % REQUESTS_BETWEEN_NEWS == 0 {
            progress((i + 1) as u64);
        }
    }
    output.flush()?;
    Ok(tally)
}

/// Where decision lines go. When the reader at the other end has gone, the rest is dropped.
#[derive(Debug)]
pub struct Output<W>(Option<W>);

impl<W: Write> Output<W> {
    /// Writes lines to `writer`, which should be buffered.
    pub const fn new(writer: W) -> Self {
        Self(Some(writer))
    }

    /// Whether lines are still wanted.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    fn line(&mut self, line: &impl std::fmt::Display) -> io::Result<()> {
        self.try_to(|writer| writeln!(writer, "{line}"))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.try_to(Write::flush)
    }

    fn try_to(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        match self.0.as_mut().map_or(Ok(()), write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(())
            }
            other => other,
        }
    }
}

impl Output<io::Sink> {
    /// Drops all lines.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }
}

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The backend had no decision.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The decisions could not be written.
    #[error("the decisions cannot be written: {0}")]
    Io(#[from] io::Error),
}

fn with_plan(mut entry: Entry, plan: Option<Plan>) -> Entry {
    if let (Some(plan), Some(caller)) = (plan, entry.caller.as_mut()) {
        caller.plan = plan;
    }
    entry
}

/// Progress is told once in so many requests.
const REQUESTS_BETWEEN_NEWS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes some lines, then fails with the error of this kind.
    struct Full(usize, io::ErrorKind);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(self.1)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let mut output = Output::new(Full(6, io::ErrorKind::BrokenPipe));
        assert!(output.line(&"line").is_ok() && output.is_open());
        assert!(output.line(&"line").is_ok() && !output.is_open());
        assert!(output.line(&"line").is_ok() && output.flush().is_ok());
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut output = Output::new(Full(6, io::ErrorKind::StorageFull));
        assert!(output.line(&"line").is_ok());
        assert_eq!(
            output.line(&"line").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
    }
}
