//! Listens on an address and serves its connections, within limits that keep memory bounded and
//! slow clients from holding what others need.
//!
//! | file | what it is about |
//! |---|---|
//! | `slots` | how many connections are open, and which one goes when another comes |
//! | `in_flight` | how many requests of a token or an address are under way |
//! | `lane` | how fast a client moves a body or an answer |
//! | `patience` | the slowest peer that is waited for |
//! | `connection` | one connection, and the heads of its requests |
//! | `request_body` | the bodies of its requests |

mod connection;
mod in_flight;
mod lane;
mod patience;
mod request_body;
mod slots;

pub(crate) use self::connection::TOO_LONG_BODY;
pub(crate) use self::in_flight::FindToken;
pub use self::in_flight::InFlightLimits;
pub use self::patience::Pace;
pub use self::request_body::{BodyError, BodyFault, RequestBody, Watch};

use self::connection::Terms;
use self::in_flight::InFlight;
use self::patience::Paced;
use self::slots::{Slot, Slots};
use crate::error::StartError;
use crate::memory::SOCKET_BYTES;
use crate::tls::Tls;
use bytes::Bytes;
use http_body::Body;
use hyper::{Request, Response};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower_service::Service;

/// Who asks, beside each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's address.
    pub address: IpAddr,
    /// Whether TLS lies between.
    pub tls: bool,
}

/// What a listener grants its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are open at once.
    pub connections: usize,
    /// Within this time a request's head must have come, after the connection or the last answer.
    pub head_within: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: u64,
    /// The slowest body that is read, and the slowest reader of an answer.
    pub pace: Pace,
    /// Requests that are under way at once.
    pub in_flight: InFlightLimits,
}

impl ConnectionLimits {
    /// Bytes that are read ahead of a connection, and about as many that are written behind: a head must
    /// fit.
    pub(crate) const fn buffer_bytes(&self) -> usize {
        if self.head_bytes < LEAST_BUFFER {
            LEAST_BUFFER
        } else {
            self.head_bytes
        }
    }

    /// What is granted unless told otherwise.
    pub const DEFAULT: Self = Self {
        connections: 1_024,
        head_within: Duration::from_secs(10),
        head_bytes: 16 * 1024,
        body_bytes: 64 << 20,
        pace: Pace {
            grace: Duration::from_secs(10),
            bytes_per_s: 1_024,
            whole: Duration::from_secs(600),
        },
        in_flight: InFlightLimits::of(1_024),
    };
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// An address that is listened on.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: ConnectionLimits,
    slots: Arc<Slots>,
    in_flight: Arc<InFlight>,
    tls: Option<Tls>,
}

impl Listener {
    /// Listens; clients may connect from now on, and are served by [`Listener::serve`].
    pub(crate) async fn bind(
        address: &str,
        limits: ConnectionLimits,
        find_token: FindToken,
        tls: Option<Tls>,
    ) -> Result<Self, StartError> {
        let refused = |error| StartError::Listen {
            address: address.to_owned(),
            error,
        };
        let socket = listen(address).await.map_err(refused)?;
        Ok(Self {
            address: socket.local_addr().map_err(refused)?,
            socket,
            limits,
            slots: Slots::new(limits.connections),
            in_flight: InFlight::new(limits.in_flight, find_token),
            tls,
        })
    }

    /// A handle on the number of its connections and requests.
    pub(crate) fn connections(&self) -> Connections {
        Connections {
            slots: Arc::clone(&self.slots),
            in_flight: Arc::clone(&self.in_flight),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `end` comes, then takes no more connections, lets requests that are under way
    /// finish for at most 10 s, and returns.
    pub(crate) async fn serve<S, B>(self, service: S, end: impl Future<Output = ()>)
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let connections = GracefulShutdown::new();
        let mut end = pin!(end);
        loop {
            let (stream, peer) = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(_) => {
                        // The peer went away already, or no file descriptor is left.
                        self.slots.close_one();
                        tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                        continue;
                    }
                },
                () = &mut end => break,
            };
            let slot = tokio::select! {
                slot = self.slots.take() => slot,
                () = &mut end => break,
            };
            let peer = Peer {
                address: peer.ip().to_canonical(),
                tls: self.tls.is_some(),
            };
            let stream = self.prepare(stream, &slot);
            let terms = Terms {
                limits: self.limits,
                slot,
                in_flight: Arc::clone(&self.in_flight),
                watcher: connections.watcher(),
            };
            let service = service.clone();
            let Some(tls) = &self.tls else {
                tokio::spawn(connection::serve(stream, peer, terms, service));
                continue;
            };
            let handshake = tls.accept(stream);
            tokio::spawn(async move {
                let handshake = tokio::time::timeout(terms.limits.head_within, handshake);
                let stream = tokio::select! {
                    stream = handshake => stream,
                    () = terms.slot.closed() => return,
                };
                // A client that is too slow or no TLS client harms its own connection only.
                if let Ok(Ok(stream)) = stream {
                    connection::serve(stream, peer, terms, service).await;
                }
            });
        }
        drop(self.socket);
        // Past the bound the rest is cut off with the runtime.
        let _ = tokio::time::timeout(FINISH_WITHIN, connections.shutdown()).await;
    }

    fn prepare(&self, stream: TcpStream, slot: &Slot) -> Paced<TcpStream> {
        // Small answers must not wait for the client's acknowledgement of the last one; where the
        // system refuses this, they do.
        let _ = stream.set_nodelay(true);
        Paced::new(stream, self.limits.pace, slot.answer())
    }
}

/// The number of a listener's connections and requests.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    slots: Arc<Slots>,
    in_flight: Arc<InFlight>,
}

impl Connections {
    pub(crate) fn open(&self) -> usize {
        self.slots.open()
    }

    pub(crate) fn most(&self) -> usize {
        self.slots.most()
    }

    /// Those that made room for others, by what they were: `idle` or `slow`.
    pub(crate) fn closed(&self) -> [(&'static str, u64); 2] {
        self.slots.closed()
    }

    /// Transfers broken off since the client was too slow, by what they were: `body` or `answer`.
    pub(crate) fn timed_out(&self) -> [(&'static str, u64); 2] {
        self.slots.timed_out()
    }

    /// Requests that are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.all()
    }

    /// Requests refused since too many were under way: for a `token`, an `address`, or `without_token`.
    pub(crate) fn refused(&self) -> [(&'static str, u64); 3] {
        self.in_flight.refused()
    }
}

/// Listens on the first address of a name that can be listened on.
async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in tokio::net::lookup_host(address).await? {
        let listening = (|| {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // A restart need not wait for the last connections to be forgotten.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            // Those that are accepted have the same.
            socket.set_recv_buffer_size(SOCKET_BYTES)?;
            socket.set_send_buffer_size(SOCKET_BYTES)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        })();
        match listening {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// Connections that may wait to be accepted; a system may allow fewer. Those beyond come back later
/// and later by TCP's own rule, so that a short flood would be felt for long.
const BACKLOG: u32 = 4_096;
/// Requests that are under way at the end have this long to finish.
const FINISH_WITHIN: Duration = Duration::from_secs(10);
/// The least that hyper reads into.
const LEAST_BUFFER: usize = 8 * 1024;
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);
