//! The core's limiter over rows on the heap, sized at run time.

use limiter_core::{LimiterIn, Outage, Policy, RegisterError, Statistics, TokenRow, UserRow};

use super::{Backend, BackendError, TableSize};
use crate::log::Entry;
use crate::verdict::Verdict;

/// The core, used directly.
pub(super) struct Core(Boxed);

/// A limiter whose number of rows is known at run time only.
pub(super) type Boxed = LimiterIn<Box<[TokenRow]>, Box<[UserRow]>>;

impl Core {
    pub(super) fn new(policy: &Policy, table: TableSize) -> Self {
        Self(limiter(policy, table))
    }
}

impl Backend for Core {
    fn decide(&mut self, entry: &Entry) -> Result<Verdict, BackendError> {
        decide(&mut self.0, entry)
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.0.statistics())
    }
}

pub(super) fn limiter(policy: &Policy, table: TableSize) -> Boxed {
    LimiterIn::with_rows(
        *policy,
        vec![TokenRow::VACANT; table.tokens].into_boxed_slice(),
        vec![UserRow::VACANT; table.users].into_boxed_slice(),
    )
}

/// Registers before each decision: that brings back a row that was evicted, which no decision can
/// tell from one that never went (T2), and takes over a change of plan (P3).
pub(super) fn decide(limiter: &mut Boxed, entry: &Entry) -> Result<Verdict, BackendError> {
    if let Some((token, registration)) = entry.registration() {
        match limiter.register(token, registration, entry.now) {
            Ok(_) => {}
            Err(RegisterError::TableFull) => {
                return Ok(Verdict::from(
                    &limiter.refuse_for(&entry.request, Outage::TableFull),
                ));
            }
            Err(error) => return Err(BackendError(error.to_string())),
        }
    }
    Ok(Verdict::from(&limiter.check(&entry.request, entry.now)))
}
