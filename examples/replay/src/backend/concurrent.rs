//! The host's limiter for all cores, asked by one thread.

use limiter_core::{Origin, Outage, Policy, RegisterError, Registration, Statistics};
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
        let Entry {
            now,
            request,
            caller,
        } = entry;
        if let (Some(caller), Some(token)) = (caller, request.token)
            && request.origin != Origin::Webhook
        {
            let registration = Registration::new(caller.user, caller.kind, caller.plan);
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
