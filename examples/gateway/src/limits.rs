//! The limiter, and what it is asked with.

use crate::demo;
use crate::error::StartError;
use crate::follow::Follow;
use crate::listener::FindToken;
use crate::screen::Origins;
use crate::settings::{Settings, TableSize};
use crate::state::{Kept, Opened, StateSettings};
use crate::store::Decider;
use limiter_host::DecideAsync as _;
use limiter_host::config::{LiveConfig, TokenEntry};
use limiter_host::core::{HashKey, Origin, Policy, Statistics, TokenId, UpdateError};
use limiter_host::meters::LimiterMetrics;
use limiter_host::middleware::credential;
use limiter_host::{Concurrent, LimiterLayer, Manage, SharedClock};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The limiter with its key and clock; clones share one.
#[derive(Clone)]
pub struct Limits {
    /// Who decides, unless there is a store: then it knows nobody.
    pub limiter: Arc<Concurrent>,
    /// Under which credentials are hashed.
    pub key: HashKey,
    /// By which is decided.
    pub clock: SharedClock,
    /// How many rows it has.
    pub table: TableSize,
    /// Who decides: the limiter, unless there is a store or a state.
    decider: Arc<Decider>,
    pub(crate) origins: Origins,
    exempt_preflight: bool,
    /// The file that it is kept at, if there is one.
    pub(crate) follow: Option<Follow>,
    /// The directory that it is kept in, if there is one.
    pub(crate) kept: Option<Kept>,
}

impl Limits {
    /// A limiter that knows the tokens of the settings.
    ///
    /// # Errors
    ///
    /// [`StartError`] if there is no random key, the clock fails, a token does not fit, or the state
    /// cannot be used.
    pub fn start(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        let opened = settings.state.as_ref().map(StateSettings::open);
        let opened = opened.transpose()?;
        let key = key(settings, opened.as_ref())?;
        let tokens = &*tokens(settings);
        let table = settings
            .table
            .unwrap_or_else(|| TableSize::for_tokens(tokens.len()));
        // Where a store decides, nobody is known here.
        let shared = is_shared(settings);
        let rows = if shared {
            (1, 1)
        } else {
            (table.tokens, table.users)
        };
        let limiter = Concurrent::new(settings.policy.policy, rows.0, rows.1);
        let limiter = Arc::new(limiter);
        let mut limits = Self {
            decider: Arc::new(Decider::Here(Arc::clone(&limiter))),
            limiter,
            key,
            clock,
            table,
            origins: Origins::Fixed(Arc::new(settings.policy.origins.clone())),
            exempt_preflight: settings.exempt_preflight,
            follow: None,
            kept: None,
        };
        match &settings.config {
            _ if shared => {}
            None => limits.register(tokens)?,
            Some((path, config)) => {
                let limiter = Arc::clone(&limits.limiter);
                let (key, clock) = (limits.key.clone(), limits.clock.clone());
                let live = LiveConfig::start(path, config.clone(), limiter, key, clock)
                    .map_err(StartError::Reload)?
                    .allow_empty(settings.allow_empty);
                limits.follow(path, live, || true);
            }
        }
        if let Some(opened) = opened {
            let (limiter, clock) = (Arc::clone(&limits.limiter), limits.clock.clone());
            let kept = opened.keep(limiter, clock)?;
            limits.decider = Arc::new(Decider::Kept(kept.durable().clone()));
            limits.kept = Some(kept);
        }
        Ok(limits)
    }

    /// Has the store of the settings decide, if there is one.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the address is none, or a token does not fit. A store that cannot be
    /// reached is no error.
    #[cfg(feature = "redis")]
    pub async fn share(mut self, settings: &Settings) -> Result<Self, StartError> {
        use limiter_host::redis::Blocking;
        let Some(store) = &settings.store else {
            return Ok(self);
        };
        let limiter = store.connect(settings.policy.policy, self.table.tokens);
        let limiter = limiter.await?;
        match &settings.config {
            None => crate::store::register(&limiter, &self.key, &tokens(settings)).await?,
            Some((path, config)) => {
                let blocking = Blocking::new(limiter.clone(), tokio::runtime::Handle::current());
                let (file, config) = (path.clone(), config.clone());
                let (key, clock) = (self.key.clone(), self.clock.clone());
                // It waits, for which this thread is the wrong one.
                let start = tokio::task::spawn_blocking(move || {
                    LiveConfig::start(&file, config, Arc::new(blocking), key, clock)
                });
                let live = match start.await {
                    Ok(live) => live
                        .map_err(StartError::Reload)?
                        .allow_empty(settings.allow_empty),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                };
                let store = limiter.clone();
                // A node of a cluster that is down keeps no configuration from the users of others.
                let ready = move || store.store_statistics().unavailable_per_mille < 1_000;
                self.follow(path, live, ready);
            }
        }
        self.decider = Arc::new(Decider::Store(limiter));
        Ok(self)
    }

