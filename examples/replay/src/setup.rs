//! What the command line asks for, with the files it names read: limits, plans, key.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

use limiter_core::{HashKey, Plan, Policy, UnixTime};
use limiter_host::config::{ConfigError, Plans, PolicyFile};

use crate::args::Args;
use crate::input::{Format, Reader};

/// All that must be known before the log is read.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The limits.
    pub policy: Policy,
    /// The plans by name.
    pub plans: Plans,
    /// The plan of all callers, if it was set.
    pub plan: Option<Plan>,
    /// Under which tokens are hashed.
    pub key: HashKey,
}

impl Setup {
    /// Reads the files that the arguments name.
    ///
    /// An access log's time is taken at its word, so its policy has the floor 0 (SPEC 11).
    ///
    /// # Errors
    /// [`SetupError`] for the first file or flag that is wrong.
    pub fn of(args: &Args) -> Result<Self, SetupError> {
        let file = match &args.policy {
            Some(path) => PolicyFile::read(path)?,
            None => PolicyFile::default(),
        };
        let plan = match &args.plan {
            Some(name) => Some(find(&file.plans, name)?),
            None => None,
        };
        Ok(Self {
            policy: match args.format {
                Format::Trace => file.policy,
                Format::Clf => file.policy.with_utc_floor(UnixTime::EPOCH),
            },
            plans: file.plans,
            plan,
            key: match &args.key {
                Some(path) => key_of(path)?,
                None => fresh_key(),
            },
        })
    }

    /// The reader of the log.
    #[must_use]
    pub const fn reader<'a>(&'a self, args: &Args) -> Reader<'a> {
        Reader {
            format: args.format,
            key: &self.key,
            plans: &self.plans,
            plan: self.plan,
            skip_bad: args.skip_bad,
        }
    }
}

/// Why the log is not even read.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The policy file cannot be used.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// The policy has no plan of the name that was given.
    #[error("--plan: the policy has no such plan; it has {known}")]
    Plan {
        /// The names it has.
        known: String,
    },
    /// The key file cannot be read.
    #[error("{file}: {error}")]
    Key {
        /// Its name.
        file: String,
        /// The system's word.
        error: io::Error,
    },
    /// The key file is no key.
    #[error("{file}: a key has exactly 16 bytes")]
    KeyLength {
        /// Its name.
        file: String,
    },
}

impl SetupError {
    /// Whether the user has to mend a file or a flag, rather than the system.
    #[must_use]
    pub const fn is_users(&self) -> bool {
        match self {
            Self::Plan { .. } | Self::KeyLength { .. } => true,
            Self::Policy(error) => !matches!(error, ConfigError::Unreadable { .. }),
            Self::Key { .. } => false,
        }
    }
}

fn find(plans: &Plans, name: &str) -> Result<Plan, SetupError> {
    plans.find(name).ok_or_else(|| {
        let known: Vec<&str> = plans.iter().map(|(known, _)| known).collect();
        SetupError::Plan {
            known: known.join(", "),
        }
    })
}

fn key_of(path: &Path) -> Result<HashKey, SetupError> {
    let file = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| SetupError::Key {
        file: file(),
        error,
    })?;
    let bytes = <[u8; 16]>::try_from(bytes);
    let bytes = bytes.map_err(|_| SetupError::KeyLength { file: file() })?;
    Ok(HashKey::new(bytes))
}

/// A key that nobody knows, from the random numbers that the standard library seeds its own
/// hashing with: a log's tokens cannot have been chosen to collide under it.
fn fresh_key() -> HashKey {
    let random = RandomState::new();
    let [low, high] = [0, 1].map(|half: u64| u128::from(random.hash_one(half)));
    HashKey::new((high << 64 | low).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn setup(rest: &[&str]) -> Result<Setup, SetupError> {
        Setup::of(&Args::parse_from(
            ["replay", "--trace", "-"].iter().chain(rest),
        ))
    }

    #[test]
    fn the_preset_is_the_policy_and_only_a_logs_floor_is_0() {
        let trace = setup(&[]).unwrap();
        assert_eq!((trace.policy, trace.plan), (Policy::pipedrive(), None));
        let log = setup(&["--format", "clf", "--plan", "enterprise"]).unwrap();
        assert_eq!(log.policy.utc_floor(), UnixTime::EPOCH);
        assert_eq!(
            log.policy.with_utc_floor(UnixTime::Y2020),
            Policy::pipedrive()
        );
        assert_eq!(log.plan, Some(Plan::ENTERPRISE));
    }

    #[test]
    fn each_run_has_a_key_of_its_own() {
        let id = || setup(&[]).unwrap().key.token(b"a");
        assert_ne!(id(), id());
    }

    #[test]
    fn the_known_plans_are_named() {
        let error = setup(&["--plan", "gold"]).unwrap_err();
        assert!(error.is_users());
        assert_eq!(
            error.to_string(),
            "--plan: the policy has no such plan; it has essential, advanced, professional, enterprise"
        );
    }
}
