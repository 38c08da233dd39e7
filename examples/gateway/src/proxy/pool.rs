//! Connections to the upstream, kept between requests for as long as the upstream says it keeps
//! them.
//!
//! A server closes a connection that idles, and a request that is written at that moment is lost. So a
//! connection is given up before the server's `Keep-Alive: timeout=N`, or the gateway's own bound; and
//! a request that is lost nonetheless is sent once more if it may be (RFC 9110, section 9.2.2): its
//! method is idempotent, and nothing of its body was read.

use super::body::HeldBody;
use crate::memory::{SOCKET_BYTES, UPSTREAM_BYTES};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::HeaderMap;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tower_service::Service as _;

type BoxError = Box<dyn Error + Send + Sync>;

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Pool {
    server: Uri,
    connector: HttpConnector,
    idle_for: Duration,
    shelf: Arc<Shelf>,
}

/// The connections that nothing uses at the moment.
#[derive(Debug, Default)]
struct Shelf {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one that was used last is the last.
    connections: Vec<Resting>,
    /// Set while a task ends those that rest for too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Resting {
    sender: SendRequest<HeldBody>,
    until: Instant,
}

/// A connection in use by one answer.
#[derive(Debug)]
pub(super) struct InUse {
    sender: SendRequest<HeldBody>,
    keep_for: Duration,
    shelf: Arc<Shelf>,
}

impl Pool {
    /// Connections to `server`, an absolute address, each kept for `idle_for` at most while nothing
    /// uses it.
    pub(super) fn new(server: Uri, idle_for: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let socket_bytes = usize::try_from(SOCKET_BYTES).ok();
        connector.set_recv_buffer_size(socket_bytes);
        connector.set_send_buffer_size(socket_bytes);
        Self {
            server,
            connector,
            idle_for,
            shelf: Arc::default(),
        }
    }

    /// Sends a request; `note_retry` is called if it is sent a second time.
    pub(super) async fn send(
        &self,
        mut request: Request<HeldBody>,
        note_retry: impl FnOnce(),
    ) -> Result<(Response<Incoming>, InUse), BoxError> {
        let may_repeat = request.method().is_idempotent();
        while let Some(mut sender) = self.shelf.take() {
            let copy = may_repeat.then(|| request.clone());
            let mut error = match sender.try_send_request(request).await {
                Ok(answer) => return Ok(self.answered(answer, sender)),
                Err(error) => error,
            };
            match (error.take_message(), copy) {
                // Nothing of it was written.
                (Some(unsent), _) => request = unsent,
                (None, Some(copy)) if copy.body().is_untouched() && closed(error.error()) => {
                    note_retry();
                    request = copy;
                    // The other ones may be as old.
                    break;
                }
                _ => return Err(error.into_error().into()),
            }
        }
        let mut sender = self.connect().await?;
        let answer = sender.send_request(request).await?;
        Ok(self.answered(answer, sender))
    }

    async fn connect(&self) -> Result<SendRequest<HeldBody>, BoxError> {
        let mut connector = self.connector.clone();
        poll_fn(|context| connector.poll_ready(context)).await?;
        let stream = connector.call(self.server.clone()).await?;
        let mut builder = http1::Builder::new();
        // What is to be sent is copied into one buffer of bounded size.
        builder.max_buf_size(UPSTREAM_BYTES).writev(false);
        let (sender, connection) = builder.handshake(stream).await?;
        // Its error is that of the request, if there is one.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn answered(
        &self,
        answer: Response<Incoming>,
        sender: SendRequest<HeldBody>,
    ) -> (Response<Incoming>, InUse) {
        let in_use = InUse {
            sender,
            keep_for: keep_for(answer.headers(), self.idle_for),
            shelf: Arc::clone(&self.shelf),
        };
        (answer, in_use)
    }
}

