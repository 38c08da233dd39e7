//! What a person picks: an implementation by its name, or a store by its address.

use std::fmt;
use std::str::FromStr;

use limiter_core::Policy;

use super::{Backend, BackendError, BackendName, TableSize};

/// Who is to decide.
#[derive(Clone, Debug)]
pub enum Pick {
    /// An implementation in this process.
    Named(BackendName),
    /// The host's limiter with its counts in a store.
    #[cfg(feature = "redis")]
    Redis(Box<limiter_host::redis::RedisConfig>),
}

impl Pick {
    /// Builds the implementation, in which nobody is known yet, and no count is left.
    ///
    /// # Errors
    /// [`BackendError`] if it cannot enforce the policy, or its store cannot be used.
    pub fn build(
        &self,
        policy: &Policy,
        table: TableSize,
    ) -> Result<Box<dyn Backend>, BackendError> {
        match self {
            Self::Named(name) => name.build(policy, table),
            #[cfg(feature = "redis")]
            Self::Redis(config) => {
                let store = super::redis::Store::new(policy, table, config)?;
                Ok(Box::new(store))
            }
        }
    }
}

impl From<BackendName> for Pick {
    fn from(name: BackendName) -> Self {
        Self::Named(name)
    }
}

/// The word, without any part of an address: it may hold a password.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            #[cfg(feature = "redis")]
            Self::Redis(_) => f.write_str("redis"),
        }
    }
}

impl FromStr for Pick {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return text.parse().map(Self::Named);
        }
        #[cfg(feature = "redis")]
        {
            let config = limiter_host::redis::RedisConfig::from_url(text);
            match config {
                Ok(config) => Ok(Self::Redis(Box::new(config))),
                Err(error) => Err(error.to_string()),
            }
        }
        #[cfg(not(feature = "redis"))]
        {
            Err("a store is only known to a build with the feature `redis`".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_name_and_an_address_is_a_store() {
        let shown = |text: &str| text.parse::<Pick>().map(|pick| pick.to_string());
        assert_eq!(shown("model"), Ok("model".to_owned()));
        assert!(shown("redis").unwrap_err().contains("core, shared"));
        #[cfg(feature = "redis")]
        {
            let store = shown("redis://user:secret@localhost:1");
            assert_eq!(store, Ok("redis".to_owned()));
            let wrong = shown("http://secret").unwrap_err();
            assert!(wrong.contains("redis://") && !wrong.contains("secret"));
        }
        #[cfg(not(feature = "redis"))]
        assert!(shown("redis://localhost").unwrap_err().contains("feature"));
    }
}
