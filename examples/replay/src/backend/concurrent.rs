//! The host's limiter for all cores, asked by one thread.

use limiter_core::{Outage, Policy, RegisterError, Statistics};
use limiter_host::Concurrent;

use super::{Backend, BackendError, TableSize};
use crate::log::Entry;
use crate::verdict::Verdict;

/// The limiter of a server.
pub(super) struct AllCores(Concurrent);

impl AllCores {
    pub(super) fn new(policy: &Policy, table: TableSize) -> Self {
        Self(Concurrent::new(*policy, table.tokens, table.users))
    }
}

impl Backend for AllCores {
    fn decide(&mut self, entry: &Entry) -> Result<Verdict, BackendError> {
        let Entry { now, request, .. } = entry;
        if let Some((token, registration)) = entry.registration() {
            match self.0.register(token, registration, *now) {
                Ok(_) => {}
                Err(RegisterError::TableFull) => {
                    let full = self.0.refuse_for(request, Outage::TableFull);
                    return Ok(Verdict::from(&full));
                }
                Err(error) => return Err(BackendError(error.to_string())),
            }
        }
        Ok(Verdict::from(&self.0.check(request, *now)))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.0.statistics())
    }
}
