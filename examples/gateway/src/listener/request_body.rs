//! A request's body: not too long, not too slow, and watched by the one who forwards it.

use super::lane::Lane;
use super::patience::{Pace, Patience};
use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::error::Error;
use std::fmt;
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
        self.watch.0.store(fault as u8, Ordering::Relaxed);
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
                Poll::Pending => Poll::Pending,
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
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken(error)))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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

    pub(crate) fn note_moved(&self) {
        self.0.fetch_or(MOVED, Ordering::Relaxed);
    }

    /// Why it was broken off, if it was.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        let bits = self.0.load(Ordering::Relaxed) & !MOVED;
        [BodyFault::Long, BodyFault::Slow]
            .into_iter()
            .find(|&fault| fault as u8 == bits)
    }
}

/// Why a body is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// More bytes than a request may have.
    Long = 1,
    /// It came too slowly.
    Slow = 2,
}

const MOVED: u8 = 4;

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
            Self::Broken(error) => write!(f, "the body broke off: {error}"),
        }
    }
}

impl Error for BodyError {}
