//! A caller that sends until it is refused, and then tries again.

use super::{Client, Poll};
use limiter_core::{Instant, Method, Now};
use limiter_pacer::ResponseInfo;

/// So many workers, each of which sends, waits for its answer, and after a 429 waits for
/// `retry-after` before it tries again. Any other answer satisfies it.
#[derive(Debug)]
pub struct Naive {
    workers: Vec<Worker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    /// Sends again at this moment.
    Free(Instant),
    /// Waits for the answer to a request, but not forever.
    Busy { id: u64, until: Instant },
}

impl Naive {
    /// A caller of `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: vec![Worker::Free(Instant::ZERO); workers],
        }
    }
}

impl Client for Naive {
    fn poll(&mut self, _: Method, id: u64, now: Now) -> Poll {
        let at = now.monotonic();
        let mut next: Option<Instant> = None;
        for worker in &mut self.workers {
            let (Worker::Free(from) | Worker::Busy { until: from, .. }) = *worker;
            if from <= at {
                *worker = Worker::Busy {
                    id,
                    until: at.saturating_add(TIMEOUT_MS),
                };
                return Poll::Send;
            }
            next = Some(next.map_or(from, |next| next.min(from)));
        }
        match next {
            Some(next) => {
                let wait = next.saturating_since(at);
                Poll::Wait(u32::try_from(wait).unwrap_or(u32::MAX))
            }
            None => Poll::Answers,
        }
    }

    fn on_response(&mut self, id: u64, answer: &ResponseInfo, now: Now) {
        let mine =
            |worker: &&mut Worker| matches!(**worker, Worker::Busy { id: of, .. } if of == id);
        if let Some(worker) = self.workers.iter_mut().find(mine) {
            let wait = match answer.status {
                429 => answer.retry_after_ms.unwrap_or(1_000),
                _ => 0,
            };
            *worker = Worker::Free(now.monotonic().saturating_add(u64::from(wait)));
        }
    }

    fn announce(&mut self, _: u32) {}
}

/// After which a worker gives an answer up.
const TIMEOUT_MS: u64 = 30_000;
