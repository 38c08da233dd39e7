//! Where and when a run was made, and which releases it compared.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// The circumstances of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The day, in UTC.
    pub date: String,
    /// The processor's name.
    pub processor: String,
    /// How many processors this process may use.
    pub processors: usize,
    /// Of the kernel.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// Runnable processes when the run began: others may have disturbed it.
    pub load_average: String,
    /// The releases that were compared.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This one, now.
    #[must_use]
    pub fn look() -> Self {
        Self::look_at(LOCK, &COMPARED)
    }

    /// This one, now, with the releases of the packages `compared` in a lock file.
    #[must_use]
    pub fn look_at(lock: &str, compared: &[&str]) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: said(&["date", "-u", "+%Y-%m-%d"]),
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: said(&["uname", "-sr"]),
            rustc: said(&["rustc", "--version"]),
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
            versions: versions(lock, compared),
        }
    }

    /// When and where it ran, in a line; `shared` is to follow the number of processors.
    #[must_use]
    pub fn circumstances(&self, shared: &str) -> String {
        format!(
            "{}, {} ({} processors{shared}), {}, {}, load {} at the beginning.",
            self.date, self.processor, self.processors, self.kernel, self.rustc, self.load_average,
        )
    }

    /// The releases that were compared, in a line.
    #[must_use]
    pub fn releases(&self) -> String {
        let releases: Vec<String> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        releases.join(", ")
    }
}

/// What a program says, in one line; nothing if it cannot be asked.
fn said(command: &[&str]) -> String {
    let [program, arguments @ ..] = command else {
        return String::new();
    };
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The versions of the compared packages in a lock file. Of two versions of one package the later
/// is named last there, and is taken.
fn versions(lock: &str, compared: &[&str]) -> BTreeMap<String, String> {
    let value = |line: &str, key: &str| {
        let rest = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        rest.strip_suffix('"').map(str::to_owned)
    };
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(found) = value(line, "name") {
            name = Some(found);
        } else if let Some(version) = value(line, "version")
            && let Some(name) = name.take()
            && compared.contains(&name.as_str())
        {
            versions.insert(name, version);
        }
    }
    versions
}

const LOCK: &str = include_str!("../../../Cargo.lock");

const COMPARED: [&str; 15] = [
    "axum",
    "dashmap",
    "foldhash",
    "gcra",
    "governor",
    "leaky-bucket",
    "limitador",
    "limiter-core",
    "limiter-host",
    "pingora-limits",
    "quanta",
    "rate-net",
    "ratelimit",
    "throttlecrab",
    "tower_governor",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_release_of_everything_that_is_compared() {
        let versions = versions(LOCK, &COMPARED);
        assert_eq!(versions.len(), COMPARED.len(), "{versions:?}");
        assert!(versions["governor"].starts_with("0."));
    }
}
