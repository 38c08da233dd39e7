//! A limiter that is kept at what a file says while the file changes.

use super::apply::{Applied, Apply};
use super::error::ConfigError;
use super::whole::{Config, TableRows, Whole};
use crate::clock::SharedClock;
use crate::manage::Manage;
use crate::origins::{JudgedPath, PathOrigins, UncleanPath};
use limiter_core::clock::ClockError;
use limiter_core::{HashKey, Origin, PolicyError, RegisterError};
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// Keeps a limiter at what a file says.
///
/// [`LiveConfig::look`] sees whether the file has changed: call it every second or so, from a timer
/// of yours; [`LiveConfig::reload`] reads it in any case, on SIGHUP say. Both block for a moment and
/// never more than one decision at a time.
///
/// What is used stays (P3): a plan of the same name goes on with its tokens, whatever its place in
/// the file; a token that is still listed keeps its window, its offences and its block, its user
/// their day. A file that is wrong, or whose tokens have no room, changes nothing. The limiter may
/// have other tokens, registered by you or a resolver; they are left alone. A plan that such a token
/// has stays as it was when a file no longer names it, and is among [`Changes::kept_plans`].
///
/// ```
/// use limiter_host::config::{Config, LiveConfig};
/// use limiter_host::core::HashKey;
/// use limiter_host::{Concurrent, SharedClock};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("limiter-doc-{}.toml", std::process::id()));
/// # std::fs::write(&path, "preset = 'pipedrive'\n[[tokens]]\ntoken = 'a1'\nuser = 'u'\nplan = 'advanced'\n")?;
/// let config = Config::read(&path)?;
/// let rows = config.table.map_or((10_000, 5_000), |table| (table.tokens, table.users));
/// let limiter = Arc::new(Concurrent::new(config.limits.policy, rows.0, rows.1));
/// let (key, clock) = (HashKey::new(*b"from the OS, say"), SharedClock::system());
/// let mut live = LiveConfig::start(&path, config, limiter, key, clock)?;
/// let origins = live.origins(); // for the layer: .origin(move |head| origins.of(head.uri.path()))
/// // Every second:
/// match live.look() {
///     Some(Ok(changes)) => println!("{changes}"),
///     Some(Err(error)) => eprintln!("{error}"),
///     None => {}
/// }
/// # drop(origins);
/// # std::fs::remove_file(&path)?;
/// # Ok(())
/// # }
/// ```
pub struct LiveConfig<D> {
    path: PathBuf,
    apply: Apply<D>,
    applied: Applied,
    table: Option<TableRows>,
    allows_empty: bool,
    origins: LiveOrigins,
    /// The file's stamp when it was last read, and when it was last looked at.
    read: Option<Stamp>,
    seen: Option<Stamp>,
}

impl<D: Manage> LiveConfig<D> {
    /// Registers the tokens of a file, pinned, in a limiter that has its policy.
    ///
    /// `key` and `clock` are those of the layer.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; then none of the tokens is registered.
    pub fn start(
        path: &Path,
        config: Config,
        limiter: Arc<D>,
        key: HashKey,
        clock: SharedClock,
    ) -> Result<Self, ReloadError> {
        let apply = Apply {
            file: path.display().to_string(),
            limiter,
            key,
            clock,
        };
        let origins = LiveOrigins::new(config.limits.origins.clone());
        let mut applied = Applied::nothing(&config.limits);
        apply.tokens(&mut applied, config.tokens.as_deref().unwrap_or_default())?;
        Ok(Self {
            path: path.to_owned(),
            apply,
            applied,
            table: config.table,
            allows_empty: false,
            origins,
            read: None,
            seen: None,
        })
    }

    /// Reads the file if it has changed: the second time in a row that a look finds the same change,
    /// so that a file is not read while it is written. `None` if there is nothing to tell; a file
    /// that is wrong is told once.
    pub fn look(&mut self) -> Option<Result<Changes, ReloadError>> {
        let stamp = Some(Stamp::of(&self.path));
        let quiet = stamp == self.seen;
        self.seen = stamp;
        if stamp == self.read || !quiet {
            return None;
        }
        self.read = stamp;
        match self.reload() {
            Ok(changes) if changes.is_empty() => None,
            told => Some(told),
        }
    }

    /// Reads the file and does what it says. *O*(tokens of the file and of the limiter).
    ///
    /// # Errors
    ///
    /// [`ReloadError`], in a line; nothing is changed.
    pub fn reload(&mut self) -> Result<Changes, ReloadError> {
        #[cfg(feature = "tracing")]
        let _span = tracing::info_span!("reload", file = self.apply.file).entered();
        let Whole { config, builder } = Whole::read(&self.path, &self.applied.limits.plans)?;
        let tokens = self.applied.tokens();
        let is_empty = config.tokens.as_ref().is_none_or(Vec::is_empty);
        if is_empty && tokens > 0 && !self.allows_empty {
            let file = self.apply.file.clone();
            return Err(ReloadError::Empty { file, tokens });
        }
        let mut changes = self.apply.all(&mut self.applied, &config, builder)?;
        changes.table = config.table != self.table;
        Ok(Changes {
            origins: self.origins.set(config.limits.origins),
            ..changes
        })
    }

    /// Where requests come from, as the file says it; follows the file.
    #[must_use]
    pub fn origins(&self) -> LiveOrigins {
        self.origins.clone()
    }