impl InUse {
    /// Keeps the connection for another request; its answer has been read to the end.
    pub(super) fn rest(self) {
        let Self {
            mut sender,
            keep_for,
            shelf,
        } = self;
        let until = Instant::now() + keep_for;
        if keep_for.is_zero() || sender.is_closed() {
            return;
        }
        if sender.is_ready() {
            shelf.put(Resting { sender, until });
            return;
        }
        // The last of the request may be under way yet.
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                shelf.put(Resting { sender, until });
            }
        });
    }
}

impl Shelf {
    fn take(&self) -> Option<SendRequest<HeldBody>> {
        let now = Instant::now();
        let mut idle = self.lock();
        loop {
            let Resting { sender, until } = idle.connections.pop()?;
            if until > now && sender.is_ready() {
                return Some(sender);
            }
        }
    }

    fn put(self: &Arc<Self>, resting: Resting) {
        let mut idle = self.lock();
        if idle.connections.len() >= MAX_IDLE {
            return;
        }
        idle.connections.push(resting);
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Ends the connections that have rested for too long, and returns the moment at which the next
    /// one will have; `None` if there is none.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut idle = self.lock();
        let fits = |resting: &Resting| resting.until > now && !resting.sender.is_closed();
        idle.connections.retain(fits);
        let next = idle.connections.iter().map(|resting| resting.until).min();
        if next.is_none() {
            idle.connections.shrink_to_fit();
            idle.is_swept = false;
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends connections in time, for as long as there are any.
async fn sweep(shelf: Weak<Shelf>) {
    loop {
        let Some(next) = shelf.upgrade().and_then(|shelf| shelf.sweep()) else {
            return;
        };
        tokio::time::sleep_until(next).await;
    }
}

/// The time for which a connection may rest after an answer: less than the server keeps it, so that a
/// request has time to arrive.
fn keep_for(headers: &HeaderMap, most: Duration) -> Duration {
    match keep_alive_timeout(headers) {
        Some(timeout) => {
            let margin = (timeout / 2).min(Duration::from_secs(1));
            most.min(timeout.saturating_sub(margin))
        }
        None => most,
    }
}

/// The smallest `timeout` of the fields `Keep-Alive` (RFC 2068, section 19.7.1.1).
fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    let fields = headers.get_all("keep-alive").iter();
    let parameters = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    let seconds = parameters.filter_map(|parameter| {
        let parameter = std::str::from_utf8(parameter).ok()?;
        let (name, value) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("timeout") {
            return None;
        }
        value.trim().trim_matches('"').parse::<u32>().ok()
    });
    seconds
        .min()
        .map(|seconds| Duration::from_secs(seconds.into()))
}

/// Returns whether an error says that the connection was closed before an answer came.
fn closed(error: &hyper::Error) -> bool {
    let is_lost = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        )
    };
    let source = error.source().and_then(|source| source.downcast_ref());
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || source.is_some_and(is_lost)
}

/// Connections that are kept while nothing uses them.
const MAX_IDLE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(fields: &[&str], most_s: u64) -> Duration {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("keep-alive", field.parse().unwrap());
        }
        keep_for(&headers, Duration::from_secs(most_s))
    }

    #[test]
    fn gives_a_connection_up_before_the_server_does() {
        let seconds = Duration::from_secs_f32;
        assert_eq!(kept(&[], 4), seconds(4.0));
        assert_eq!(kept(&["timeout=5"], 30), seconds(4.0));
        assert_eq!(kept(&["max=100, Timeout = \"5\""], 30), seconds(4.0));
        assert_eq!(kept(&["timeout=5", "timeout=3"], 30), seconds(2.0));
        assert_eq!(kept(&["timeout=60"], 4), seconds(4.0));
        assert_eq!(kept(&["timeout=1"], 4), seconds(0.5));
        assert_eq!(kept(&["timeout=0"], 4), seconds(0.0));
        assert_eq!(kept(&["timeout=x, timeout"], 4), seconds(4.0));
    }
}
