//! Where the store is, and how the limiter uses it.

use super::local::FENCE;
use super::observe::{OnSwitch, Switch};
use super::tls::Certificates;
use super::topology::Topology;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// How a [`RedisLimiter`](super::RedisLimiter) finds and uses its store.
///
/// ```
/// use limiter_host::redis::{OnStoreFailure, RedisConfig};
///
/// let config = RedisConfig::from_url("redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/main")?
///     .key_prefix("orders")
///     .on_store_failure(OnStoreFailure::Refuse);
/// assert!(RedisConfig::from_url("http://10.0.0.1").is_err());
/// # Ok::<(), limiter_host::redis::RedisConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    pub(super) topology: Topology,
    pub(super) certificates: Certificates,
    pub(super) key_prefix: String,
    pub(super) time: StoreTime,
    pub(super) capacity: usize,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) on_store_failure: OnStoreFailure,
    pub(super) on_switch: OnSwitch,
    pub(super) refusal_cache: Duration,
    pub(super) lease: u32,
}

impl RedisConfig {
    /// A store by its address:
    ///
    /// - `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`: one server;
    /// - `redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME`: the master that the sentinels
    ///   name so;
    /// - `redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT`: a cluster that these nodes belong to.
    ///
    /// `rediss` in the place of `redis` speaks TLS, with the feature `redis-tls`, with all of them;
    /// `certificate_authority` and `client_certificate` say whom it trusts, and what it shows.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError`], which shows no part of the address: it may hold a password.
    pub fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        Ok(Self {
            topology: Topology::from_url(url)?,
            certificates: Certificates::default(),
            key_prefix: "limiter".to_owned(),
            time: StoreTime::Server,
            capacity: 100_000,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(250),
            on_store_failure: OnStoreFailure::Refuse,
            on_switch: OnSwitch::default(),
            refusal_cache: Duration::from_secs(5),
            lease: 1,
        })
    }

    /// Sets the password that goes with the address, in the place of one that stands there: for one
    /// that is kept in a file.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.topology = self.topology.with_password(password);
        self
    }

    /// Sets what every key begins with: limiters with different prefixes share nothing. By default
    /// `limiter`. Braces are left out, for a cluster would take them for a hash tag.
    #[must_use]
    pub fn key_prefix(mut self, prefix: &str) -> Self {
        self.key_prefix = prefix.replace(['{', '}'], "");
        self
    }

    /// Sets whose clock decides; by default the server's.
    #[must_use]
    pub const fn time(mut self, time: StoreTime) -> Self {
        self.time = time;
        self
    }

    /// Sets how many tokens may be registered; by default 100 000.
    #[must_use]
    pub const fn capacity(mut self, tokens: usize) -> Self {
        self.capacity = tokens;
        self
    }

    /// Sets how long connecting may take; by default 1 s.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long an answer may take before the store counts as failed; by default 250 ms.
    #[must_use]
    pub const fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Sets what is decided while the store cannot be used; by default nothing is admitted.
    #[must_use]
    pub const fn on_store_failure(mut self, policy: OnStoreFailure) -> Self {
        self.on_store_failure = policy;
        self
    }

    /// Has somebody told when the store stops being used, and when it is used again: once for each
    /// outage, in whatever thread finds out, which must not be kept long.
    #[must_use]
    pub fn on_switch(mut self, hook: impl Fn(Switch<'_>) + Send + Sync + 'static) -> Self {
        self.on_switch = OnSwitch::new(hook);
        self
    }

    /// Sets for how long, at most, a refusal that is known to last is given without asking the
    /// store; by default 5 s, and 0 asks every time.
    ///
    /// Within that time an instance does not see permits that another gives back, nor a block that
    /// another lifts. Offences of such refusals are counted, and reach the store with the token's
    /// next round trip.
    #[must_use]
    pub const fn refusal_cache(mut self, at_most: Duration) -> Self {
        self.refusal_cache = at_most;
        self
    }

    /// Sets how many permits one round trip may take: those of the request, and others that the
    /// instance holds for the same token and hands out by itself. By default 1, which is none ahead.
    ///
    /// At most a tenth of what is left of the window and of the day is taken ahead, and of the day no
    /// more than of the window, so it is for large limits that are used often. Everything else is as
    /// exact as without: never more than the limits. But
    /// `remaining` is what this instance knows, another instance may refuse while permits are held
    /// here, and a block that another one earned is noticed with the next round trip. What is held
    /// ends 250 ms after it was asked for. It goes back then, or with the next round trip of the
    /// token before, or by [`close`](super::RedisLimiter::close); an instance that dies takes it
    /// along.
    ///
    /// No instance hands out permits that the store has lost: a store without its counts makes all
    /// instances wait 300 ms, and a connection is used 300 ms after it was made. Give all instances
    /// of a store the same number.
    #[must_use]
    pub const fn lease(mut self, permits: NonZeroU32) -> Self {
        self.lease = permits.get();
        self
    }
}

