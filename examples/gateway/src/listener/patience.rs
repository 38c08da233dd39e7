//! How long a slow peer is waited for: a minimum rate, with some seconds of grace.

use super::lane::Lane;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The slowest peer that is served: a minimum rate, and a time for a whole transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a peer may be waited for beyond what the rate allows.
    pub grace: Duration,
    /// Bytes that earn one second of waiting.
    pub bytes_per_s: u32,
    /// Time for which a peer may be waited for in one transfer, whatever its rate.
    pub whole: Duration,
}

/// What is left of the waiting that a peer may cause.
///
/// Only the time in which the gateway waits for the peer counts: what the gateway itself takes, or
/// the server behind it, is not the peer's fault.
#[derive(Debug)]
pub(crate) struct Patience {
    pace: Pace,
    left: Duration,
    left_of_whole: Duration,
    /// Bytes that earn one second of the whole time: 0 for none, where the length is bounded.
    whole_bytes_per_s: u32,
    lane: Arc<Lane>,
    /// The transfer that the whole time is counted for.
    transfer: u32,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Patience with a transfer whose length is bounded, noted in a lane.
    pub(crate) fn new(pace: Pace, lane: Arc<Lane>) -> Self {
        Self {
            pace,
            left: pace.grace,
            left_of_whole: pace.whole,
            whole_bytes_per_s: 0,
            transfer: lane.transfer(),
            lane,
            waiting_since: None,
            alarm: None,
        }
    }

    /// Patience with transfers of any length, one after the other in a lane: who keeps to
    /// [`Lane::SLOW_BYTES_PER_S`] may take as long as it takes.
    fn endless(pace: Pace, lane: Arc<Lane>) -> Self {
        Self {
            whole_bytes_per_s: Lane::SLOW_BYTES_PER_S,
            ..Self::new(pace, lane)
        }
    }

    /// The peer moved so many bytes; the wait, if there was one, is over.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.renew();
        let waited = self.waiting_since.take().map(|since| since.elapsed());
        let waited = waited.unwrap_or_default();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let left = self.left.saturating_sub(waited);
        self.left = left
            .saturating_add(earned(bytes, self.pace.bytes_per_s))
            .min(self.pace.grace);
        let left = self.left_of_whole.saturating_sub(waited);
        self.left_of_whole = match self.whole_bytes_per_s {
            0 => left,
            rate => left
                .saturating_add(earned(bytes, rate))
                .min(self.pace.whole),
        };
        self.lane.moved(bytes, waited);
    }

    /// Waits for the peer; ready when it has been waited for too long.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.renew();
        let since = *self.waiting_since.get_or_insert_with(|| {
            self.lane.waits();
            Instant::now()
        });
        let end = since + self.left.min(self.left_of_whole);
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if alarm.deadline() != end {
            alarm.as_mut().reset(end);
        }
        ready!(alarm.as_mut().poll(context));
        self.lane.times_out();
        Poll::Ready(())
    }

    /// Gives a new transfer its whole time.
    fn renew(&mut self) {
        let transfer = self.lane.transfer();
        if self.transfer != transfer {
            self.transfer = transfer;
            self.left_of_whole = self.pace.whole;
        }
    }
}

fn earned(bytes: u64, bytes_per_s: u32) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / u64::from(bytes_per_s.max(1)))
}

/// A stream whose peer must take what is written to it, at a pace.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    patience: Patience,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pace: Pace, lane: Arc<Lane>) -> Self {
        Self {
            stream,
            patience: Patience::endless(pace, lane),
        }
    }

    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.patience.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.patience.poll_end(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PACE: Pace = Pace {
        grace: Duration::from_secs(10),
        bytes_per_s: 1_000,
        whole: Duration::from_secs(600),
    };

    fn paced<S>(stream: S, pace: Pace) -> Paced<S> {
        Paced::new(
            stream,
            pace,
            Arc::new(Lane::new(Instant::now(), Arc::default())),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_on_a_peer_that_takes_nothing_when_the_grace_ends() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let start = Instant::now();
        let error = paced(ours, PACE).write_all(&[0; 65]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // 64 bytes were taken while nothing was owed: they earn nothing beyond the grace.
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_on_a_byte_a_second_but_not_on_the_minimum_rate() {
        for (bytes, survives) in [(1, false), (1_000, true)] {
            let (ours, mut theirs) = tokio::io::duplex(1);
            let reader = tokio::spawn(async move {
                let mut buffer = vec![0; bytes];
                for _ in 0..60 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if theirs.read_exact(&mut buffer).await.is_err() {
                        break;
                    }
                }
            });
            let mut paced = paced(ours, PACE);
            let all = vec![0; bytes * 60];
            assert_eq!(paced.write_all(&all).await.is_ok(), survives, "{bytes}");
            drop(paced);
            reader.await.unwrap();
        }
    }
}
