//! The limiter, and what it is asked with.

use crate::demo;
use crate::error::StartError;
use crate::follow::Follow;
use crate::settings::{Settings, TableSize};
use crate::state::{Kept, Opened, StateSettings};
use crate::store::Decider;
use limiter_host::config::{LiveConfig, TokenEntry};
use limiter_host::core::{HashKey, Origin};
use limiter_host::meters::LimiterMetrics;
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The limiter with its key and clock; clones share one.
#[derive(Clone)]
pub struct Limits {
    /// Who decides.
    pub limiter: Arc<Concurrent>,
    /// Under which credentials are hashed.
    pub key: HashKey,
    /// By which is decided.
    pub clock: SharedClock,
    /// How many rows it has.
    pub table: TableSize,
    /// Who decides: the limiter, unless there is a store or a state.
    decider: Arc<Decider>,
    origins: Origins,
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
        let limiter = Concurrent::new(settings.policy.policy, table.tokens, table.users);
        let limiter = Arc::new(limiter);
        let mut limits = Self {
            decider: Arc::new(Decider::Here(Arc::clone(&limiter))),
            limiter,
            key,
            clock,
            table,
            origins: {
                let origins = settings.policy.origins.clone();
                Arc::new(move |path| origins.of(path))
            },
            follow: None,
            kept: None,
        };
        match &settings.config {
            None => limits.register(tokens)?,
            Some((path, config)) => {
                let limiter = Arc::clone(&limits.limiter);
                let (key, clock) = (limits.key.clone(), limits.clock.clone());
                let live = LiveConfig::start(path, config.clone(), limiter, key, clock)
                    .map_err(StartError::Reload)?;
                let origins = live.origins();
                limits.origins = Arc::new(move |path| origins.of(path));
                limits.follow = Some(Follow::new(path.display().to_string(), live));
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
        if let Some(store) = &settings.store {
            let (policy, tokens) = (settings.policy.policy, tokens(settings));
            let decider = store.connect(policy, &tokens, self.table.tokens).await?;
            self.decider = Arc::new(decider);
        }
        Ok(self)
    }

    /// The layer before the services that are limited; tells the metrics of each decision.
    #[must_use]
    pub(crate) fn layer(&self, metrics: Option<&LimiterMetrics>) -> LimiterLayer<Decider> {
        let (key, clock) = (self.key.clone(), self.clock.clone());
        let origins = Arc::clone(&self.origins);
        let layer = LimiterLayer::new(Arc::clone(&self.decider), key, clock)
            .origin(move |head| origins(head.uri.path()));
        match metrics {
            Some(metrics) => layer.time_decisions(true).on_decision(metrics.hook()),
            None => layer,
        }
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

/// Where a request comes from, by its path.
type Origins = Arc<dyn Fn(&str) -> Origin + Send + Sync>;

/// The tokens that are known: those of the settings, or the demo's.
fn tokens(settings: &Settings) -> Cow<'_, [TokenEntry]> {
    match &settings.tokens {
        Some(tokens) => Cow::Borrowed(tokens),
        None => Cow::Owned(demo::tokens(&settings.policy.plans)),
    }
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
