//! The host's limiter with its counts in a store, asked by one task. The log's times are the clock.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use limiter_core::{Outage, Policy, Reason, RegisterError, Statistics};
use limiter_host::RedisLimiter;
use limiter_host::redis::{ManageError, RedisConfig, StoreTime};
use tokio::runtime::{Builder, Runtime};

use super::{Backend, BackendError, TableSize};
use crate::log::Entry;
use crate::verdict::Verdict;

/// A limiter on a store, with keys that nobody else has.
pub(super) struct Store {
    runtime: Runtime,
    limiter: RedisLimiter,
}

impl Store {
    pub(super) fn new(
        policy: &Policy,
        table: TableSize,
        config: &RedisConfig,
    ) -> Result<Self, BackendError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| BackendError(error.to_string()))?;
        // What an earlier replay left must not be counted to this one.
        let random = RandomState::new().hash_one(0);
        let config = config
            .clone()
            .key_prefix(&format!("limiter:replay-{random:016x}"))
            .capacity(table.tokens)
            .time(StoreTime::Injected)
            .response_timeout(PATIENCE);
        let limiter = runtime.block_on(RedisLimiter::connect(*policy, config));
        let limiter = limiter.map_err(|error| BackendError(error.to_string()))?;
        Ok(Self { runtime, limiter })
    }
}

impl Backend for Store {
    fn decide(&mut self, entry: &Entry) -> Result<Verdict, BackendError> {
        let Entry { now, request, .. } = entry;
        if let Some((token, registration)) = entry.registration() {
            let registering = self.limiter.register(token, registration);
            match self.runtime.block_on(registering) {
                Ok(_) => {}
                Err(ManageError::Refused(RegisterError::TableFull)) => {
                    let full = self.limiter.refuse_for(request, Outage::TableFull);
                    return Ok(Verdict::from(&full));
                }
                Err(error) => return Err(BackendError(error.to_string())),
            }
        }
        let decision = self.runtime.block_on(self.limiter.check(request, *now));
        if decision.reason() == Some(Reason::StoreFailed) {
            return Err(BackendError("the store cannot be used".to_owned()));
        }
        Ok(Verdict::from(&decision))
    }

    fn statistics(&self) -> Option<Statistics> {
        None
    }
}

/// Nobody waits for a replay's single decisions.
const PATIENCE: Duration = Duration::from_secs(30);
