//! Why the gateway did not start, or did not end well.

use crate::memory::{self, Memory, MemoryLimit};
use limiter_host::config::{ConfigError, ReloadError};
use limiter_host::core::RegisterError;
use limiter_host::core::clock::ClockError;
use std::fmt;
use std::io;

/// Why the gateway did not start; nothing was served.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address could not be listened on.
    Listen {
        /// The address.
        address: String,
        /// The system's word.
        error: io::Error,
    },
    /// The flags can take more memory than there is.
    Memory {
        /// What they can take.
        needed: Memory,
        /// What there is.
        limit: MemoryLimit,
    },
    /// The upstream is not `http://HOST[:PORT][/PATH]`.
    Upstream,
    /// A file is unreadable or wrong.
    Config(ConfigError),
    /// A file of the server's identity is unreadable or wrong.
    Tls {
        /// Its name.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The limiter cannot be what the file of `--config` says.
    Reload(ReloadError),
    /// The operating system gave no random key.
    NoRandomness,
    /// The signals that end the gateway cannot be heard.
    Signals(io::Error),
    /// The threads that serve could not be started.
    Runtime(io::Error),
    /// The clock could not be read.
    Clock(ClockError),
    /// A token does not fit the tables.
    Register(RegisterError),
    /// The directory of `--state` cannot be used, or what it holds.
    State {
        /// The directory.
        directory: String,
        /// What is wrong with it.
        what: String,
    },
    /// The store's address cannot be used.
    #[cfg(feature = "redis")]
    Store(limiter_host::redis::RedisConfigError),
    /// The store's address is not one to use certificates with.
    #[cfg(feature = "redis")]
    StoreCertificate(limiter_host::redis::CertificateError),
    /// A file about the store cannot be used: its key, or a certificate.
    #[cfg(feature = "redis")]
    StoreFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Memory { needed, limit } => f.write_str(&memory::unfit(needed, limit)),
            Self::Upstream => f.write_str("--upstream must be http://HOST[:PORT][/PATH]"),
            Self::Config(error) => error.fmt(f),
            Self::Tls { file, what } => write!(f, "{file}: {what}"),
            Self::Reload(error) => error.fmt(f),
            Self::NoRandomness => f.write_str("the operating system gave no random hash key"),
            Self::Signals(error) => write!(f, "cannot listen for signals: {error}"),
            Self::Runtime(error) => write!(f, "cannot start threads: {error}"),
            Self::Clock(error) => error.fmt(f),
            Self::Register(RegisterError::TableFull) => {
                f.write_str("--table is smaller than the list of tokens and users")
            }
            Self::State { directory, what } => write!(f, "--state {directory}: {what}"),
            #[cfg(feature = "redis")]
            Self::Store(error) => write!(f, "--store: {error}"),
            #[cfg(feature = "redis")]
            Self::StoreCertificate(error) => write!(f, "--store-ca, --store-client-cert: {error}"),
            #[cfg(feature = "redis")]
            Self::StoreFile { file, what } => write!(f, "{file}: {what}"),
            Self::Register(error) => write!(f, "a token cannot be registered: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// The last image of the state could not be written, so that what was reserved is lost.
#[derive(Debug)]
pub struct EndError(pub io::Error);

impl fmt::Display for EndError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        write!(
            f,
            "the last image of --state cannot be written: {error}; each user loses what is \
             reserved for him"
        )
    }
}

impl std::error::Error for EndError {}
