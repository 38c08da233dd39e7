//! Recorded traces through every backend: the decisions are equal, byte for byte.

mod support;

use std::path::Path;

use replay::backend::BackendName;
use support::{decisions, log, shared, vectors, workspace};

/// Replays all traces of a folder and compares each line; answers the number of lines.
fn replay_all(folder: &Path, backend: BackendName) -> usize {
    let mut lines = 0;
    for name in vectors(folder) {
        let read = |what: &str| std::fs::read(folder.join(format!("{name}.{what}.jsonl"))).unwrap();
        let trace = read("trace");
        let wanted = String::from_utf8(read("decisions")).unwrap();
        let given = decisions(&log(&trace), backend, None);
        let trace = std::str::from_utf8(&trace).unwrap();
        for ((line, wanted), given) in trace.lines().zip(wanted.lines()).zip(given.lines()) {
            assert_eq!(given, wanted, "{backend}, {name}: {line}");
        }
        assert!(
            given == wanted,
            "{backend}, {name}: the files differ in length"
        );
        lines += trace.lines().count();
    }
    lines
}

#[test]
fn every_backend_decides_the_projects_own_vectors_to_the_byte() {
    let folder = workspace().join("testing/vectors");
    for backend in BackendName::ALL {
        let lines = replay_all(&folder, backend);
        assert!(lines >= 1_600, "{backend}: only {lines} lines");
    }
}

#[test]
fn every_backend_decides_the_shared_vectors_to_the_byte() {
    let Some(folder) = shared("vectors") else {
        return;
    };
    for backend in BackendName::ALL {
        let lines = replay_all(&folder, backend);
        assert!(lines >= 28_500, "{backend}: only {lines} lines");
    }
}
