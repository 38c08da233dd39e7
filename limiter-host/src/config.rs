//! Policies and tokens from TOML or JSON files, with every mistake reported at once and at its place.
//!
//! A policy file is the preset, the preset with some keys changed, or numbers alone:
//!
//! ```toml
//! preset = "pipedrive"      # all keys below are then optional
//! window = "2s"             # lengths: a whole number and ms, s, m or h
//! utc_floor = 2020-01-01    # before this UTC counts as unknown
//!
//! [plans.advanced]          # any name; permits per window
//! api_token = 40
//! access_token = 160
//!
//! [daily]                   # or daily = false
//! limit = 10000
//! mode = "strict"           # or "advisory", or "fair_use" with tolerated_days, forgiven_after_days
//! writes = ["POST", "PUT"]
//!
//! [block]                   # or block = false
//! offences = 100
//! within = "60s"
//! duration = "300s"
//! extend_on_hit = false
//!
//! [origins]                 # prefixes of paths that are freed of limits; all else is api
//! ui = ["/ui/"]
//! webhook = ["/webhooks/"]
//! ```
//!
//! Without a preset `window` and one plan must be there, and what is absent is off: no daily
//! limit, no block. No path is freed of a limit unless `origins` names it, with a preset neither. A
//! token file lists credentials:
//!
//! ```toml
//! [[tokens]]
//! token = "a1b2c3"          # never shown again, in no message either
//! user = "martin"
//! kind = "api_token"        # the default; or "access_token"
//! plan = "advanced"         # or: limit = 55
//! ```
//!
//! A [`Config`] is both in one file, and how large the tables are; [`LiveConfig`] keeps a limiter
//! at what such a file says while it changes:
//!
//! ```toml
//! preset = "pipedrive"
//!
//! [table]                   # rows; changes take a restart
//! tokens = 10000
//! users = 5000
//!
//! [[tokens]]
//! token = "a1b2c3"
//! user = "martin"
//! plan = "advanced"
//! ```
//!
//! A file whose name ends with `.json` holds the same as JSON, dates as strings.

mod apply;
mod draft;
mod error;
mod json_tree;
mod live;
mod policy;
mod reader;
mod tokens;
mod toml_tree;
mod tree;
mod values;
mod whole;

pub use self::error::{ConfigError, Mistake};
pub use self::live::{Changes, LiveConfig, LiveOrigins, ReloadError};
pub use self::policy::{Plans, PolicyFile};
pub use self::tokens::{TokenEntry, TokenFile};
pub use self::whole::{Config, TableRows};

use std::io;
use std::path::Path;

/// Reads a whole file.
fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        file: path.display().to_string(),
        error,
    })
}

/// Reads a whole file that is read again and again, and so must be a regular one: a pipe gives its text
/// once, and to wait for one that is never written to has no end.
fn read_regular(path: &Path) -> Result<String, ConfigError> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(ConfigError::Unreadable {
            file: path.display().to_string(),
            error: io::Error::other("not a regular file, so it cannot be read again"),
        }),
        _ => read(path),
    }
}

#[cfg(test)]
mod tests;
