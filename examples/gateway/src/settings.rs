//! All that the gateway is told before it starts.

use crate::listener::ConnectionLimits;
use crate::proxy::Upstream;
use crate::state::StateSettings;
use crate::tls::TlsFiles;
use limiter_host::config::{Config, PolicyFile, TableRows, TokenEntry};
use limiter_host::{SharedClock, UtcGuard};
use std::path::PathBuf;
use std::time::Duration;

/// What to serve, to whom, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub listen: String,
    /// The identity to show there, `None` to speak in the clear.
    pub tls: Option<TlsFiles>,
    /// What clients are granted there.
    pub connections: ConnectionLimits,
    /// Bytes that all of it may take, `None` for what the system allows.
    pub memory: Option<u64>,
    /// What operators get, `None` for nothing.
    pub admin: Option<AdminSettings>,
    /// Where admitted requests go; without it the gateway answers by itself.
    pub upstream: Option<Upstream>,
    /// How long the upstream may take without any progress.
    pub upstream_timeout: Duration,
    /// How long a connection to the upstream is kept while nothing uses it, unless the upstream
    /// names a shorter time.
    pub upstream_idle: Duration,
    /// A file that is followed, and what it says at the start. The next three are its word then.
    pub config: Option<(PathBuf, Config)>,
    /// Whether a changed file without tokens revokes them all; else it is refused.
    pub allow_empty: bool,
    /// `true` lets CORS preflight requests through without a token.
    pub exempt_preflight: bool,
    /// The limits, and where requests come from.
    pub policy: PolicyFile,
    /// Who is known; `None` for the demo's tokens.
    pub tokens: Option<Vec<TokenEntry>>,
    /// Rows of the tables, `None` for as many as the tokens ask for.
    pub table: Option<TableSize>,
    /// Where daily counts, strikes and blocks survive a restart, `None` for nowhere.
    pub state: Option<StateSettings>,
    /// The largest step of UTC that is believed at once, `None` for any.
    pub utc_max_step: Option<Duration>,
    /// The store through which limits are shared, `None` to decide in this process.
    #[cfg(feature = "redis")]
    pub store: Option<crate::store::StoreSettings>,
}

impl Default for Settings {
    /// The demo: the page's policy, the built-in tokens, on port 8080 of this machine.
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            tls: None,
            connections: ConnectionLimits::default(),
            memory: None,
            admin: None,
            upstream: None,
            upstream_timeout: Duration::from_secs(30),
            upstream_idle: Duration::from_secs(4),
            config: None,
            allow_empty: false,
            exempt_preflight: false,
            policy: PolicyFile::default(),
            tokens: None,
            table: None,
            state: None,
            utc_max_step: None,
            #[cfg(feature = "redis")]
            store: None,
        }
    }
}

impl Settings {
    /// The clock with the guard that is asked for.
    pub(crate) fn guard(&self, clock: SharedClock) -> SharedClock {
        match self.utc_max_step {
            None => clock,
            Some(max_step) => clock.guarded(UtcGuard {
                max_step,
                report: |step| eprintln!("gateway: {step}"),
                ..UtcGuard::default()
            }),
        }
    }

    /// Takes over what a file says, and has it followed.
    pub fn follow(&mut self, path: PathBuf, config: Config) {
        self.policy = config.limits.clone();
        self.tokens = Some(config.tokens.clone().unwrap_or_default());
        self.table = config.table.map(TableSize::from);
        self.config = Some((path, config));
    }
}

/// The listener for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address to listen on.
    pub listen: String,
    /// Host names under which it may be asked, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Rows of the limiter's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Rows for tokens, 40 bytes each.
    pub tokens: usize,
    /// Rows for users, 36 bytes each.
    pub users: usize,
}

impl From<TableRows> for TableSize {
    fn from(TableRows { tokens, users }: TableRows) -> Self {
        Self { tokens, users }
    }
}

impl TableSize {
    /// The most rows that a limiter uses.
    pub const MAX: usize = 1 << 24;

    /// Room for as many tokens again as are known, so that a look-up visits few rows.
    #[must_use]
    pub fn for_tokens(known: usize) -> Self {
        let rows = known.saturating_mul(2).clamp(1_024, Self::MAX);
        Self {
            tokens: rows,
            users: rows,
        }
    }
}
