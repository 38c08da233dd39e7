//! The memory that the flags let clients take, by one formula: the start checks it against the limit there
//! is, and the unit's `MemoryMax` is held to it by a test.
//!
//! | part | bytes |
//! |---|---|
//! | a connection | 24 KiB; 5 buffers of `--max-head`, and 5 of 16 KiB if there is an upstream: what is read, a part on its way to the other side, and what is written |
//! | its TLS | 64 KiB: a record that comes, one that goes, and the keys |
//! | the system's part of it | 2 × 32 KiB in each direction, to the client and to the upstream |
//! | the tables | 96 bytes for a row of both; with `--state` 224, for its images |
//! | all else | 64 MiB: the program, its threads, operators, metrics, the configuration while it is read |
//!
//! The system counts its buffers for a control group of version 2 together with the process's own memory.

use crate::error::StartError;
use crate::settings::{Settings, TableSize};
use std::fmt;
use std::fs;
use std::path::Path;

/// Bytes that the flags can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    connections: u64,
    /// Of the process, for each connection.
    own_each: u64,
    /// Of the system.
    system_each: u64,
    tables: u64,
}

impl Memory {
    /// What these settings can take.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let limits = &settings.connections;
        let behind = settings.upstream.is_some();
        let mut own_each = 24 * KIB + BUFFERS * long(limits.buffer_bytes());
        let mut sockets = 1;
        if behind {
            own_each += BUFFERS * long(UPSTREAM_BYTES);
            sockets += 1;
        }
        if settings.tls.is_some() {
            own_each += 64 * KIB;
        }
        let table = settings
            .table
            .unwrap_or_else(|| TableSize::for_tokens(settings.tokens.as_ref().map_or(0, Vec::len)));
        let row = if settings.state.is_some() { 224 } else { 96 };
        Self {
            connections: long(limits.connections),
            own_each,
            // Two directions, and as much again for the system's own overhead.
            system_each: sockets * 2 * 2 * u64::from(SOCKET_BYTES),
            tables: long(table.tokens.max(table.users)) * row,
        }
    }

    /// All of it.
    #[must_use]
    pub const fn most(&self) -> u64 {
        self.of_process() + self.connections * self.system_each
    }

    /// The process's part, without the system's buffers.
    #[must_use]
    pub const fn of_process(&self) -> u64 {
        self.connections * self.own_each + self.tables + REST
    }

    /// Checks that it fits a limit.
    pub(crate) fn fit(&self, limit: &MemoryLimit) -> Result<(), StartError> {
        match limit.bytes() {
            Some(bytes) if bytes < self.most() => Err(StartError::Memory {
                needed: *self,
                limit: *limit,
            }),
            _ => Ok(()),
        }
    }

    /// As many connections as fit a limit.
    fn fitting(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.tables + REST) / (self.own_each + self.system_each)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            own_each,
            system_each,
            tables,
        } = self;
        let (most, own, system) = (mib(self.most()), own_each / KIB, system_each / KIB);
        let (tables, rest) = (mib(*tables), mib(REST));
        write!(
            f,
            "{most} MiB at most: {connections} connections of {own} KiB and of {system} KiB in the system, \
             tables of {tables} MiB, and {rest} MiB"
        )
    }
}

/// A limit on the memory of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// `--memory`.
    Flag(u64),
    /// Of a control group around the process.
    Group(u64),
    /// No control group limits it.
    None,
    /// The system does not show a limit.
    Unknown,
}

impl MemoryLimit {
    /// The limit of the settings, or that of the system.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        match settings.memory {
            Some(bytes) => Self::Flag(bytes),
            None => match fs::read_to_string("/proc/self/cgroup") {
                Ok(groups) => of_groups(&groups, Path::new("/sys/fs/cgroup")),
                Err(_) => Self::Unknown,
            },
        }
    }

    const fn bytes(&self) -> Option<u64> {
        match *self {
            Self::Flag(bytes) | Self::Group(bytes) => Some(bytes),
            Self::None | Self::Unknown => None,
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(bytes) => write!(f, "--memory is {} MiB", bytes / MIB),
            Self::Group(bytes) => write!(f, "the control group's limit is {} MiB", bytes / MIB),
            Self::None => f.write_str("no control group limits it"),
            Self::Unknown => f.write_str("whether a control group limits it is unknown"),
        }
    }
}

/// The text of a memory that does not fit, and of what would.
pub(crate) fn unfit(needed: &Memory, limit: &MemoryLimit) -> String {
    let fitting = limit.bytes().map_or(0, |bytes| needed.fitting(bytes));
    let remedy = match fitting {
        0 => "give it more memory".to_owned(),
        fitting => format!("give it more memory, or --max-connections {fitting}"),
    };
    format!("the flags can take {needed}; {limit}: {remedy}")
}

/// The smallest limit of the groups that `/proc/self/cgroup` names, and of those around them; of
/// version 2 and 1, below the place where both are mounted.
fn of_groups(groups: &str, mount: &Path) -> MemoryLimit {
    let mut is_known = false;
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (mount.to_owned(), "memory.max"),
            "memory" => (mount.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        // In a container the path may be one of the host, and the root is the group itself.
        for ancestor in Path::new(group.trim_start_matches('/')).ancestors() {
            let Ok(text) = fs::read_to_string(root.join(ancestor).join(file)) else {
                continue;
            };
            is_known = true;
            // "max", or of version 1 a number that no machine has.
            let bytes = text.trim().parse().ok().filter(|&bytes| bytes < UNLIMITED);
            least = [least, bytes].into_iter().flatten().min();
        }
    }
    match least {
        Some(bytes) => MemoryLimit::Group(bytes),
        // The root group of version 2 has no such file.
        None if is_known => MemoryLimit::None,
        None => MemoryLimit::Unknown,
    }
}

