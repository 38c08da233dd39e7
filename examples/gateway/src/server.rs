//! The gateway: what it starts, serves, and ends.

use crate::error::StartError;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::proxy::Proxy;
use crate::settings::Settings;
use crate::upstream::Backend;
use limiter_host::middleware::Limited;
use limiter_host::{Concurrent, SharedClock};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tower_layer::Layer as _;

/// A gateway that listens already and serves when it is told to.
#[derive(Debug)]
pub struct Gateway {
    listener: Listener,
    service: Limited<Backend, Concurrent>,
}

impl Gateway {
    /// Listens, and registers the tokens. Clients may connect from now on.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing listens then.
    pub async fn bind(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        let limits = Limits::start(settings, clock)?;
        let backend = match &settings.upstream {
            Some(upstream) => Backend::Proxy(Arc::new(Proxy::new(
                upstream.clone(),
                settings.upstream_timeout,
            ))),
            None => Backend::Embedded,
        };
        Ok(Self {
            listener: Listener::bind(&settings.listen, settings.connections).await?,
            service: limits.layer(settings.policy.origins.clone()).layer(backend),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Serves until `end` comes, then takes no more connections, lets requests that are under way
    /// finish for at most 10 s, and returns.
    pub async fn serve(self, end: impl Future<Output = ()>) {
        self.listener.serve(self.service, end).await;
    }
}