    /// Takes a file without tokens for what it says, and revokes them all; by default such a file is
    /// refused, for it is more often one that was cut short.
    #[must_use]
    pub const fn allow_empty(mut self, allows_empty: bool) -> Self {
        self.allows_empty = allows_empty;
        self
    }

    /// The limiter.
    #[must_use]
    pub fn limiter(&self) -> &Arc<D> {
        &self.apply.limiter
    }
}

impl<D> fmt::Debug for LiveConfig<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveConfig")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    /// That of a file that is not there is one too.
    fn of(path: &Path) -> Self {
        let stamp = |metadata: fs::Metadata| {
            let modified = metadata.modified().ok()?;
            Some((modified, metadata.len(), inode(&metadata)))
        };
        Self(fs::metadata(path).ok().and_then(stamp))
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

/// A handle on where requests come from, which follows a file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveOrigins(Arc<RwLock<PathOrigins>>);

impl LiveOrigins {
    fn new(origins: PathOrigins) -> Self {
        Self(Arc::new(RwLock::new(origins)))
    }

    /// The origin of a request for a path, without its query; see [`PathOrigins::of`]. Takes a lock
    /// that is only ever held for writing when the file has changed.
    #[must_use]
    pub fn of(&self, path: &str) -> Origin {
        let origins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        origins.of(path)
    }

    /// The origin of a request for a path, and the path to forward; see [`PathOrigins::judge`].
    ///
    /// # Errors
    ///
    /// [`UncleanPath`] as there.
    pub fn judge<'a>(&self, path: &'a str) -> Result<JudgedPath<'a>, UncleanPath> {
        let origins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        origins.judge(path)
    }

    /// Returns the origins if they are others than before.
    fn set(&self, origins: PathOrigins) -> Option<PathOrigins> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if *current == origins {
            return None;
        }
        current.clone_from(&origins);
        Some(origins)
    }
}

/// What a new file changed. `Display` says it in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Whether the policy is another one.
    pub policy: bool,
    /// The prefixes of paths that are freed of limits, if they are others.
    pub origins: Option<PathOrigins>,
    /// Tokens that are new.
    pub registered: usize,
    /// Tokens whose limit, user or kind is another one.
    pub updated: usize,
    /// Tokens that are no longer known.
    pub revoked: usize,
    /// Plans that the file no longer names, and that stay because tokens not of the file have them.
    pub kept_plans: Vec<String>,
    /// Whether the file asks for tables of another size, which takes a restart.
    pub table: bool,
}

impl Changes {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.policy {
            parts.push("policy changed".to_owned());
        }
        if let Some(origins) = &self.origins {
            parts.push(format!("paths with an origin of their own: {origins}"));
        }
        for (tokens, what) in [
            (self.registered, "registered"),
            (self.updated, "updated"),
            (self.revoked, "revoked"),
        ] {
            match tokens {
                0 => {}
                1 => parts.push(format!("1 token {what}")),
                tokens => parts.push(format!("{tokens} tokens {what}")),
            }
        }
        if !self.kept_plans.is_empty() {
            let names = self.kept_plans.join(", ");
            parts.push(format!("plans kept for tokens not of the file: {names}"));
        }
        if self.table {
            parts.push("the size of the tables changes at the next start".to_owned());
        }
        if parts.is_empty() {
            return f.write_str("nothing changed");
        }
        f.write_str(&parts.join("; "))
    }
}

/// Why a new file was not taken over; the old one's word stands. `Display` says it in a line.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// It could not be read, or says something wrong.
    Config(ConfigError),
    /// It lists no token, and would revoke all that the file before it listed.
    Empty {
        /// Its name.
        file: String,
        /// How many tokens there are.
        tokens: usize,
    },
    /// The tables have no room for its tokens.
    TableFull {
        /// Its name.
        file: String,
        /// How many tokens it lists.
        tokens: usize,
    },
    /// A token cannot be what it says.
    Register {
        /// Its name.
        file: String,
        /// Which token, counted from 0.
        index: usize,
        /// Why not.
        error: RegisterError,
    },
    /// A token that is not of the file has a plan that neither the file nor the one before it names.
    Policy {
        /// Its name.
        file: String,
        /// Which plan.
        error: PolicyError,
    },
    /// The clock could not be read.
    Clock(ClockError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(ConfigError::Mistakes { file, mistakes }) => {
                if let Some(first) = mistakes.first() {
                    write!(f, "{file}:{first}")?;
                }
                match mistakes.len().saturating_sub(1) {
                    0 => Ok(()),
                    1 => f.write_str(" (and 1 more mistake)"),
                    more => write!(f, " (and {more} more mistakes)"),
                }
            }
            Self::Config(error) => error.fmt(f),
            Self::Empty { file, tokens } => {
                write!(f, "{file}: lists no token, and would revoke all {tokens}")
            }
            Self::TableFull { file, tokens } => {
                write!(f, "{file}: the tables have no room for its {tokens} tokens")
            }
            Self::Register { file, index, error } => write!(f, "{file}: tokens[{index}]: {error}"),
            Self::Policy { file, error } => write!(f, "{file}: {error}"),
            Self::Clock(error) => error.fmt(f),
        }
    }
}

impl Error for ReloadError {}

impl From<ConfigError> for ReloadError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ClockError> for ReloadError {
    fn from(error: ClockError) -> Self {
        Self::Clock(error)
    }
}
