//! The core's limiter behind a critical section, as interrupts and threads of a device share it.

use limiter_core::clock::ClockError;
use limiter_core::{Policy, Shared, Statistics};

use super::core::{self, Boxed};
use super::{Backend, BackendError, TableSize};
use crate::log::Entry;
use crate::verdict::Verdict;

/// The core, locked for each decision.
pub(super) struct SharedCore(Shared<Boxed>);

impl SharedCore {
    pub(super) fn new(policy: &Policy, table: TableSize) -> Self {
        // No clock: each entry of the log brings its time.
        let clock = || Err(ClockError::NotRunning);
        Self(Shared::from_parts(core::limiter(policy, table), clock))
    }
}

impl Backend for SharedCore {
    fn decide(&mut self, entry: &Entry) -> Result<Verdict, BackendError> {
        self.0
            .with_limiter(|limiter| core::decide(limiter, entry))
            .unwrap_or_else(|busy| Err(BackendError(busy.to_string())))
    }

    fn statistics(&self) -> Option<Statistics> {
        self.0.with_limiter(|limiter| limiter.statistics()).ok()
    }
}
