//! A store that fails, in every way that it can, and comes back.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limiter_core::{Decision, Outcome, Reason};
use limiter_host::RedisLimiter;
use limiter_host::redis::{OnStoreFailure, RedisConfig, Switch};
use limiter_redis_servers::{Options, Server, Watched, free_port, wait_until};

use crate::instances::{admitted, at, get, limiter, patient, policy, post};

/// A configuration whose limiter notices a silent server soon.
fn hasty(url: &str) -> RedisConfig {
    patient(url)
        .connect_timeout(Duration::from_millis(500))
        .response_timeout(Duration::from_millis(500))
}

fn returned(limiter: &RedisLimiter) {
    wait_until("the store is back", || {
        limiter.store_statistics().available.then_some(())
    });
}

fn failed(decision: &Decision) -> bool {
    decision.reason() == Some(Reason::StoreFailed) && decision.retry_after_ms() == Some(1_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_at_the_start_is_an_outage_that_ends_when_it_comes_up() {
    let port = free_port();
    let limiter = limiter(
        policy(5, 5),
        hasty(&format!("redis://limiter:limiter@127.0.0.1:{port}")),
    )
    .await;
    assert!(failed(&limiter.check(&get("a"), at(0)).await));
    let options = Options {
        port: Some(port),
        ..Options::default()
    };
    let Some(_server) = Server::start_with(&options) else {
        return;
    };
    returned(&limiter);
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 5);
    let statistics = limiter.store_statistics();
    assert_eq!(
        (statistics.outages, statistics.decided_without_store),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_lost_in_flight_refuses_once_counts_once_and_comes_back_empty() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), hasty(&server.url())).await;
    assert_eq!(admitted(&limiter, &get("a"), 3).await, 3);
    let options = Options {
        port: Some(server.port()),
        ..Options::default()
    };
    drop(server);
    for _ in 0..20 {
        assert!(failed(&limiter.check(&get("a"), at(0)).await));
    }
    assert_eq!(limiter.store_statistics().outages, 1);
    let _server = Server::start_with(&options);
    returned(&limiter);
    // It kept nothing on a disk.
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 5);
    assert_eq!(limiter.store_statistics().outages, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_silent_is_waited_for_once_and_keeps_its_counts() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), hasty(&server.url())).await;
    assert_eq!(admitted(&limiter, &get("a"), 3).await, 3);
    server.freeze();
    for _ in 0..20 {
        assert!(failed(&limiter.check(&get("a"), at(0)).await));
    }
    let statistics = limiter.store_statistics();
    assert_eq!((statistics.outages, statistics.available), (1, false));
    server.thaw();
    returned(&limiter);
    // The request that was on its way when the store fell silent may have been charged.
    let rest = admitted(&limiter, &get("a"), 9).await;
    assert!((1..=2).contains(&rest), "{rest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_only_reads_is_down_until_it_writes() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), hasty(&server.url())).await;
    assert_eq!(admitted(&limiter, &get("a"), 1).await, 1);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    for _ in 0..5 {
        assert!(failed(&limiter.check(&get("a"), at(0)).await));
    }
    server.command(&["REPLICAOF", "NO", "ONE"]);
    returned(&limiter);
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 4);
    assert_eq!(limiter.store_statistics().outages, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_full_charges_nothing_and_is_down_until_it_has_room() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), hasty(&server.url())).await;
    assert_eq!(admitted(&limiter, &post("a"), 1).await, 1);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..5 {
        assert!(failed(&limiter.check(&post("a"), at(0)).await));
    }
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    returned(&limiter);
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 4);
    assert_eq!(limiter.store_statistics().outages, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_forgotten_are_sent_again_and_nobody_notices() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), patient(&server.url())).await;
    assert_eq!(admitted(&limiter, &get("a"), 1).await, 1);
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 4);
    server.command(&["SCRIPT", "FLUSH"]);
    let decisions = limiter.check_many(&[get("b"); 9], at(0)).await;
    let admitted = decisions.iter().filter(|decision| decision.is_admitted());
    assert_eq!(admitted.count(), 5);
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_that_were_flushed_begin_anew_and_the_store_is_not_down() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = patient(&server.url()).refusal_cache(Duration::ZERO);
    let limiter = limiter(policy(5, 5), config).await;
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 5);
    server.command(&["FLUSHALL"]);
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 5);
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_everything_is_admitted_if_that_is_wanted() {
    let config = hasty("redis://127.0.0.1:1").on_store_failure(OnStoreFailure::Admit);
    let limiter = limiter(policy(1, 1), config).await;
    for _ in 0..5 {
        let decision = limiter.check(&post("a"), at(0)).await;
        assert_eq!(decision.outcome(), Outcome::Exempt);
    }
    let unknown = limiter.check(&post("nobody's"), at(0)).await;
    assert_eq!(unknown.status(), Some(401), "it is known who is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_an_instance_decides_with_its_share_if_that_is_wanted() {
    let instances = NonZeroU32::new(3).expect("not 0");
    let config = hasty("redis://127.0.0.1:1").on_store_failure(OnStoreFailure::Local { instances });
    let limiter = limiter(policy(10, 15), config).await;
    // A third of 10 permits a window, and of 15 a day for tokens a and b together.
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 3);
    assert_eq!(admitted(&limiter, &post("b"), 9).await, 2);
    assert_eq!(admitted(&limiter, &post("other"), 9).await, 3);
    let refused = limiter.check(&post("b"), at(0)).await;
    assert_eq!(refused.reason(), Some(Reason::Daily));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_without_a_whole_permit_admits_nothing() {
    let instances = NonZeroU32::new(16).expect("not 0");
    let config = hasty("redis://127.0.0.1:1").on_store_failure(OnStoreFailure::Local { instances });
    let limiter = limiter(policy(16, 15), config).await;
    assert!(failed(&limiter.check(&post("a"), at(0)).await));
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_when_the_store_dies_are_all_answered_and_it_is_one_outage() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(1_000_000, 9), hasty(&server.url())).await;
    let askers = (0..8).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move {
            let mut admitted = 0_u32;
            loop {
                let decision = limiter.check(&get("a"), at(0)).await;
                if failed(&decision) {
                    return admitted;
                }
                assert!(decision.is_admitted());
                admitted += 1;
            }
        })
    });
    let askers: Vec<_> = askers.collect();
    let options = Options {
        port: Some(server.port()),
        ..Options::default()
    };
    wait_until("they are at work", || {
        (limiter.store_statistics().round_trips > 100).then_some(())
    });
    drop(server);
    for asker in askers {
        assert!(asker.await.expect("it does not panic") > 0);
    }
    let _server = Server::start_with(&options);
    returned(&limiter);
    assert!(limiter.check(&get("a"), at(0)).await.is_admitted());
    assert_eq!(limiter.store_statistics().outages, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_decides_with_its_share_until_the_store_is_back_and_each_switch_is_told_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let switches = Arc::clone(&told);
    let instances = NonZeroU32::new(2).expect("not 0");
    let config = hasty(&server.url())
        .on_store_failure(OnStoreFailure::Local { instances })
        .on_switch(move |switch| {
            let is_back = matches!(switch, Switch::Back);
            if is_back || matches!(switch, Switch::Lost(_)) {
                switches.lock().expect("no panic").push(is_back);
            }
        });
    let limiter = limiter(policy(10, 99), config).await;
    assert_eq!(admitted(&limiter, &get("a"), 2).await, 2);
    server.freeze();
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 5, "its half");
    server.thaw();
    wait_until("the return is told", || {
        (told.lock().expect("no panic").len() > 1).then_some(())
    });
    // The one that was on its way when the store fell silent may have been charged there too.
    let rest = admitted(&limiter, &get("a"), 9).await;
    assert!((7..=8).contains(&rest), "{rest}");
    assert_eq!(*told.lock().expect("no panic"), [false, true]);
    let statistics = limiter.store_statistics();
    assert_eq!(
        (statistics.outages, statistics.decided_without_store),
        (1, 9)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_has_become_a_replica_is_left_for_the_new_one() {
    let Some(watched) = Watched::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), hasty(&watched.url())).await;
    assert_eq!(admitted(&limiter, &post("a"), 3).await, 3);
    watched.wait_until_copied();
    watched.fail_over();
    // Its connections were closed, so the first request finds the new one; or it was still asked.
    let first = admitted(&limiter, &post("a"), 1).await;
    returned(&limiter);
    assert_eq!(first + admitted(&limiter, &post("a"), 9).await, 2);
    let outages = limiter.store_statistics().outages;
    assert_eq!(outages, u64::from(first == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_is_down_is_passed_over() {
    let Some(watched) = Watched::start() else {
        return;
    };
    let others = format!("limiter@127.0.0.1:{},127", free_port());
    let url = watched.url().replace("limiter@127", &others);
    let limiter = limiter(policy(5, 5), hasty(&url)).await;
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 5);
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_master_that_sentinels_name_goes_on_with_the_counts() {
    let Some(mut watched) = Watched::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), hasty(&watched.url())).await;
    assert_eq!(admitted(&limiter, &get("a"), 3).await, 3);
    watched.wait_until_copied();
    drop(watched.master.take());
    assert!(failed(&limiter.check(&get("a"), at(0)).await));
    returned(&limiter);
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 2);
    assert_eq!(limiter.store_statistics().outages, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_request_after_the_store_restarted_is_asked_again_on_a_new_connection() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = patient(&server.url()).refusal_cache(Duration::ZERO);
    let limiter = limiter(policy(5, 5), config).await;
    assert_eq!(admitted(&limiter, &get("a"), 3).await, 3);
    let options = Options {
        port: Some(server.port()),
        ..Options::default()
    };
    let mut server = Some(server);
    for batch in [false, true] {
        drop(server.take());
        server = Server::start_with(&options);
        let admitted = if batch {
            let decisions = limiter.check_many(&[get("a"); 5], at(0)).await;
            let admitted = decisions.iter().filter(|decision| decision.is_admitted());
            admitted.count()
        } else {
            admitted(&limiter, &get("a"), 5).await
        };
        assert_eq!(admitted, 5, "it kept nothing on a disk");
        assert_eq!(limiter.store_statistics().outages, 0);
    }
}
