//! The program itself, started with flags.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A gateway started with flags; ended when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    /// What it printed when it was ready.
    pub(crate) welcome: String,
    log: BufReader<ChildStderr>,
}

impl Program {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::spawn(command(flags))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C") {
            let read = output.read_line(&mut welcome).unwrap();
            assert_ne!(read, 0, "it ended: {welcome}");
        }
        let log = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            welcome,
            log,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        let address = self.welcome.split("://").nth(1).unwrap();
        address.split([',', '\n']).next().unwrap()
    }

    /// Where operators are served, if they are.
    pub(crate) fn admin(&self) -> &str {
        let address = self.welcome.split("for operators http://").nth(1).unwrap();
        address.split('/').next().unwrap()
    }

    /// The next line that it logs; waits for one.
    pub(crate) fn log_line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends a request's lines, and reads the answer.
    pub(crate) fn ask(&self, lines: &str) -> String {
        ask(self.address(), lines)
    }

    /// Reads what operators are told of the state.
    pub(crate) fn state(&self) -> serde_json::Value {
        self.status()["state"].clone()
    }

    /// Reads all that operators are told.
    pub(crate) fn status(&self) -> serde_json::Value {
        let answer = self.ask_admin("GET /status HTTP/1.1");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Sends a request's lines to the operators' listener, and reads the answer.
    pub(crate) fn ask_admin(&self, lines: &str) -> String {
        ask(self.admin(), lines)
    }

    /// Reads one of its metrics.
    #[cfg(target_os = "linux")]
    pub(crate) fn metric(&self, name: &str) -> String {
        let answer = ask(self.admin(), "GET /metrics HTTP/1.1");
        let mut lines = answer.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap().to_owned()
    }

    /// Ends it in order; says its exit code.
    #[cfg(unix)]
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }

    /// Memory that it holds at this moment, in KiB; `None` where the system does not report it.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        self.memory_kib("VmRSS:")
    }

    /// The most memory that it has held.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:").unwrap()
    }

    fn memory_kib(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(field))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(flags).stderr(Stdio::piped());
    command
}

/// Sends a request's lines to an address, and reads the answer.
pub(crate) fn ask(address: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("{lines}\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A directory of this test run, empty or not there yet.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// A file of this test run.
pub(crate) fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // A run before may have left something else than a file there.
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    path.to_str().unwrap().to_owned()
}
