//! One server.

use crate::process::{Process, free_port, new_folder};
use crate::tls::{Authority, Identity};
use redis::Connection;
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// The rule for the user under which limiters connect: the commands they need, their keys alone.
pub const LIMITER_ACL: &str = "~limiter:* resetchannels -@all \
    +evalsha +eval +mget +get +set +del +pttl +time +ping +role +asking +cluster|slots +info";

/// How a server differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More of its configuration: names and values.
    pub settings: Vec<(String, String)>,
    /// The port, if it is to be a certain one.
    pub port: Option<u16>,
    /// Files in the folder where it runs: names and contents.
    pub files: Vec<(String, String)>,
    /// Whether it speaks TLS, on a port beside the plain one.
    pub tls: bool,
}

impl Options {
    /// The same with one setting more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with TLS, among the servers too: the server is certified by an authority for
    /// `127.0.0.1`, and asks clients for a certificate of that authority if `asks`.
    #[must_use]
    pub fn with_tls(mut self, authority: &Authority, asks: bool) -> Self {
        let Identity { certificate, key } = authority.certify("127.0.0.1");
        for (setting, name, content) in [
            ("tls-cert-file", "server.pem", certificate),
            ("tls-key-file", "server.key", key),
            ("tls-ca-cert-file", "authority.pem", authority.pem()),
        ] {
            self = self.with(setting, name);
            self.files.push((name.to_owned(), content));
        }
        self.tls = true;
        self.with("tls-auth-clients", if asks { "yes" } else { "no" })
            .with("tls-replication", "yes")
    }
}

/// A server that holds nothing and writes nothing to a disk.
///
/// Besides the default user, who may do everything, it has the user `limiter` with the password
/// `limiter`, who may do what [`LIMITER_ACL`] says.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
    tls_port: Option<u16>,
}

impl Server {
    /// Starts a plain server and waits until it answers; `None` where there is none.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&Options::default())
    }

    /// Starts a server.
    ///
    /// # Panics
    ///
    /// If it does not answer within some seconds.
    #[must_use]
    pub fn start_with(options: &Options) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let port = options.port.unwrap_or_else(free_port);
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("port {port}"),
            "save \"\"".to_owned(),
            "appendonly no".to_owned(),
            "repl-diskless-sync-delay 0".to_owned(),
            format!("user limiter on >limiter {LIMITER_ACL}"),
        ];
        let tls_port = options.tls.then(free_port);
        lines.extend(tls_port.map(|port| format!("tls-port {port}")));
        for (name, value) in &options.settings {
            lines.push(format!("{name} {value}"));
        }
        let process = Process::run(&[], &lines, new_folder(&options.files));
        let server = Self {
            process,
            port,
            tls_port,
        };
        server.wait_until_it_answers();
        Some(server)
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port that others reach it on: that of TLS if it speaks that.
    pub(crate) fn public_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// Its address for the user `limiter`, without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://limiter:limiter@127.0.0.1:{}", self.port)
    }

    /// Its address for the user `limiter`, with TLS.
    ///
    /// # Panics
    ///
    /// If it does not speak TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        let port = self.tls_port.expect("it speaks TLS");
        format!("rediss://limiter:limiter@127.0.0.1:{port}")
    }

    /// A connection of the user who may do everything.
    ///
    /// # Panics
    ///
    /// If it cannot be had.
    #[must_use]
    pub fn admin(&self) -> Connection {
        self.try_admin().expect("the server can be reached")
    }

    /// Does a command as the user who may do everything.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn command(&self, words: &[&str]) -> redis::Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let done = command.query(&mut self.admin());
        done.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// A setting of its configuration.
    ///
    /// # Panics
    ///
    /// If there is none of that name.
    #[must_use]
    pub fn setting(&self, name: &str) -> String {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg(name);
        let (_, value): (String, String) = get
            .query::<Vec<(String, String)>>(&mut self.admin())
            .ok()
            .and_then(|mut pairs| pairs.pop())
            .expect("a setting");
        value
    }

    /// Stops it in its tracks: it holds connections, and answers nothing.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// What it has written to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        let path = self.process.folder().join("log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    pub(crate) fn try_admin(&self) -> redis::RedisResult<Connection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        client.get_connection_with_timeout(Duration::from_secs(1))
    }

    fn wait_until_it_answers(&self) {
        wait_until(&format!("port {} answers", self.port), || {
            let mut connection = self.try_admin().ok()?;
            redis::cmd("PING").query::<()>(&mut connection).ok()
        });
    }
}

/// Looks again and again, for some seconds at most.
///
/// # Panics
///
/// If there is nothing to be seen by then.
#[expect(
    clippy::disallowed_methods,
    reason = "another process becomes ready in its own time"
)]
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The program that is run: that which `REDIS_SERVER` names, else `redis-server`.
pub(crate) fn program() -> OsString {
    std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Whether there is a server to run; says so where there is none.
pub(crate) fn is_installed() -> bool {
    let found = Command::new(program())
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        for name in ["LIMITER_REDIS_REQUIRED", "REDIS_SERVER"] {
            assert!(
                std::env::var_os(name).is_none(),
                "{name} is set, and {} cannot be run",
                program().display()
            );
        }
        static ONCE: Once = Once::new();
        ONCE.call_once(|| println!("skipped: there is no redis-server here"));
    }
    found
}