/// Reads bytes: a number, and `K`, `M` or `G` for units of 1 024.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], KIB),
        Some(b'M') => (&text[..text.len() - 1], MIB),
        Some(b'G') => (&text[..text.len() - 1], 1_024 * MIB),
        _ => (text, 1),
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| "a number of bytes, or of K, M or G, such as 512M".to_owned())
}

fn long(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
const REST: u64 = 64 * MIB;
const UNLIMITED: u64 = 1 << 60;
/// The buffer that is read into, a part of it on its way, another that waits for that, and what is written,
/// up to a buffer and one more part.
const BUFFERS: u64 = 5;
/// Bytes that the system keeps of each direction of a connection; it takes as much again for itself.
pub(crate) const SOCKET_BYTES: u32 = 32 * 1_024;
/// Bytes that a connection to the upstream reads ahead, and about as many that it writes behind; the head of an
/// answer must fit.
pub(crate) const UPSTREAM_BYTES: usize = 16 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Args;
    use clap::Parser as _;

    fn settings(flags: &[&str]) -> Settings {
        let flags = ["gateway"].iter().chain(flags);
        Args::try_parse_from(flags).unwrap().settings().unwrap()
    }

    #[test]
    fn grows_with_connections_heads_upstream_tables_and_state() {
        let most = |flags: &[&str]| Memory::of(&settings(flags)).most();
        let base = most(&["--max-connections", "100"]);
        let each = |more: &[&str]| {
            let flags = [&["--max-connections", "100"], more].concat();
            (most(&flags) - base) / 100
        };
        assert_eq!(each(&["--upstream", "http://h"]), 80 * KIB + 128 * KIB);
        assert_eq!(each(&["--max-head", "32768"]), 80 * KIB);
        assert_eq!(most(&["--max-connections", "101"]) - base, 232 * KIB);
        assert_eq!(each(&["--table", "2048,1024"]), 1_024 * 96 / 100);
    }

    #[test]
    fn the_units_memory_is_what_its_flags_can_take() {
        let unit = include_str!("../gateway.service").replace("\\\n", " ");
        let value = |key: &str| {
            let mut lines = unit.lines();
            lines.find_map(|line| line.strip_prefix(key)).unwrap()
        };
        let flags = value("ExecStart=").split_whitespace().skip(1);
        // The files are not here.
        let flags: Vec<&str> = flags.collect();
        let kept: Vec<&str> = flags
            .chunks(2)
            .filter(|pair| pair[0] != "--config")
            .flatten()
            .copied()
            .collect();
        let memory = Memory::of(&settings(&kept));
        assert!(
            memory.own_each + memory.system_each > 400 * KIB,
            "its TLS and its upstream count"
        );
        let most = bytes(value("MemoryMax=")).unwrap();
        assert!(most >= memory.most(), "{memory}");
        assert!(most < memory.most() + memory.most() / 4, "{memory}");
        let files: u64 = value("LimitNOFILE=").parse().unwrap();
        assert!(files >= crate::open_files::needed(&settings(&kept)));
    }

    #[test]
    fn a_limit_that_the_flags_do_not_fit_refuses_the_start_and_says_what_fits() {
        let memory = Memory::of(&settings(&["--max-connections", "1000"]));
        assert!(memory.fit(&MemoryLimit::Flag(memory.most())).is_ok());
        assert!(memory.fit(&MemoryLimit::Unknown).is_ok());
        let limit = MemoryLimit::Group(memory.most() - 1);
        let error = memory.fit(&limit).unwrap_err().to_string();
        assert!(error.contains("--max-connections 999"), "{error}");
        assert!(error.contains("the control group's limit"), "{error}");
        let nothing = memory.fit(&MemoryLimit::Flag(MIB)).unwrap_err();
        assert!(nothing.to_string().ends_with("give it more memory"));
    }

    #[test]
    fn finds_the_smallest_limit_of_the_groups_around_it() {
        let mount = std::env::temp_dir().join(format!("gateway-groups-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = mount.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let two = "0::/a/b\n";
        assert_eq!(of_groups(two, &mount), MemoryLimit::Unknown);
        put("a/b/memory.max", "max\n");
        assert_eq!(of_groups(two, &mount), MemoryLimit::None);
        put("a/memory.max", "1000\n");
        assert_eq!(of_groups(two, &mount), MemoryLimit::Group(1_000));
        let one = "4:memory:/x\n1:cpu:/\n";
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of_groups(one, &mount), MemoryLimit::None);
        put("memory/x/memory.limit_in_bytes", "2000\n");
        assert_eq!(of_groups(one, &mount), MemoryLimit::Group(2_000));
        fs::remove_dir_all(mount).unwrap();
    }

    #[test]
    fn reads_bytes_with_their_unit() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("3K"), Ok(3 * KIB));
        assert_eq!(bytes("512M"), Ok(512 * MIB));
        assert_eq!(bytes("2G"), Ok(2_048 * MIB));
        for wrong in ["", "M", "1T", "-1", "20000000000G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
