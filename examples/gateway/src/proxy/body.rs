//! A request's body on its way to the upstream, which can be sent again if none of it was read.

use crate::listener::{BodyError, RequestBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// A body that clones share; one of them is read.
#[derive(Clone, Debug)]
pub(super) struct HeldBody(Arc<Held>);

#[derive(Debug)]
struct Held {
    body: Mutex<RequestBody>,
    is_touched: AtomicBool,
}

impl HeldBody {
    pub(super) fn new(body: RequestBody) -> Self {
        Self(Arc::new(Held {
            body: Mutex::new(body),
            is_touched: AtomicBool::new(false),
        }))
    }

    /// Returns whether nothing of it was asked for.
    pub(super) fn is_untouched(&self) -> bool {
        !self.0.is_touched.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, RequestBody> {
        self.0.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.is_touched.store(true, Ordering::Relaxed);
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