impl RedisConfig {
    /// The time between making a connection and using it: none, unless permits are held ahead.
    pub(super) const fn settles_in(&self) -> Duration {
        if self.lease > 1 && matches!(self.time, StoreTime::Server) {
            FENCE
        } else {
            Duration::ZERO
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Tells no address: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("key_prefix", &self.key_prefix)
            .field("time", &self.time)
            .field("on_store_failure", &self.on_store_failure)
            .finish_non_exhaustive()
    }
}

/// Whose clock decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTime {
    /// The server's, which all instances share, however their own clocks are set. The times that
    /// decisions are asked with only measure how old something is.
    Server,
    /// The one that decisions are asked with: for tests and for logs. Keys live an hour.
    Injected,
}

/// What is decided while the store cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// Refuse with `store_failed`, a 503 (O8).
    Refuse,
    /// Let everything through, uncounted.
    Admit,
    /// Decide here, with this share of every limit: as many parts as there are instances.
    ///
    /// The local counts are kept from one failure to the next. So all instances together admit, in
    /// a window or on a day, at most the limit once more than the store did.
    Local {
        /// How many instances share a limit.
        instances: NonZeroU32,
    },
}

/// Why an address is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// It begins with no scheme that is known.
    Scheme,
    /// It speaks TLS, and the feature `redis-tls` is not on.
    NoTls,
    /// A host, a port, a database or the credentials cannot be read.
    Address,
    /// It names no master for the sentinels.
    NoMaster,
}

impl fmt::Display for RedisConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "the store's address must begin with redis://, redis+sentinel:// or \
                 redis+cluster://, or with rediss in the place of redis"
            }
            Self::NoTls => "the store's address asks for TLS, which this build does not speak",
            Self::Address => "the store's address has a bad host, port, database or credentials",
            Self::NoMaster => {
                "the store's address must end with the master's name: \
                 redis+sentinel://HOST:PORT/NAME"
            }
        })
    }
}

impl std::error::Error for RedisConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> Option<RedisConfigError> {
        RedisConfig::from_url(url).err()
    }

    #[test]
    fn each_kind_of_store_has_an_address() {
        for url in [
            "redis://127.0.0.1",
            "redis://user:secret@localhost:6380/2",
            "redis+sentinel://a:1,b:2/main",
            "redis+cluster://user:secret@a:1,b:2,c:3",
        ] {
            assert_eq!(error(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_told_why_and_not_repeated() {
        for (url, wanted) in [
            ("localhost:6379", RedisConfigError::Scheme),
            ("http://localhost", RedisConfigError::Scheme),
            ("redis+tls://localhost", RedisConfigError::Scheme),
            ("redis://localhost:port", RedisConfigError::Address),
            ("redis+cluster://a:1,:2", RedisConfigError::Address),
            ("redis+cluster://a:1/0", RedisConfigError::Address),
            ("redis+sentinel://a:1", RedisConfigError::NoMaster),
            ("redis+sentinel://a:1/b/c", RedisConfigError::NoMaster),
        ] {
            assert_eq!(error(url), Some(wanted), "{url}");
        }
        let config = RedisConfig::from_url("redis://user:secret@localhost").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[cfg(not(feature = "redis-tls"))]
    #[test]
    fn tls_takes_the_feature() {
        assert_eq!(error("rediss://localhost"), Some(RedisConfigError::NoTls));
    }

    #[test]
    fn errors_say_what_is_wrong_in_lower_case() {
        let texts = [
            RedisConfigError::Scheme,
            RedisConfigError::NoTls,
            RedisConfigError::Address,
            RedisConfigError::NoMaster,
        ]
        .map(|error| error.to_string());
        assert!(
            texts
                .iter()
                .all(|text| text.starts_with("the store's address "))
        );
        assert!(texts[0].contains("redis+cluster://"));
        assert!(texts[3].ends_with("redis+sentinel://HOST:PORT/NAME"));
    }

    #[test]
    fn a_prefix_has_no_braces() {
        let config = RedisConfig::from_url("redis://a").unwrap();
        assert_eq!(config.key_prefix("{x}y").key_prefix, "xy");
    }
}
