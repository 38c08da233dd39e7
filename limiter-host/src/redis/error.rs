//! Failures of the store, and how much of it each concerns.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::fmt;

/// A reason why the store could not be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no connection.
    NotConnected,
    /// The server, or the way to it, failed: with this text.
    Failed(RedisError),
    /// The server at the store's address is not trusted, or does not trust this instance: a
    /// certificate is missing or wrong.
    NotTrusted(RedisError),
    /// The address asks for TLS, and the server there does not speak it.
    NoTls(RedisError),
    /// The server at the address, which does not ask for TLS, closed the connection at once.
    Closed(RedisError),
    /// The store's user may not run a command or use a key that the limiter needs.
    NotPermitted(RedisError),
    /// A record in the store, or what its script answered, is not this limiter's. This concerns one
    /// token or one user alone.
    Foreign,
}

impl StoreError {
    /// Returns true if the store works, and only a record of the request's token or user is wrong.
    pub(super) fn is_of_a_record(&self) -> bool {
        match self {
            Self::Foreign => true,
            Self::Failed(error) => {
                // A script that fails on what it read; tests hold the texts to real servers.
                let of_script = |text: &str| text.starts_with("user_script:");
                error.code() == Some("WRONGTYPE")
                    || (error.code() == Some("ERR") && error.detail().is_some_and(of_script))
            }
            _ => false,
        }
    }

    /// Returns true if a node of a cluster does not have the slot that it was asked for.
    pub(super) fn is_elsewhere(&self) -> bool {
        let kind = match self {
            Self::Failed(error) => error.kind(),
            _ => return false,
        };
        matches!(
            kind,
            ErrorKind::Server(
                ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain
            )
        )
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("there is no connection to the store"),
            Self::Failed(error) => write!(f, "the store failed: {error}"),
            Self::NotTrusted(error) => {
                write!(
                    f,
                    "the store and this instance do not trust each other: {error}"
                )
            }
            Self::NoTls(error) => write!(
                f,
                "the store's address asks for TLS, and no TLS is spoken there: {error}"
            ),
            Self::Closed(error) => write!(
                f,
                "the store closed the connection; if it speaks TLS, its address must begin with \
                 rediss: {error}"
            ),
            Self::NotPermitted(error) => write!(
                f,
                "the store's user lacks a permission that the limiter needs: {error}"
            ),
            Self::Foreign => {
                f.write_str("a record in the store is not one that this limiter can read")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error)
            | Self::NotTrusted(error)
            | Self::NoTls(error)
            | Self::Closed(error)
            | Self::NotPermitted(error) => Some(error),
            Self::NotConnected | Self::Foreign => None,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let in_script = |text: &str| text.starts_with("The user executing the script can't");
        if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
            || error.detail().is_some_and(in_script)
        {
            Self::NotPermitted(error)
        } else {
            Self::Failed(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &'static str) -> StoreError {
        let value = redis::parse_redis_value(text.as_bytes()).expect("an answer");
        value.extract_error().expect_err("an error").into()
    }

    #[test]
    fn an_error_concerns_a_record_the_slots_place_a_permission_or_the_store() {
        for (text, record, elsewhere, permission) in [
            (
                "-ERR user_script:1: bad argument #2\r\n",
                true,
                false,
                false,
            ),
            ("-WRONGTYPE Operation against a key\r\n", true, false, false),
            ("-MOVED 1 127.0.0.1:1\r\n", false, true, false),
            ("-TRYAGAIN Multiple keys\r\n", false, true, false),
            (
                "-NOPERM this user has no permissions\r\n",
                false,
                false,
                true,
            ),
            (
                "-ERR The user executing the script can't run this command\r\n",
                false,
                false,
                true,
            ),
            (
                "-OOM command not allowed. script: a, on @user_script:1.\r\n",
                false,
                false,
                false,
            ),
            (
                "-ERR syntax error script: a, on @user_script:1.\r\n",
                false,
                false,
                false,
            ),
        ] {
            let error = server(text);
            let is_permission = matches!(error, StoreError::NotPermitted(_));
            assert_eq!(
                (error.is_of_a_record(), error.is_elsewhere(), is_permission),
                (record, elsewhere, permission),
                "{text}"
            );
        }
        assert!(StoreError::Foreign.is_of_a_record());
        assert!(!StoreError::NotConnected.is_of_a_record());
    }

    #[test]
    fn errors_say_what_is_wrong_in_lower_case() {
        let denied = server("-NOPERM SET: the user\r\n").to_string();
        assert!(
            denied.starts_with("the store's user lacks a permission that the limiter needs: ")
                && denied.contains("SET"),
            "{denied}"
        );
        assert_eq!(
            StoreError::Foreign.to_string(),
            "a record in the store is not one that this limiter can read"
        );
    }
}
