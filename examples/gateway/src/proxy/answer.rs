//! The upstream's answer, streamed, and broken off when nothing of it comes.

use super::pool::InUse;
use crate::faults::{ClientFault, Faults, UpstreamFault};
use crate::listener::Watch;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The body of an upstream's answer.
#[derive(Debug)]
pub struct AnswerStream {
    incoming: Incoming,
    timeout: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// The request's body, which the answer may have to wait for.
    watch: Watch,
    faults: Arc<Faults>,
    /// The connection that it comes by, until it has been read to its end or failed.
    in_use: Option<InUse>,
}

impl AnswerStream {
    pub(super) const fn new(
        incoming: Incoming,
        timeout: Duration,
        watch: Watch,
        faults: Arc<Faults>,
        in_use: InUse,
    ) -> Self {
        Self {
            incoming,
            timeout,
            alarm: None,
            waiting: false,
            watch,
            faults,
            in_use: Some(in_use),
        }
    }

    /// Notes who broke it off.
    fn fail(&mut self, error: AnswerError) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        if self.in_use.take().is_some() {
            match self.watch.fault() {
                Some(fault) => self.faults.note_client(fault.into()),
                None => self.faults.note_upstream(UpstreamFault::BrokenOff),
            }
        }
        Poll::Ready(Some(Err(error)))
    }

    /// Waits for the upstream; ready when it has been waited for too long.
    fn poll_stuck(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if !self.waiting {
            self.waiting = true;
            alarm.as_mut().reset(Instant::now() + timeout);
        }
        loop {
            ready!(alarm.as_mut().poll(context));
            if !self.watch.take_moved() && !self.watch.is_waiting() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(Instant::now() + timeout);
        }
    }
}

impl Body for AnswerStream {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.fail(AnswerError::Broken(error)),
            Poll::Ready(None) => {
                if let Some(in_use) = self.in_use.take() {
                    in_use.rest();
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.poll_stuck(context));
                self.fail(AnswerError::Stuck)
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

impl Drop for AnswerStream {
    fn drop(&mut self) {
        match self.in_use.take() {
            // An answer whose length is known is not asked for its end.
            Some(in_use) if self.incoming.is_end_stream() => in_use.rest(),
            Some(_) => self.faults.note_client(ClientFault::Cancelled),
            None => {}
        }
    }
}

/// Why an answer did not come to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnswerError {
    /// The upstream broke it off, or what it sent is no body.
    Broken(hyper::Error),
    /// Nothing of it came for too long.
    Stuck,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "the upstream's answer broke off: {error}"),
            Self::Stuck => f.write_str("the upstream's answer got stuck"),
        }
    }
}

impl Error for AnswerError {}
