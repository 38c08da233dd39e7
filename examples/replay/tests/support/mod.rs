//! What the tests share: where recorded traces are, and a replay without files.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};

use limiter_core::{HashKey, Policy};
use limiter_host::config::Plans;
use replay::backend::{BackendName, TableSize};
use replay::input::{Format, Reader};
use replay::log::Log;
use replay::run::{Output, run};

/// The folder of a test data set of this workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder or file among the shared data, `None` with a note if it is not at hand.
pub(crate) fn shared(what: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LIMITER_SHARED")
        .map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let path = shared.join("data").join(what);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}", path.display());
    None
}

/// The names of the traces in a folder, sorted; each has its decisions beside it.
pub(crate) fn vectors(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".trace.jsonl").map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

/// A log from the text of a trace.
pub(crate) fn log(trace: &[u8]) -> Log {
    let reader = Reader {
        format: Format::Trace,
        key: &HashKey::new([16; 16]),
        plans: &Plans::pipedrive(),
        plan: None,
        skip_bad: false,
    };
    reader.read(trace, |_| ()).unwrap().log
}

/// The decision lines of a log under the preset.
pub(crate) fn decisions(log: &Log, backend: BackendName, table: Option<TableSize>) -> String {
    let table = table.unwrap_or_else(|| TableSize::for_log(log));
    let mut backend = backend.build(&Policy::pipedrive(), table).unwrap();
    let mut bytes = Vec::new();
    run(
        log,
        &mut *backend,
        None,
        &mut Output::new(&mut bytes),
        |_| (),
    )
    .unwrap();
    String::from_utf8(bytes).unwrap()
}