    /// Keeps a limiter at what a file says, whenever it is ready for that.
    fn follow<D: Manage + Send + Sync + 'static>(
        &mut self,
        path: &Path,
        live: LiveConfig<D>,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.origins = Origins::Live(live.origins());
        self.follow = Some(Follow::new(path.display().to_string(), live, ready));
    }

    /// The limiter on the store, if there is one.
    #[cfg(feature = "redis")]
    pub(crate) fn store(&self) -> Option<&limiter_host::RedisLimiter> {
        match &*self.decider {
            Decider::Store(limiter) => Some(limiter),
            _ => None,
        }
    }

    /// Whether a store decides, and what tokens used is not known here.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(&*self.decider, Decider::Here(_) | Decider::Kept(_))
    }

    /// Ends a token's block, wherever it is kept.
    pub(crate) async fn unblock(&self, token: TokenId) -> Result<(), NotUnblocked> {
        #[cfg(feature = "redis")]
        if let Some(store) = self.store() {
            use limiter_host::redis::ManageError;
            return store.unblock(token).await.map_err(|error| match error {
                ManageError::Refused(error) => NotUnblocked::Unknown(error),
                error => NotUnblocked::Store(error.to_string()),
            });
        }
        std::future::ready(self.limiter.unblock(token))
            .await
            .map_err(NotUnblocked::Unknown)
    }

    /// How the store is doing, as operators see it; `None` if there is none.
    #[cfg_attr(
        not(feature = "redis"),
        expect(clippy::unused_async, reason = "a store is asked")
    )]
    pub(crate) async fn store_status(&self) -> Option<serde_json::Value> {
        #[cfg(feature = "redis")]
        if let Some(store) = self.store() {
            let status = crate::store::StoreStatus::of(store).await;
            // OK because its keys are texts.
            return serde_json::to_value(status).ok();
        }
        None
    }

    /// The policy of whoever decides.
    pub(crate) fn policy(&self) -> Policy {
        self.decider.current_policy()
    }

    /// Gives back to the store what is held ahead of need, before the process ends.
    pub(crate) async fn give_back(&self) {
        #[cfg(feature = "redis")]
        if let Decider::Store(limiter) = &*self.decider {
            limiter.close().await;
        }
    }

    /// The counts of whoever decides.
    pub(crate) fn statistics(&self) -> Statistics {
        match &*self.decider {
            #[cfg(feature = "redis")]
            Decider::Store(limiter) => limiter.statistics(),
            _ => self.limiter.statistics(),
        }
    }

    /// The layer before the services that are limited; tells the metrics of each decision.
    #[must_use]
    pub(crate) fn layer(&self, metrics: Option<&LimiterMetrics>) -> LimiterLayer<Decider> {
        let (key, clock) = (self.key.clone(), self.clock.clone());
        let origins = self.origins.clone();
        let layer = LimiterLayer::new(Arc::clone(&self.decider), key, clock)
            .origin(move |head| origins.of(head.uri.path()))
            .exempt_preflight(self.exempt_preflight);
        match metrics {
            Some(metrics) => layer.time_decisions(true).on_decision(metrics.hook()),
            None => layer,
        }
    }

    /// Finds the token for which a request is decided; `None` where none is shown, or looked at.
    pub(crate) fn find_token(&self) -> FindToken {
        let (key, origins) = (self.key.clone(), self.origins.clone());
        Arc::new(move |head| {
            let exempt = origins.of(head.uri.path()) != Origin::Api;
            let shown = if exempt { None } else { credential(head).ok()? };
            shown.map(|shown| key.token(&shown))
        })
    }

    fn register(&self, tokens: &[TokenEntry]) -> Result<(), StartError> {
        let now = self.clock.now().map_err(StartError::Clock)?;
        for entry in tokens {
            let (token, registration) = entry.registration(&self.key);
            // Nothing registers it again, so its row must not go.
            self.limiter
                .register(token, registration.pinned(), now)
                .map_err(StartError::Register)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("limiter", &self.limiter)
            .field("table", &self.table)
            .field("follow", &self.follow)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// Why a block was not ended.
#[derive(Debug)]
pub(crate) enum NotUnblocked {
    /// Nobody knows the token.
    Unknown(UpdateError),
    /// The store cannot be used.
    #[cfg(feature = "redis")]
    Store(String),
}

/// The tokens that are known: those of the settings, or the demo's.
fn tokens(settings: &Settings) -> Cow<'_, [TokenEntry]> {
    match &settings.tokens {
        Some(tokens) => Cow::Borrowed(tokens),
        None => Cow::Owned(demo::tokens(&settings.policy.plans)),
    }
}

/// Whether a store decides.
fn is_shared(settings: &Settings) -> bool {
    #[cfg(feature = "redis")]
    if settings.store.is_some() {
        return true;
    }
    let _ = settings;
    false
}

/// The key of the store, which is the same for all who share it, that of the state, or one of this
/// process.
fn key(settings: &Settings, opened: Option<&Opened>) -> Result<HashKey, StartError> {
    if let Some(opened) = opened {
        return Ok(opened.key.clone());
    }
    #[cfg(feature = "redis")]
    if let Some(store) = &settings.store {
        return Ok(store.key.clone());
    }
    let _ = settings;
    random_key()
}

/// A key that no caller knows, new at each start: nothing hashed under it outlives the process.
fn random_key() -> Result<HashKey, StartError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|_| StartError::NoRandomness)?;
    Ok(HashKey::new(key))
}
