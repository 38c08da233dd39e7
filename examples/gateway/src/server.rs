//! Listens, serves each connection behind the limiter, and ends gracefully.

use crate::demo;
use crate::error::StartError;
use crate::proxy::Proxy;
use crate::settings::{Settings, TableSize};
use crate::upstream::Backend;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use limiter_host::core::HashKey;
use limiter_host::middleware::Limited;
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer as _;
use tower_service::Service as _;

/// The address of the client, beside each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// A gateway that listens already and serves when it is told to.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    service: Limited<Backend, Concurrent>,
}

impl Gateway {
    /// Listens, and registers the tokens under a random key. Clients may connect from now on.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing listens then.
    pub async fn bind(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        let key = random_key()?;
        let limiter = Arc::new(limiter(settings, &key, &clock)?);
        let origins = settings.policy.origins.clone();
        let layer =
            LimiterLayer::new(limiter, key, clock).origin(move |head| origins.of(head.uri.path()));
        let backend = match &settings.upstream {
            Some(upstream) => Backend::Proxy(Arc::new(Proxy::new(
                upstream.clone(),
                settings.upstream_timeout,
            ))),
            None => Backend::Embedded,
        };
        let refused = |error| StartError::Listen {
            address: settings.listen.clone(),
            error,
        };
        let listener = TcpListener::bind(&settings.listen).await.map_err(refused)?;
        Ok(Self {
            address: listener.local_addr().map_err(refused)?,
            listener,
            service: layer.layer(backend),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `end` comes, then takes no more connections, lets requests that are under way
    /// finish for at most 10 s, and returns.
    pub async fn serve(self, end: impl Future<Output = ()>) {
        let connections = GracefulShutdown::new();
        let mut end = pin!(end);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.spawn(stream, peer, &connections),
                    // No file descriptor is left, or the peer went away already.
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
                },
                () = &mut end => break,
            }
        }
        drop(self.listener);
        // Past the bound the rest is cut off with the runtime.
        let _ = tokio::time::timeout(FINISH_WITHIN, connections.shutdown()).await;
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, connections: &GracefulShutdown) {
        // Small answers must not wait for the client's acknowledgement of the last one; where the
        // system refuses this, they do.
        let _ = stream.set_nodelay(true);
        let peer = Peer(peer.ip().to_canonical());
        let service = self.service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.clone().call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off or sends garbage harms its own connection only.
            let _ = connection.await;
        });
    }
}

/// A limiter that knows the tokens.
fn limiter(
    settings: &Settings,
    key: &HashKey,
    clock: &SharedClock,
) -> Result<Concurrent, StartError> {
    let demo;
    let tokens = match &settings.tokens {
        Some(tokens) => tokens,
        None => {
            demo = demo::tokens(&settings.policy.plans);
            &demo
        }
    };
    let table = settings
        .table
        .unwrap_or_else(|| TableSize::for_tokens(tokens.len()));
    let limiter = Concurrent::new(settings.policy.policy, table.tokens, table.users);
    let now = clock.now().map_err(StartError::Clock)?;
    for entry in tokens {
        let (token, registration) = entry.registration(key);
        // Nothing registers it again, so its row must not go.
        limiter
            .register(token, registration.pinned(), now)
            .map_err(StartError::Register)?;
    }
    Ok(limiter)
}

/// A key that no caller knows, new at each start: nothing hashed under it outlives the process.
fn random_key() -> Result<HashKey, StartError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|_| StartError::NoRandomness)?;
    Ok(HashKey::new(key))
}

/// Requests that are under way at the end have this long to finish.
const FINISH_WITHIN: Duration = Duration::from_secs(10);
/// A client has this long for a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);
