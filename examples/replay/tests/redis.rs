//! Recorded traces through a limiter on a store: the decisions are those of the core, byte for byte.
#![cfg(feature = "redis")]

mod support;

use limiter_redis_servers::Server;
use std::process::Command;

use support::{shared, vectors, workspace};

#[test]
fn a_store_decides_every_vector_to_the_byte() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut compared = 0;
    let own = Some(workspace().join("testing/vectors"));
    for folder in own.into_iter().chain(shared("vectors")) {
        for name in vectors(&folder) {
            let replay = Command::new(env!("CARGO_BIN_EXE_replay"))
                .arg("--trace")
                .arg(folder.join(format!("{name}.trace.jsonl")))
                .args(["--quiet", "--backend", &server.url()])
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&replay.stderr);
            assert!(replay.status.success(), "{name}: {stderr}");
            let wanted = std::fs::read(folder.join(format!("{name}.decisions.jsonl"))).unwrap();
            assert!(replay.stdout == wanted, "{name} differs");
            compared += 1;
        }
    }
    assert!(compared >= 4);
}

#[test]
fn a_store_that_cannot_be_used_ends_the_replay_and_is_not_named() {
    let trace = workspace().join("testing/vectors/edges.trace.jsonl");
    let replay = Command::new(env!("CARGO_BIN_EXE_replay"))
        .arg("--trace")
        .arg(trace)
        .args(["--quiet", "--backend", "redis://u:secret@127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(replay.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&replay.stderr);
    assert!(stderr.contains("the store cannot be used"), "{stderr}");
    assert!(!stderr.contains("secret"));
}
