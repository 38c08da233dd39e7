//! Records that cannot be read or have another layout, and missing permissions.

use limiter_core::{Outcome, Reason};
use limiter_host::redis::{OnStoreFailure, StoreError, Switch};
use limiter_redis_servers::{Server, wait_until};
use std::sync::{Arc, Mutex};

use crate::instances::{admitted, at, get, limiter, patient, policy, post, token_key, user_key};

fn ttl_ms(server: &Server, key: &str) -> i64 {
    let mut ask = redis::cmd("PTTL");
    ask.arg(key).query(&mut server.admin()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_refuses_its_own_token_or_user_and_is_no_outage() {
    let Some(server) = Server::start() else {
        return;
    };
    let received = Arc::new(Mutex::new(Vec::new()));
    let sender = Arc::clone(&received);
    // Also where a store that is gone would let everything through.
    let config = patient(&server.url())
        .on_store_failure(OnStoreFailure::Admit)
        .on_switch(move |switch| {
            if let Switch::Unreadable(requests) = switch {
                sender.lock().expect("no panic").push(requests);
            }
        });
    let limiter = limiter(policy(500, 500), config).await;
    let short = "\u{3}";
    let old = "\u{2}2345678901234567890123456";
    for (key, record) in [
        (token_key("u", "a"), "something"),
        (token_key("u", "a"), short),
        (token_key("u", "a"), old),
        (user_key("u"), "something"),
        (user_key("u"), "\u{2}234567890123456789"),
    ] {
        server.command(&["SET", &key, record]);
        for _ in 0..20 {
            let refused = limiter.check(&post("a"), at(0)).await;
            assert_eq!(
                refused.reason(),
                Some(Reason::StoreFailed),
                "{key}: {record}"
            );
            let looked = limiter.peek(&post("a"), at(0)).await;
            assert_eq!(
                looked.reason(),
                Some(Reason::StoreFailed),
                "{key}: {record}"
            );
            let other = limiter.check(&post("other"), at(0)).await;
            assert_eq!(other.outcome(), Outcome::Admitted);
        }
        // It ends by itself once no record of this policy could count any more.
        let ttl = ttl_ms(&server, &key);
        assert!((86_400_000..400_000_000).contains(&ttl), "{key}: {ttl}");
        server.command(&["DEL", &key]);
        assert_eq!(admitted(&limiter, &post("a"), 1).await, 1, "{key}");
    }
    let statistics = limiter.store_statistics();
    assert_eq!((statistics.outages, statistics.available), (0, true));
    assert_eq!(statistics.unreadable, 100);
    assert_eq!(*received.lock().expect("no panic"), [1], "once a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_that_cannot_be_read_begins_anew_and_what_was_used_goes_on_to_count() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(50, 5), patient(&server.url())).await;
    let before = limiter.accounting_day().await.expect("the store is there");
    // So a calendar that begins anew today has the number that the lost one had.
    assert_eq!(before.0, Some(before.1));
    assert_eq!(admitted(&limiter, &post("a"), 3).await, 3);
    for command in [
        &["SET", "limiter:3:c", "something"][..],
        &["SET", "limiter:3:c", "\u{2}234567890123456789012345678"],
        &["DEL", "limiter:3:c"],
    ] {
        server.command(command);
        assert_eq!(admitted(&limiter, &get("a"), 1).await, 1, "{command:?}");
        assert!(ttl_ms(&server, "limiter:3:c") > 0, "{command:?}");
    }
    let after = limiter.accounting_day().await.expect("the store is there");
    // Midnight may pass meanwhile.
    assert!(before == after || before.0 < after.0);
    if before == after {
        assert_eq!(admitted(&limiter, &post("a"), 9).await, 2);
    }
    let statistics = limiter.store_statistics();
    assert_eq!((statistics.outages, statistics.emptied), (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_missing_is_an_outage_that_lasts_and_names_it() {
    let Some(server) = Server::start() else {
        return;
    };
    for command in ["evalsha", "mget", "get", "set", "del", "pttl", "time"] {
        let limiter = limiter(policy(500, 500), patient(&server.url())).await;
        server.command(&["ACL", "SETUSER", "limiter", &format!("-{command}")]);
        server.command(&["ACL", "LOG", "RESET"]);
        if matches!(command, "del" | "pttl" | "get") {
            // No decision needs it every time: an instance that starts without it says so.
            let limiter = crate::instances::limiter(policy(5, 5), patient(&server.url())).await;
            lacks(&limiter, command);
        } else {
            let refused = limiter.check(&get("a"), at(0)).await;
            assert_eq!(refused.reason(), Some(Reason::StoreFailed), "{command}");
            wait_until("it was looked at again", || {
                let log = server.command(&["ACL", "LOG"]);
                (format!("{log:?}").contains("int(3)")).then_some(())
            });
            lacks(&limiter, command);
        }
        server.command(&["ACL", "SETUSER", "limiter", &format!("+{command}")]);
        wait_until("the store is back", || {
            limiter.store_statistics().available.then_some(())
        });
        assert_eq!(admitted(&limiter, &get("a"), 1).await, 1);
    }
}

/// The one outage lasts, and its reason names the command.
fn lacks(limiter: &limiter_host::RedisLimiter, command: &str) {
    let statistics = limiter.store_statistics();
    assert_eq!(
        (statistics.outages, statistics.available),
        (1, false),
        "{command}"
    );
    assert_eq!(statistics.recent_outages, 1);
    let error = limiter.last_failure().expect("it failed");
    assert!(matches!(error, StoreError::NotPermitted(_)), "{error:?}");
    let text = error.to_string().to_lowercase();
    assert!(text.contains(command), "{command}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_of_two_layouts_at_the_same_time_read_nothing_of_each_other() {
    let Some(server) = Server::start() else {
        return;
    };
    // What an instance of the layout before this one keeps: its names had no number.
    let key = |end: &str| {
        user_key("u")
            .replace("limiter:3:", "limiter:")
            .replace(":u", end)
    };
    let old = [
        ("limiter:c".to_owned(), "\u{2}234567890123456789012"),
        (key(":u"), "\u{2}234567890123456789"),
        (
            token_key("u", "a").replace("limiter:3:", "limiter:"),
            "\u{2}2345678901234567890123456",
        ),
    ];
    for (key, record) in &old {
        server.command(&["SET", key, record]);
    }
    let limiter = limiter(policy(5, 5), patient(&server.url())).await;
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 5);
    for (key, record) in &old {
        let mut ask = redis::cmd("GET");
        let kept: String = ask.arg(key).query(&mut server.admin()).expect("a record");
        assert_eq!(kept, *record, "{key}");
    }
    let statistics = limiter.store_statistics();
    assert_eq!((statistics.outages, statistics.unreadable), (0, 0));
}
