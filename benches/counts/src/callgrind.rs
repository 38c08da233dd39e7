//! Runs this program under callgrind and reads what was counted.

use crate::cases;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{Error, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// What one decision of a case takes, on average.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    /// What is done, by whom, and what it is told.
    pub(crate) work: String,
    pub(crate) subject: String,
    pub(crate) form: String,
    /// Whether it is ours, and so held to the baseline.
    pub(crate) ours: bool,
    pub(crate) instructions: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5} instructions {:>4} reads {:>4} writes: {}, {}, {}",
            self.instructions, self.reads, self.writes, self.work, self.subject, self.form
        )
    }
}

/// Counts every case.
///
/// # Errors
///
/// That valgrind is not installed, or did not do as expected.
pub(crate) fn count() -> Result<Vec<Count>> {
    let folder = crate::target().join("bench/callgrind");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let out = folder.join("out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        // Counts data accesses; what a cache would do with them is not asked.
        .args([
            "--cache-sim=yes",
            "--I1=32768,8,64",
            "--D1=32768,8,64",
            "--LL=8388608,16,64",
        ])
        .args(COUNTED.map(|functions| format!("--toggle-collect={functions}")))
        .arg(format!("--dump-before={MARK}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .arg(INSIDE)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| Error::other(format!("valgrind: {error}")))?;
    if !status.success() {
        return Err(Error::other(format!("valgrind: {status}")));
    }
    let mut counts = Vec::new();
    for (place, case) in cases::all().iter().enumerate() {
        // Of each case two parts are written: warming up, and what counts.
        let path = out.with_extension((2 * place + 2).to_string());
        let [instructions, reads, writes] = totals(&path)?.map(mean);
        counts.push(Count {
            work: case.work.to_owned(),
            subject: case.subject.to_owned(),
            form: case.form.to_owned(),
            ours: case.ours,
            instructions,
            reads,
            writes,
        });
    }
    Ok(counts)
}

/// Instructions, data reads and data writes of a part.
fn totals(path: &Path) -> Result<[u64; 3]> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::other(format!("{}: {error}", path.display())))?;
    of_part(&text)
        .ok_or_else(|| Error::other(format!("{}: no totals of Ir, Dr, Dw", path.display())))
}

fn of_part(text: &str) -> Option<[u64; 3]> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let totals: Vec<&str> = value("totals:")?.split_whitespace().collect();
    let events: Vec<&str> = value("events:")?.split_whitespace().collect();
    let of = |event: &str| {
        let place = events.iter().position(|other| *other == event)?;
        // Events that never happened at the end of a line are left out.
        totals
            .get(place)
            .map_or(Some(0), |total| total.parse().ok())
    };
    let [instructions, reads, writes] = [of("Ir")?, of("Dr")?, of("Dw")?];
    (instructions > 0).then_some([instructions, reads, writes])
}

fn mean(sum: u64) -> u64 {
    (sum + cases::DECISIONS / 2) / cases::DECISIONS
}

/// Told to this program, it runs the cases.
pub(crate) const INSIDE: &str = "inside";
const COUNTED: [&str; 2] = [
    "limiter_counts::cases::one_*",
    "limiter_counts::cases::requests::one_*",
];
const MARK: &str = "limiter_counts::cases::mark";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_totals_by_the_names_of_events() {
        let part = "version: 1\nevents: Dr Ir Dw\nfn=(1)\n3 4 5\ntotals: 7 100 3\n";
        assert_eq!(of_part(part), Some([100, 7, 3]));
        assert_eq!(
            of_part("events: Ir Dr Dw\ntotals: 100 7\n"),
            Some([100, 7, 0])
        );
    }

    #[test]
    fn a_part_in_which_nothing_was_counted_is_no_part() {
        for part in [
            "",
            "events: Ir Dr Dw\ntotals: 0 0 0\n",
            "events: Ir\ntotals: 5\n",
            "totals: 5 5 5\n",
        ] {
            assert_eq!(of_part(part), None, "{part}");
        }
    }
}
