//! The files that the flags need open at once, and how many the system allows.

use crate::settings::Settings;

/// Files that these settings can need: a connection of each client, one to the upstream for each, those that idle
/// there, operators' connections, and what the process has of its own.
pub(crate) fn needed(settings: &Settings) -> u64 {
    let connections = u64::try_from(settings.connections.connections).unwrap_or(u64::MAX);
    let each = if settings.upstream.is_some() { 2 } else { 1 };
    connections * each + OTHERS
}

/// A warning if fewer may be open; `None` if they are enough, or the system does not show how many.
#[must_use]
pub fn warning(settings: &Settings) -> Option<String> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let allowed = allowed(&limits)?;
    let needed = needed(settings);
    (allowed < needed).then(|| {
        format!(
            "{allowed} files may be open, and --max-connections needs {needed}: connections above that wait. \
             Raise it with `ulimit -n {needed}`, or LimitNOFILE={needed} in the unit"
        )
    })
}

/// The soft limit in `/proc/self/limits`; `None` if there is none.
fn allowed(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Connections to the upstream that idle, those of operators, and the process's own files.
const OTHERS: u64 = 64 + 64 + 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_soft_limit() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax processes  7  8  processes\n\
                      Max open files            1024                 20000                files     \n";
        assert_eq!(allowed(limits), Some(1_024));
        assert_eq!(
            allowed("Max open files  unlimited  unlimited  files\n"),
            None
        );
    }
}
