//! Processes that end with this one.

use crate::server::program;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A program that runs under a shell, which kills it when this process lets go of the shell's
/// standard input: on drop, on a panic, and when this process is killed.
#[derive(Debug)]
pub(crate) struct Process {
    shell: Child,
    pid: u32,
    folder: PathBuf,
}

impl Process {
    /// Runs the server's program on a configuration file of these lines, in a folder, which goes
    /// when the program does.
    pub(crate) fn run(arguments: &[&str], lines: &[String], folder: PathBuf) -> Self {
        fs::write(folder.join("conf"), lines.join("\n") + "\n").expect("the folder is there");
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg(&folder)
            .arg(program())
            .arg("conf")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let mut line = String::new();
        let output = shell.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the shell tells the process");
        let pid = line.trim().parse().expect("a number");
        Self { shell, pid, folder }
    }

    /// Sends the program a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid.to_string())
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "{name}");
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // The shell ends once it has killed the program and removed the folder.
        let _ = self.shell.wait();
    }
}

/// A new folder for one process, with files in it.
pub(crate) fn new_folder(files: &[(String, String)]) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("limiter-redis-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a temporary folder");
    for (name, content) in files {
        fs::write(folder.join(name), content).expect("the folder is there");
    }
    folder
}

/// A loopback port that nobody listens on.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

const SCRIPT: &str = r#"
folder=$0
cd "$folder" || exit 1
"$@" >log 2>&1 &
pid=$!
echo "$pid"
exec >/dev/null
read -r _
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
cd / && rm -rf "$folder"
"#;
