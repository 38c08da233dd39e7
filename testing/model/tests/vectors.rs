//! Replays recorded traces: the shared vectors, where they are at hand, and the project's own.

use std::path::{Path, PathBuf};

use limiter_model::Policy;
use limiter_model::trace::{Event, Replay, decision_line};
use serde_json::Value;

/// Replays one pair of files and compares every field; answers the number of decisions.
fn replay(folder: &Path, name: &str) -> usize {
    let read = |what: &str| {
        let path = folder.join(format!("{name}.{what}.jsonl"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let (trace, decisions) = (read("trace"), read("decisions"));
    assert_eq!(
        trace.lines().count(),
        decisions.lines().count(),
        "{name}: one decision a line"
    );
    let mut replay = Replay::new(Policy::pipedrive());
    for (i, (line, wanted)) in trace.lines().zip(decisions.lines()).enumerate() {
        let event = Event::read(line).unwrap_or_else(|e| panic!("{name} {i}: {e}"));
        let given = decision_line(i, &replay.decide(&event));
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(json(&given), json(wanted), "{name} {i}: {line}");
        assert_eq!(given, wanted, "{name} {i}: the bytes of the line");
    }
    trace.lines().count()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_decision_of_the_shared_vectors_is_equal() {
    let folder = std::env::var_os("LIMITER_VECTORS")
        .map_or_else(|| workspace().join("../shared/data/vectors"), PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: there is no folder {}", folder.display());
        return;
    }
    let names = ["calendar", "clocks", "days", "edges", "flood"];
    let counts = names.map(|name| replay(&folder, name));
    assert_eq!(counts.iter().sum::<usize>(), 28_500);
}
