//! The flags.

use crate::error::StartError;
use crate::settings::{Settings, TableSize};
use limiter_host::config::{PolicyFile, TokenFile};
use std::path::PathBuf;
use std::time::Duration;

/// A rate-limiting HTTP gateway: requests per 2 seconds by token and plan, writes per day by user,
/// and a block for those who keep hammering.
#[derive(Clone, Debug, clap::Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: String,

    /// Forward what is admitted to this server; without it the gateway answers by itself
    #[arg(long, value_name = "http://HOST:PORT/PATH")]
    pub upstream: Option<String>,

    /// How long the upstream may take without any progress before the answer is 504
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub upstream_timeout: u64,

    /// The limits, as TOML; without it those of the preset pipedrive
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The tokens, as TOML; without it a few for a demonstration
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Rows for tokens and users; by default twice the tokens known, at least 1024 of each
    #[arg(long, value_name = "TOKENS,USERS", value_parser = table_size)]
    pub table: Option<TableSize>,
}

impl Args {
    /// Reads the files that the flags name.
    ///
    /// # Errors
    ///
    /// [`StartError`] for the first flag or file that is wrong.
    pub fn settings(&self) -> Result<Settings, StartError> {
        let upstream = match &self.upstream {
            Some(url) => Some(url.parse().map_err(|()| StartError::Upstream)?),
            None => None,
        };
        let policy = match &self.policy {
            Some(path) => PolicyFile::read(path)?,
            None => PolicyFile::default(),
        };
        let tokens = match &self.tokens {
            Some(path) => Some(TokenFile::read(path, &policy.plans)?.tokens),
            None => None,
        };
        Ok(Settings {
            listen: self.listen.clone(),
            upstream,
            upstream_timeout: Duration::from_secs(self.upstream_timeout),
            policy,
            tokens,
            table: self.table,
        })
    }
}

/// Reads `TOKENS,USERS`.
fn table_size(text: &str) -> Result<TableSize, String> {
    let parsed = text.split_once(',').and_then(|(tokens, users)| {
        let size = TableSize {
            tokens: tokens.trim().parse().ok()?,
            users: users.trim().parse().ok()?,
        };
        let fits = |rows| (1..=TableSize::MAX).contains(&rows);
        (fits(size.tokens) && fits(size.users)).then_some(size)
    });
    parsed.ok_or_else(|| format!("two numbers from 1 to {}, such as 1024,512", TableSize::MAX))
}
