//! Warnings about the settings of a store.

use limiter_host::RedisLimiter;
use limiter_host::redis::{StoreWarning, Switch};
use limiter_redis_servers::{Options, Server, Watched, wait_until};
use std::sync::{Arc, Mutex};

use crate::instances::{admitted, get, limiter, patient, policy};

/// A limiter on a store, and its warnings once it has looked, which its hook received too.
async fn warned(url: &str) -> (RedisLimiter, Vec<StoreWarning>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let sender = Arc::clone(&received);
    let config = patient(url).on_switch(move |switch| {
        if let Switch::Warning(warning) = switch {
            sender.lock().expect("no panic").push(warning);
        }
    });
    let limiter = limiter(policy(5, 5), config).await;
    let warnings = tokio::task::block_in_place(|| {
        wait_until("the store was looked at", || {
            let warnings = limiter.warnings();
            let received = received.lock().expect("no panic").clone();
            (!warnings.is_empty() && received == warnings).then_some(warnings)
        })
    });
    (limiter, warnings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_under_which_counts_disappear_are_warned_of() {
    let persistent = Options::default().with("appendonly", "yes");
    for (options, wanted) in [
        (Options::default(), StoreWarning::NotPersistent),
        (
            persistent
                .clone()
                .with("maxmemory", "100mb")
                .with("maxmemory-policy", "volatile-lru"),
            StoreWarning::Evicts,
        ),
    ] {
        let Some(server) = Server::start_with(&options) else {
            return;
        };
        let (_, warnings) = warned(&server.url()).await;
        assert_eq!(warnings, [wanted]);
    }
    let Some(watched) = Watched::start_with(&persistent) else {
        return;
    };
    let (_, warnings) = warned(&watched.url()).await;
    assert_eq!(warnings, [StoreWarning::ReplicasUnguarded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_user_may_not_look_is_used_and_said_to_be_unchecked() {
    let Some(server) = Server::start() else {
        return;
    };
    server.command(&["ACL", "SETUSER", "limiter", "-info"]);
    let (limiter, warnings) = warned(&server.url()).await;
    assert_eq!(warnings, [StoreWarning::Unchecked]);
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 5);
    assert_eq!(limiter.store_statistics().outages, 0);
}
