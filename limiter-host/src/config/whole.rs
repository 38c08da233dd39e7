//! Everything in one file: policy, tokens, and the size of the tables.

use super::error::ConfigError;
use super::policy::{POLICY_KEYS, Plans, PolicyFile, PolicyRead, read_policy};
use super::read_regular;
use super::reader::{Document, Found, Section};
use super::tokens::{TokenEntry, token_list};
use limiter_core::policy::PolicyBuilder;
use std::path::Path;

/// What one file says of a whole limiter; `default` is what an absent file would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The limits, and where requests come from.
    pub limits: PolicyFile,
    /// The tokens, `None` if the file has no such list.
    pub tokens: Option<Vec<TokenEntry>>,
    /// The size of the tables, `None` if the file does not say.
    pub table: Option<TableRows>,
}

impl Config {
    /// Reads and checks a file, as JSON if its name ends with `.json`, else as TOML.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all mistakes; also if it is no regular file: a pipe or a device.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_regular(path)?, &path.display().to_string())
    }

    /// Checks a text; `file` is its name, which tells how it is written.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all mistakes; none repeats a credential.
    ///
    /// ```
    /// use limiter_host::config::Config;
    ///
    /// let text = r#"{ "preset": "pipedrive",
    ///   "tokens": [{ "token": "a1b2c3", "user": "martin", "plan": "golden" }] }"#;
    /// let error = Config::parse(text, "limiter.json").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "limiter.json:2:61: tokens[0].plan: no such plan; the policy has essential, advanced, \
    ///      professional, enterprise"
    /// );
    /// ```
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        Ok(Whole::parse(text, file, &Plans::none())?.config)
    }
}

/// Rows of a limiter's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRows {
    /// For tokens, 1 to 2^24.
    pub tokens: usize,
    /// For users, 1 to 2^24.
    pub users: usize,
}

/// A file that was read.
pub(super) struct Whole {
    pub(super) config: Config,
    /// The policy's numbers to go on from.
    pub(super) builder: PolicyBuilder,
}

impl Whole {
    /// Reads a file whose plans keep the places that they have in `before`.
    pub(super) fn read(path: &Path, before: &Plans) -> Result<Self, ConfigError> {
        Self::parse(&read_regular(path)?, &path.display().to_string(), before)
    }

    fn parse(text: &str, file: &str, before: &Plans) -> Result<Self, ConfigError> {
        let (document, root) = Document::parse(text, file);
        let root = Section::root(&document, &root);
        let keys: Vec<&str> = POLICY_KEYS.into_iter().chain(["table", "tokens"]).collect();
        root.allow(&keys);
        let limits = read_policy(&root, before);
        let table = root.section("table").and_then(|section| rows(&section));
        let tokens = root.has("tokens").then(|| {
            // Without plans to go by, each token's would be one more mistake.
            let named;
            let plans = match &limits {
                Some(read) => &read.file.plans,
                None => {
                    named = Plans::named(&root);
                    &named
                }
            };
            token_list(&root, plans)
        });
        let read = limits.map(|PolicyRead { file, builder }| Self {
            config: Config {
                limits: file,
                tokens,
                table,
            },
            builder,
        });
        document.finish(file, read)
    }
}

fn rows(section: &Section<'_, '_>) -> Option<TableRows> {
    section.allow(&["tokens", "users"]);
    let number = |key| {
        section.require(key);
        let Found { value, at } = section.number(key)?;
        let fits = (1..=MOST_ROWS).contains(&value);
        if !fits {
            section.note(at, key, format!("must be from 1 to {MOST_ROWS}"));
        }
        usize::try_from(value).ok().filter(|_| fits)
    };
    let (tokens, users) = (number("tokens"), number("users"));
    Some(TableRows {
        tokens: tokens?,
        users: users?,
    })
}

/// What a limiter uses at most.
const MOST_ROWS: u32 = 1 << 24;
