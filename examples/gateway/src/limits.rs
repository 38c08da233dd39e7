//! The limiter, and what it is asked with.

use crate::demo;
use crate::error::StartError;
use crate::settings::{Settings, TableSize};
use limiter_host::core::HashKey;
use limiter_host::{Concurrent, LimiterLayer, PathOrigins, SharedClock};
use std::sync::Arc;

/// The limiter with its key and clock; clones share one.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Who decides.
    pub limiter: Arc<Concurrent>,
    /// Under which credentials are hashed.
    pub key: HashKey,
    /// By which is decided.
    pub clock: SharedClock,
    /// How many rows it has.
    pub table: TableSize,
}

impl Limits {
    /// A limiter that knows the tokens of the settings.
    ///
    /// # Errors
    ///
    /// [`StartError`] if there is no random key, the clock fails, or a token does not fit.
    pub fn start(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        let key = random_key()?;
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
            let (token, registration) = entry.registration(&key);
            // Nothing registers it again, so its row must not go.
            limiter
                .register(token, registration.pinned(), now)
                .map_err(StartError::Register)?;
        }
        Ok(Self {
            limiter: Arc::new(limiter),
            key,
            clock,
            table,
        })
    }

    /// The layer before the services that are limited.
    #[must_use]
    pub fn layer(&self, origins: PathOrigins) -> LimiterLayer<Concurrent> {
        LimiterLayer::new(
            Arc::clone(&self.limiter),
            self.key.clone(),
            self.clock.clone(),
        )
        .origin(move |head| origins.of(head.uri.path()))
    }
}

/// A key that no caller knows, new at each start: nothing hashed under it outlives the process.
fn random_key() -> Result<HashKey, StartError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|_| StartError::NoRandomness)?;
    Ok(HashKey::new(key))
}
