//! A request's body: not too long, not too slow, and watched by the one who forwards it.

use super::lane::Lane;
use super::patience::{Pace, Patience};
use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

/// A request's body as the services behind a listener get it.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// Bytes that may still come.
    left: u64,
    patience: Patience,
    watch: Watch,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, most: u64, pace: Pace, lane: Arc<Lane>) -> Self {
        Self {
            incoming,
            left: most,
            patience: Patience::new(pace, lane),
            watch: Watch::default(),
        }
    }

    /// A handle that tells what becomes of the body.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    fn fail(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.watch.note_fault(fault);
        Poll::Ready(Some(Err(BodyError::Fault(fault))))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending => match self.patience.poll_end(context) {
                Poll::Ready(()) => self.fail(BodyFault::Slow),
                Poll::Pending => {
                    self.watch.note_waiting();
                    Poll::Pending
                }
            },
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining());
                self.patience.moved(bytes);
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                match self.left.checked_sub(bytes) {
                    Some(left) => self.left = left,
                    None => return self.fail(BodyFault::Long),
                }
                self.watch.note_moved();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.watch.note_fault(fault_of(&error));
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            Poll::Ready(None) => {
                self.watch.note_moved();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // Nobody waits for the client any more.
        self.watch.0.fetch_and(!WAITING, Ordering::Relaxed);
    }
}

/// What became of a body so far.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<AtomicU8>);

impl Watch {
    /// Whether a part of it went forward since this was last asked.
    #[must_use]
    pub fn take_moved(&self) -> bool {
        self.0.fetch_and(!MOVED, Ordering::Relaxed) & MOVED != 0
    }

    /// Returns whether the client is waited for at this moment: what it sent has gone forward.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAITING != 0
    }

    pub(crate) fn note_moved(&self) {
        // Only the one who reads the body changes the other bits.
        self.0.store(MOVED, Ordering::Relaxed);
    }

    fn note_waiting(&self) {
        self.0.fetch_or(WAITING, Ordering::Relaxed);
    }

    fn note_fault(&self, fault: BodyFault) {
        self.0.store(fault as u8, Ordering::Relaxed);
    }

    /// The fault of the client's that broke it off, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        let bits = self.0.load(Ordering::Relaxed) & !(MOVED | WAITING);
        BodyFault::ALL
            .into_iter()
            .find(|&fault| fault as u8 == bits)
    }
}

/// A reason of the client's for which a body is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// More bytes than a request may have.
    Long = 1,
    /// It came too slowly.
    Slow = 2,
    /// It is not in the form that the head announces.
    Malformed = 3,
    /// The client went away before its end.
    Cancelled = 4,
}

impl BodyFault {
    const ALL: [Self; 4] = [Self::Long, Self::Slow, Self::Malformed, Self::Cancelled];
}

/// The fault that an error of reading a body stands for: what was read makes no sense, or nothing more
/// can be read.
fn fault_of(error: &hyper::Error) -> BodyFault {
    use io::ErrorKind::{InvalidData, InvalidInput};
    let source = error.source().and_then(|source| source.downcast_ref());
    match source.map(io::Error::kind) {
        Some(InvalidData | InvalidInput) => BodyFault::Malformed,
        _ => BodyFault::Cancelled,
    }
}

const MOVED: u8 = 0x80;
const WAITING: u8 = 0x40;

/// Why a body did not come to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The gateway broke it off.
    Fault(BodyFault),
    /// The client did.
    Broken(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(BodyFault::Long) => f.write_str("the body is too long"),
            Self::Fault(BodyFault::Slow) => f.write_str("the body comes too slowly"),
            Self::Fault(BodyFault::Malformed) => f.write_str("the body is malformed"),
            Self::Fault(BodyFault::Cancelled) => f.write_str("the body was cancelled"),
            Self::Broken(error) => write!(f, "the body broke off: {error}"),
        }
    }
}

impl Error for BodyError {}
