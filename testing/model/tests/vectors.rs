//! Replays recorded traces: the shared vectors, where they are at hand, and the project's own.

use std::path::{Path, PathBuf};

use limiter_model::Policy;
use limiter_model::generate::vectors::{VECTORS, Vector, folder};
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

#[test]
fn every_decision_of_the_own_vectors_is_equal() {
    for (name, _) in VECTORS {
        assert_eq!(replay(&folder(), name), 400, "{name}");
    }
}

#[test]
fn the_own_vectors_are_what_generator_and_model_give_today() {
    for (name, profile) in VECTORS {
        let vector = Vector::make(profile);
        let read = |what: &str| {
            std::fs::read_to_string(folder().join(format!("{name}.{what}.jsonl"))).unwrap()
        };
        let mend = "run `cargo run -p limiter-model --bin make-vectors` if this is meant";
        assert!(
            vector.trace == read("trace"),
            "{name}: the trace differs; {mend}"
        );
        assert!(
            vector.decisions == read("decisions"),
            "{name}: the decisions differ; {mend}"
        );
    }
}

#[test]
fn the_own_vectors_meet_every_reason_that_a_trace_can() {
    let all: String = VECTORS
        .map(|(_, profile)| Vector::make(profile).decisions)
        .concat();
    for reason in [
        "null",
        "exempt",
        "window",
        "daily",
        "cost_exceeds_limit",
        "blocked",
        "unauthenticated",
    ] {
        let quoted = if reason == "null" {
            reason.into()
        } else {
            format!("\"{reason}\"")
        };
        let count = all.matches(&format!("\"reason\": {quoted},")).count();
        assert!(count >= 20, "{reason}: only {count} times");
    }
}
