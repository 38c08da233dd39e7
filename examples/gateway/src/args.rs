//! The flags.

#[cfg(feature = "redis")]
mod store;

#[cfg(feature = "redis")]
pub use self::store::StoreArgs;

use crate::error::StartError;
use crate::listener::{ConnectionLimits, InFlightLimits, Pace};
use crate::memory;
use crate::settings::{AdminSettings, Settings, TableSize};
use crate::state::StateSettings;
use crate::tls::TlsFiles;
use limiter_host::config::{Config, PolicyFile, TokenFile};
use limiter_host::core::{OffTime, OnFailedWrite, OnLostState, Reserve};
use limiter_host::persist::Options;
use std::num::NonZeroU32;
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

    /// Speak TLS with this certificate, and those that vouch for it; PEM, read again on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Connections that are open at once; those that idle make room for new ones, then those that are slow
    #[arg(long, value_name = "NUMBER", default_value_t = 1_024, value_parser = number(1, 1 << 20))]
    pub max_connections: u32,

    /// Refuse to start if the flags can take more than this; by default the limit of the control group
    #[arg(long, value_name = "BYTES[K|M|G]", value_parser = memory::bytes)]
    pub memory: Option<u64>,

    /// Bytes of a request's line and headers; above that the answer is 431
    #[arg(long, value_name = "BYTES", default_value_t = 16_384, value_parser = number(1_024, 1 << 20))]
    pub max_head: u32,

    /// Bytes of a request's body; above that the answer is 413
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub max_body: u64,

    /// How long a connection may idle, or take to send a request's head
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = number(1, 3_600))]
    pub idle_timeout: u32,

    /// Time in all to send a body, above that the answer is 408; or to read an answer below 64 KiB/s,
    /// above that it is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = number(1, 86_400))]
    pub transfer_timeout: u32,

    /// Requests of one token that are under way at once; above that the answer is 429
    /// [default: a sixteenth of --max-connections]
    #[arg(long, value_name = "NUMBER", value_parser = number(1, 1 << 20))]
    pub max_per_token: Option<u32>,

    /// Requests from one address (of IPv6: one /64) that are under way at once; above that the answer
    /// is 429. Behind a load balancer, whose address all have: as many as --max-connections
    /// [default: a quarter of --max-connections]
    #[arg(long, value_name = "NUMBER", value_parser = number(1, 1 << 20))]
    pub max_per_address: Option<u32>,

    /// Requests without a token, or below an exempt path, that are under way at once, of all clients
    /// together; above that the answer is 503 [default: a quarter of --max-connections]
    #[arg(long, value_name = "NUMBER", value_parser = number(1, 1 << 20))]
    pub max_without_token: Option<u32>,

    /// Serve a live page for operators, and its numbers at /status; a port alone is one of this
    /// machine, for there is no login
    #[arg(long, value_name = "[HOST:]PORT", value_parser = admin_address)]
    pub admin: Option<String>,

    /// A name under which operators may reach --admin, besides addresses and localhost
    #[arg(long, value_name = "NAME", requires = "admin")]
    pub admin_host: Vec<String>,

    /// Forward what is admitted to this server; without it the gateway answers by itself
    #[arg(long, value_name = "http://HOST:PORT/PATH")]
    pub upstream: Option<String>,

    /// How long the upstream may take without any progress before the answer is 504
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = number(1, 3_600))]
    pub upstream_timeout: u32,

    /// How long a connection to the upstream is kept while nothing uses it; less if the upstream says
    /// so in Keep-Alive, and less than the upstream keeps it if it does not say so
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = number(0, 3_600))]
    pub upstream_idle: u32,

    /// Limits, tokens and the size of the tables, as TOML, or as JSON if its name ends with .json;
    /// followed while the gateway runs: a change is taken over within two seconds, or on SIGHUP
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy", "tokens", "table"])]
    pub config: Option<PathBuf>,

    /// Take a change of --config that lists no token for what it says, and revoke all tokens
    #[arg(long, requires = "config")]
    pub allow_empty: bool,

    /// Let CORS preflight requests (OPTIONS with Origin and Access-Control-Request-Method) through to
    /// the upstream without a token and without counting them; by default they need a token
    #[arg(long)]
    pub exempt_preflight: bool,

    /// The limits, as TOML; without it those of the preset pipedrive
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The tokens, as TOML; without it a few for a demonstration
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Rows for tokens and users; by default twice the tokens known, at least 1024 of each
    #[arg(long, value_name = "TOKENS,USERS", value_parser = table_size)]
    pub table: Option<TableSize>,

    /// Keep daily counts, strikes and blocks in this directory, so that they survive a restart or a
    /// crash; it is made if there is none, and is for one gateway at a time
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Permits that are reserved for a user with one write: what a crash costs him at most
    #[arg(long, value_name = "PERMITS", default_value_t = 100, requires = "state",
        value_parser = number(1, 1_000_000))]
    pub state_ahead: u32,

    /// While --state cannot be written: refuse with 503 what goes beyond the reserve, or go on, so
    /// that a crash lets it be used again
    #[arg(long, value_name = "refuse|go-on", default_value = "refuse", requires = "state",
        value_parser = on_failed_write)]
    pub on_failed_write: OnFailedWrite,

    /// If nothing in --state is whole: refuse what counts daily until the next day, or begin afresh
    #[arg(long, value_name = "refuse|fresh", default_value = "refuse", requires = "state",
        value_parser = on_lost_state)]
    pub on_lost_state: OnLostState,

    /// After a restart: trust this machine's date if it says that a day has passed, or ignore it and
    /// begin days by the time that the gateway has run alone, one in 23 h on average; a state that is
    /// new, or has never seen a day begin, may begin two at once
    #[arg(long, value_name = "trust|ignore", default_value = "trust", requires = "state",
        value_parser = off_time)]
    pub off_time: OffTime,

    /// Take this machine's date for unknown after a step by more than this, until it has stood for
    /// ten minutes; without it a step over midnight begins a day at once, and if it is corrected
    /// then, a user who has spent that day waits for up to 24 h more
    #[arg(long, value_name = "SECONDS", value_parser = number(2, 86_400))]
    #[cfg_attr(feature = "redis", arg(conflicts_with = "store"))]
    pub utc_max_step: Option<u32>,

    /// Where limits are counted
    #[cfg(feature = "redis")]
    #[command(flatten)]
    pub store: StoreArgs,
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
        let mut settings = Settings {
            listen: self.listen.clone(),
            tls: self.tls(),
            connections: self.connections(),
            memory: self.memory,
            admin: self.admin.clone().map(|listen| AdminSettings {
                listen,
                hosts: self.admin_host.clone(),
            }),
            upstream,
            upstream_timeout: Duration::from_secs(self.upstream_timeout.into()),
            upstream_idle: Duration::from_secs(self.upstream_idle.into()),
            policy,
            tokens,
            config: None,
            allow_empty: self.allow_empty,
            exempt_preflight: self.exempt_preflight,
            table: self.table,
            state: self.state(),
            utc_max_step: self
                .utc_max_step
                .map(|seconds| Duration::from_secs(seconds.into())),
            #[cfg(feature = "redis")]
            store: self.store.settings()?,
        };
        if let Some(path) = &self.config {
            settings.follow(path.clone(), Config::read(path)?);
        }
        Ok(settings)
    }

    fn state(&self) -> Option<StateSettings> {
        // OK because it is at least 1.
        let ahead = NonZeroU32::new(self.state_ahead).unwrap_or(NonZeroU32::MIN);
        Some(StateSettings {
            directory: self.state.clone()?,
            options: Options {
                reserve: Reserve {
                    ahead,
                    // As many are spent while an image is being written, or fewer.
                    early: self.state_ahead / 4,
                    on_failed_write: self.on_failed_write,
                    ..Reserve::DEFAULT
                },
                off_time: self.off_time,
                on_lost_state: self.on_lost_state,
                ..Options::default()
            },
        })
    }

    fn tls(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            cert: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
        })
    }

    fn connections(&self) -> ConnectionLimits {
        // OK because all are at most 2^20.
        let connections = self.max_connections as usize;
        let default = InFlightLimits::of(connections);
        let given = |flag: Option<u32>, default| flag.map_or(default, |most| most as usize);
        ConnectionLimits {
            connections,
            in_flight: InFlightLimits {
                per_token: given(self.max_per_token, default.per_token),
                per_address: given(self.max_per_address, default.per_address),
                without_token: given(self.max_without_token, default.without_token),
            },
            pace: Pace {
                whole: Duration::from_secs(self.transfer_timeout.into()),
                ..ConnectionLimits::DEFAULT.pace
            },
            head_bytes: self.max_head as usize,
            head_within: Duration::from_secs(self.idle_timeout.into()),
            body_bytes: self.max_body,
        }
    }
}

/// Reads a number from `least` to `most`.
fn number(least: i64, most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(least..=most)
}

/// Reads `[HOST:]PORT`, where no host is this machine.
fn admin_address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if port.parse::<u16>().is_err() {
        return Err("must be PORT or HOST:PORT".to_owned());
    }
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    Ok(format!("{host}:{port}"))
}

/// Reads what happens while the state cannot be written.
fn on_failed_write(text: &str) -> Result<OnFailedWrite, String> {
    match text {
        "refuse" => Ok(OnFailedWrite::Refuse),
        "go-on" => Ok(OnFailedWrite::GoOn),
        _ => Err("refuse or go-on".to_owned()),
    }
}

/// Reads what happens if the state is lost.
fn on_lost_state(text: &str) -> Result<OnLostState, String> {
    match text {
        "refuse" => Ok(OnLostState::Refuse),
        "fresh" => Ok(OnLostState::Fresh),
        _ => Err("refuse or fresh".to_owned()),
    }
}

/// Reads what the date may do after a restart.
fn off_time(text: &str) -> Result<OffTime, String> {
    match text {
        "trust" => Ok(OffTime::Trust),
        "ignore" => Ok(OffTime::Ignore),
        _ => Err("trust or ignore".to_owned()),
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
