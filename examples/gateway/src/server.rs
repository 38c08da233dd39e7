//! The gateway: what it starts, serves, and ends.

use crate::admin::status::About;
use crate::admin::{Admin, Metrics, Sources};
use crate::error::{EndError, StartError};
use crate::faults::Faults;
use crate::limits::Limits;
use crate::listener::{ConnectionLimits, FindToken, InFlightLimits, Listener};
use crate::memory::{Memory, MemoryLimit};
use crate::proxy::Proxy;
use crate::screen::Screen;
use crate::settings::Settings;
use crate::store::Decider;
use crate::tls::Tls;
use crate::upstream::Backend;
use limiter_host::SharedClock;
use limiter_host::middleware::Limited;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tower_layer::Layer as _;

/// A gateway that listens already and serves when it is told to.
#[derive(Debug)]
pub struct Gateway {
    listener: Listener,
    service: Screen<Limited<Backend, Decider>>,
    admin: Option<(Listener, Admin)>,
    limits: Limits,
    tls: Option<Tls>,
}

impl Gateway {
    /// Listens, and registers the tokens. Clients may connect from now on.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing listens then.
    pub async fn bind(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        Memory::of(settings).fit(&MemoryLimit::of(settings))?;
        let limits = Limits::start(settings, settings.guard(clock))?;
        #[cfg(feature = "redis")]
        let limits = limits.share(settings).await?;
        let faults = Arc::new(Faults::default());
        let proxy = settings.upstream.clone().map(|upstream| {
            let (timeout, idle_for) = (settings.upstream_timeout, settings.upstream_idle);
            Arc::new(Proxy::new(upstream, timeout, idle_for, Arc::clone(&faults)))
        });
        let tls = settings.tls.clone().map(Tls::read).transpose()?;
        let listener = Listener::bind(
            &settings.listen,
            settings.connections,
            limits.find_token(),
            tls.clone(),
        );
        let listener = listener.await?;
        let metrics = settings.admin.as_ref();
        let metrics = metrics.map(|_| Metrics::new(&limits, &listener.connections()));
        let layer = limits.layer(metrics.as_ref().map(Metrics::limiter));
        let admin = match (&settings.admin, metrics) {
            (Some(admin), Some(metrics)) => {
                let about = About {
                    listen: listener.address().to_string(),
                    upstream: settings.upstream.as_ref().map(ToString::to_string),
                };
                let (limits, connections) = (limits.clone(), listener.connections());
                let faults = Arc::clone(&faults);
                let service = Admin::new(admin, metrics, |instance| {
                    Sources::new(about, instance, limits, connections, faults)
                })?;
                let no_token: FindToken = Arc::new(|_| None);
                let listener = Listener::bind(&admin.listen, ADMIN_LIMITS, no_token, None);
                Some((listener.await?, service))
            }
            _ => None,
        };
        let service = layer.layer(proxy.map_or(Backend::Embedded, Backend::Proxy));
        Ok(Self {
            listener,
            service: Screen::new(service, limits.origins.clone(), faults),
            admin,
            limits,
            tls,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where operators are served.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(listener, _)| listener.address())
    }

    /// A handle that has the configuration and the TLS files read again; `None` if there are none. Works
    /// within the runtime.
    #[must_use]
    pub fn reload(&self) -> Option<impl Fn() + Send + 'static> {
        let (follow, tls) = (self.limits.follow.clone(), self.tls.clone());
        let any = follow.is_some() || tls.is_some();
        any.then_some(move || {
            if let Some(follow) = &follow {
                follow.tell();
            }
            if let Some(tls) = tls.clone() {
                // The disk may not answer, and this thread has requests to serve.
                tokio::task::spawn_blocking(move || tls.renew_and_say());
            }
        })
    }

    /// Serves until `end` comes, then takes no more connections, lets requests that are under way
    /// finish for at most 10 s, gives back what it holds of the store's permits, writes the last image
    /// of the state, and returns.
    ///
    /// # Errors
    ///
    /// [`EndError`] if that image could not be written; all else was done.
    pub async fn serve(self, end: impl Future<Output = ()>) -> Result<(), EndError> {
        let (ending, ended) = watch::channel(());
        let admin = async {
            if let Some((listener, admin)) = self.admin {
                tokio::select! {
                    () = admin.sample() => {}
                    () = listener.serve(admin.clone(), until_dropped(ended.clone())) => {}
                }
            }
        };
        let follow = async {
            match &self.limits.follow {
                Some(follow) => follow.run().await,
                None => std::future::pending().await,
            }
        };
        let keep = async {
            match &self.limits.kept {
                Some(kept) => kept.run().await,
                None => std::future::pending().await,
            }
        };
        let end = async {
            tokio::select! {
                () = follow => {}
                () = keep => {}
                () = end => {}
            }
            drop(ending);
        };
        let service = self
            .listener
            .serve(self.service, until_dropped(ended.clone()));
        tokio::join!(service, admin, end);
        self.limits.give_back().await;
        match &self.limits.kept {
            Some(kept) => kept.close().await.map_err(EndError),
            None => Ok(()),
        }
    }
}

/// Comes when the sender goes.
async fn until_dropped(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

/// What operators are granted: they are few, and ask for little.
const ADMIN_LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 64,
    body_bytes: 4 * 1024,
    in_flight: InFlightLimits {
        per_token: 64,
        per_address: 64,
        without_token: 64,
    },
    ..ConnectionLimits::DEFAULT
};
