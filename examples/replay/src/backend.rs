//! Who decides: one small trait, and the names under which a person picks an implementation.
//!
//! All give the same decisions for the same log. A new one is a file below `backend/` that
//! implements [`Backend`], and a variant of [`BackendName`] that builds it.

mod concurrent;
mod core;
mod model;
mod pick;
#[cfg(feature = "redis")]
mod redis;
mod shared;

pub use self::pick::Pick;

use std::fmt;
use std::str::FromStr;

use limiter_core::{Policy, Statistics};

use crate::log::{Entry, Log};
use crate::verdict::Verdict;

/// An implementation of the limiter, behind the registering that SPEC 11 asks for.
pub trait Backend {
    /// Decides a request and charges what it admits.
    ///
    /// A caller is registered with the entry's user, kind and plan first, unless the request is a
    /// webhook's. Without a row for it the decision is `table_full` (O8).
    ///
    /// # Errors
    /// [`BackendError`] where there is no decision to report; the replay ends then.
    fn decide(&mut self, entry: &Entry) -> Result<Verdict, BackendError>;

    /// Its own counts, if it has a table of fixed size.
    fn statistics(&self) -> Option<Statistics>;
}

/// The name of an implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendName {
    /// The core's limiter, used directly.
    Core,
    /// The core's limiter behind a critical section.
    Shared,
    /// The host's limiter for all cores.
    Concurrent,
    /// The naive model: slow, unbounded, obviously right.
    Model,
}

impl BackendName {
    /// Every name.
    pub const ALL: [Self; 4] = [Self::Core, Self::Shared, Self::Concurrent, Self::Model];

    /// The word that picks it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Shared => "shared",
            Self::Concurrent => "concurrent",
            Self::Model => "model",
        }
    }

    /// Builds the implementation, in which nobody is known yet.
    ///
    /// # Errors
    /// [`BackendError`] if it cannot enforce the policy.
    pub fn build(
        self,
        policy: &Policy,
        table: TableSize,
    ) -> Result<Box<dyn Backend>, BackendError> {
        Ok(match self {
            Self::Core => Box::new(core::Core::new(policy, table)),
            Self::Shared => Box::new(shared::SharedCore::new(policy, table)),
            Self::Concurrent => Box::new(concurrent::AllCores::new(policy, table)),
            Self::Model => Box::new(model::Naive::new(policy)?),
        })
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for BackendName {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|name| name.word() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("no backend has this name; there are {words}")
        })
    }
}

/// How many rows a fixed table has. The model has none and ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Rows for tokens, 1 to [`TableSize::MAX_ROWS`].
    pub tokens: usize,
    /// Rows for users, 1 to [`TableSize::MAX_ROWS`].
    pub users: usize,
}

impl TableSize {
    /// The most rows of a kind that the core uses.
    pub const MAX_ROWS: usize = 1 << 24;

    /// A table that holds all callers of a log and is at most half full, as far as
    /// [`TableSize::MAX_ROWS`] allows.
    #[must_use]
    pub fn for_log(log: &Log) -> Self {
        let roomy = |count: usize| count.saturating_mul(2).clamp(64, Self::MAX_ROWS);
        Self {
            tokens: roomy(log.tokens().len()),
            users: roomy(log.users()),
        }
    }
}

impl FromStr for TableSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tokens, users) = text
            .split_once(',')
            .ok_or("two numbers with a comma between them are wanted: TOKENS,USERS")?;
        let rows = |what: &str, number: &str| match number.parse() {
            Ok(rows) if (1..=Self::MAX_ROWS).contains(&rows) => Ok(rows),
            _ => Err(format!(
                "{what} must be a whole number from 1 to {}",
                Self::MAX_ROWS
            )),
        };
        Ok(Self {
            tokens: rows("TOKENS", tokens)?,
            users: rows("USERS", users)?,
        })
    }
}

/// Why a backend had no decision to report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend failed: {0}")]
pub struct BackendError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_picked_by_its_word() {
        for name in BackendName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!(
            "Core".parse::<BackendName>(),
            Err("no backend has this name; there are core, shared, concurrent, model".into())
        );
    }

    #[test]
    fn a_table_is_two_numbers_in_range() {
        let size = |text: &str| text.parse::<TableSize>();
        let two = TableSize {
            tokens: 1,
            users: 16_777_216,
        };
        assert_eq!(size("1,16777216"), Ok(two));
        assert!(size("64").unwrap_err().contains("TOKENS,USERS"));
        assert!(size("0,1").unwrap_err().starts_with("TOKENS"));
        assert!(size("1,16777217").unwrap_err().starts_with("USERS"));
        assert!(size("1,2,3").unwrap_err().starts_with("USERS"));
        assert!(size(" 1,2").unwrap_err().starts_with("TOKENS"));
    }
}
