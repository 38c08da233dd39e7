//! Several instances on one store: what they admit together, permits held ahead, refusals that need
//! no round trip, and what the store sees.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use limiter_core::{Decision, Instant, Kind, Limiter, Now, Plan, Policy, Reason, Registration};
use limiter_redis_servers::Server;
use limiter_suite::Seen;

use crate::instances::{admitted, at, costing, get, key, limiter, patient, policy, post, token};

fn lease(permits: u32) -> NonZeroU32 {
    NonZeroU32::new(permits).expect("not 0")
}

/// One request of a history: when it was asked and answered, in the order of all such moments.
struct Asked {
    name: &'static str,
    begun: u64,
    ended: u64,
    decision: Decision,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_of_many_askers_is_one_that_a_single_limiter_could_have_had() {
    let Some(server) = Server::start() else {
        return;
    };
    static MOMENT: AtomicU64 = AtomicU64::new(0);
    let moment = || MOMENT.fetch_add(1, Ordering::SeqCst);
    let policy = policy(1_000, 100);
    let mut tasks = Vec::new();
    for name in ["a", "b", "a", "b", "a", "b"] {
        let limiter = limiter(policy, patient(&server.url())).await;
        tasks.push(tokio::spawn(async move {
            let mut history = Vec::new();
            for _ in 0..30 {
                let begun = moment();
                let decision = limiter.check(&post(name), at(0)).await;
                let ended = moment();
                history.push(Asked {
                    name,
                    begun,
                    ended,
                    decision,
                });
            }
            history
        }));
    }
    let mut history = Vec::new();
    for task in tasks {
        history.extend(task.await.expect("it does not panic"));
    }
    let left = |asked: &Asked| asked.decision.quota().and_then(|quota| quota.daily_left);
    let is_admitted = |asked: &Asked| asked.decision.is_admitted();
    // Each admission leaves the day a permit less: that is their order.
    let in_order: BTreeMap<u32, &Asked> = history
        .iter()
        .filter(|asked| is_admitted(asked))
        .map(|asked| (99 - left(asked).expect("a write"), asked))
        .collect();
    assert!(
        in_order.keys().copied().eq(0..100),
        "no permit twice, and none left out"
    );
    let mut single = Limiter::<4, 4>::new(policy);
    let user = Registration::new(key().user(b"u"), Kind::ApiToken, Plan::new(0));
    for name in ["a", "b"] {
        single
            .register(token(name), user, at(0))
            .expect("there is room");
    }
    let mut latest_begun = 0;
    for asked in in_order.values() {
        assert!(
            asked.ended > latest_begun,
            "answered before an earlier one was asked"
        );
        latest_begun = latest_begun.max(asked.begun);
        let wanted = Seen::from(&single.check(&post(asked.name), at(0)));
        let given = Seen::from(&asked.decision);
        let of = |seen: Seen| (seen.word, seen.limit, seen.remaining, seen.daily_left);
        assert_eq!(of(given), of(wanted));
    }
    for refused in history.iter().filter(|asked| !is_admitted(asked)) {
        assert_eq!(refused.decision.reason(), Some(Reason::Daily));
        assert!(
            refused.ended > latest_begun,
            "refused while a permit was left"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_hold_permits_ahead_never_admit_more_than_the_limits_together() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut tasks = Vec::new();
    for name in ["a", "b", "a"] {
        let config = patient(&server.url()).lease(lease(10));
        let limiter = limiter(policy(1_000, 500), config).await;
        tasks.push(tokio::spawn(async move {
            let count = admitted(&limiter, &post(name), 300).await;
            limiter.close().await;
            (count, limiter)
        }));
    }
    let mut sum = 0;
    let mut limiters = Vec::new();
    for task in tasks {
        let (count, limiter) = task.await.expect("it does not panic");
        sum += count;
        limiters.push(limiter);
    }
    assert!(sum <= 500, "{sum}");
    // What was held is back: all of the day can be spent.
    let fresh = limiter(policy(1_000, 500), patient(&server.url())).await;
    assert_eq!(sum + admitted(&fresh, &post("b"), 500).await, 500);
    assert_eq!(limiters[0].store_statistics().lost_permits, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_held_ahead_save_round_trips_and_report_as_without() {
    let Some(server) = Server::start() else {
        return;
    };
    for (permits, most) in [(1, 1_000), (10, 101), (100, 11)] {
        let config = patient(&server.url())
            .lease(lease(permits))
            .key_prefix(&format!("limiter:{permits}"));
        let limiter = limiter(policy(100_000, 50_000), config).await;
        for i in 0..1_000 {
            let decision = limiter.check(&post("a"), at(0)).await;
            let quota = decision.quota().expect("an admission");
            let wanted = (99_999 - i, Some(49_999 - i));
            assert_eq!((quota.remaining, quota.daily_left), wanted);
        }
        // On a busy machine what is held may end before it is asked for, and then goes back.
        let statistics = limiter.store_statistics();
        let trips = statistics.round_trips - 3 * statistics.leases_ended;
        assert!(trips <= most, "{permits}: {statistics:?}");
        assert!(statistics.round_trips + statistics.admitted_ahead >= 1_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_takes_no_more_than_its_lease_along() {
    let Some(server) = Server::start() else {
        return;
    };
    let dying = limiter(
        policy(1_000, 1_000),
        patient(&server.url()).lease(lease(20)),
    )
    .await;
    assert_eq!(admitted(&dying, &post("a"), 25).await, 25);
    drop(dying);
    let other = limiter(policy(1_000, 1_000), patient(&server.url())).await;
    let rest = admitted(&other, &post("a"), 1_000).await;
    assert!((1_000 - 25 - 20..=1_000 - 25).contains(&rest), "{rest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_takes_at_most_a_tenth_of_what_is_left() {
    let Some(server) = Server::start() else {
        return;
    };
    let greedy = limiter(policy(40, 40), patient(&server.url()).lease(lease(100))).await;
    assert_eq!(admitted(&greedy, &post("a"), 1).await, 1);
    let other = limiter(policy(40, 40), patient(&server.url())).await;
    // What is held may have ended by now, and gone back.
    let rest = admitted(&other, &post("a"), 40).await;
    assert!((40 - 1 - 3..=40 - 1).contains(&rest), "{rest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_exhausted_or_blocked_costs_no_round_trip() {
    let Some(server) = Server::start() else {
        return;
    };
    let policy = Policy::builder()
        .window(Duration::from_secs(86_400))
        .plan(Plan::new(0), 5, 5)
        .block(100, Duration::from_secs(3_600), Duration::from_secs(3_600))
        .build()
        .expect("a policy");
    let limiter = limiter(policy, patient(&server.url())).await;
    assert_eq!(admitted(&limiter, &get("a"), 5).await, 5);
    // The first 99 offences are counted here; the store hears of all of them with the 100th.
    for _ in 0..100 {
        let decision = limiter.check(&get("a"), at(0)).await;
        assert_eq!(decision.reason(), Some(Reason::Window));
    }
    assert_eq!(limiter.store_statistics().round_trips, 6);
    for _ in 0..1_000 {
        let decision = limiter.check(&get("a"), at(0)).await;
        assert_eq!(decision.reason(), Some(Reason::Blocked));
    }
    let statistics = limiter.store_statistics();
    assert_eq!(
        (statistics.round_trips, statistics.refused_here),
        (6, 1_099)
    );
    // Another instance knows of the block.
    let other = self::limiter(policy, patient(&server.url())).await;
    let decision = other.check(&get("a"), at(0)).await;
    assert_eq!(decision.reason(), Some(Reason::Blocked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_believed_no_longer_than_configured() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = patient(&server.url()).refusal_cache(Duration::from_millis(100));
    let limiter = limiter(policy(1, 9), config).await;
    assert_eq!(admitted(&limiter, &get("a"), 2).await, 1);
    assert_eq!(limiter.store_statistics().round_trips, 1);
    for (moment, trips) in [(99, 1), (100, 2), (199, 2), (200, 3)] {
        let decision = limiter.check(&get("a"), at(moment)).await;
        assert_eq!(decision.reason(), Some(Reason::Window));
        assert_eq!(limiter.store_statistics().round_trips, trips, "at {moment}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_are_decided_in_their_order() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(1_000, 9_999), patient(&server.url())).await;
    let requests: Vec<_> = (0..1_200).map(|i| [get("a"), post("b")][i % 2]).collect();
    let decisions = limiter.check_many(&requests, at(0)).await;
    for (i, decision) in decisions.iter().enumerate() {
        let quota = decision.quota().expect("an admission");
        assert_eq!(quota.remaining as usize, 999 - i / 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_clock_decides_however_the_instances_are_set() {
    let Some(server) = Server::start() else {
        return;
    };
    let config = || patient(&server.url()).refusal_cache(Duration::ZERO);
    let (early, late) = (
        limiter(policy(10, 99), config()).await,
        limiter(policy(10, 99), config()).await,
    );
    let wrong = [
        (&early, Now::new(Instant::ZERO, None)),
        (&late, at(5_000_000_000_000)),
    ];
    let mut count = 0;
    for (limiter, now) in wrong.into_iter().cycle().take(30) {
        count += u32::from(limiter.check(&get("a"), now).await.is_admitted());
    }
    assert_eq!(count, 10);
    let (day, _) = early.accounting_day().await.expect("the store is there");
    assert!(
        day.is_some_and(|day| day > 20_000),
        "{day:?}: the server knows the date"
    );
}

#[test]
fn the_user_that_the_readme_has_for_the_store_is_the_one_that_is_tested() {
    let line = format!(
        "user limiter on >PASSWORD {}\n",
        limiter_redis_servers::LIMITER_ACL
    );
    for page in [
        include_str!("../../../README.md"),
        include_str!("../../../docs/redis.md"),
    ] {
        assert!(page.contains(&line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_is_made_of_ids_alone_and_ends_by_itself() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(Policy::pipedrive(), patient(&server.url())).await;
    assert_eq!(admitted(&limiter, &post("a"), 3).await, 3);
    let mut admin = server.admin();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut admin).expect("keys");
    assert!(keys.len() >= 3, "{keys:?}");
    let user = key().user(b"u").as_u64();
    for name in keys {
        assert!(
            name == "limiter:3:c"
                || name == "limiter:3:{0000000000000000}:p"
                || name.starts_with(&format!("limiter:3:{{{user:016x}}}:")),
            "{name}"
        );
        let ttl: i64 = redis::cmd("PTTL")
            .arg(&name)
            .query(&mut admin)
            .expect("a ttl");
        assert!(ttl > 0 || ttl == -2, "{name}: {ttl}");
        if name.contains(":t:") {
            assert!(ttl <= 5_000, "a window of 2 s is kept for {ttl} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_goes_back_to_the_store_and_is_seen_at_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(policy(5, 5), patient(&server.url())).await;
    let all = limiter.check(&costing(post("a"), 5), at(0)).await;
    assert_eq!(admitted(&limiter, &post("a"), 3).await, 0);
    let receipt = all.into_receipt().expect("an admission");
    let refunded = limiter
        .refund(receipt, at(0))
        .await
        .expect("the store is there");
    assert_eq!((refunded.window, refunded.daily), (5, 5));
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lives_longer_once_a_later_policy_needs_it_longer() {
    let Some(server) = Server::start() else {
        return;
    };
    let limiter = limiter(Policy::pipedrive(), patient(&server.url())).await;
    assert_eq!(admitted(&limiter, &post("a"), 1).await, 1);
    let mut admin = server.admin();
    let names: Vec<String> = redis::cmd("KEYS").arg("*:t:*").query(&mut admin).unwrap();
    let [name] = &names[..] else {
        panic!("{names:?}");
    };
    // In place of a second write that comes later: the key is younger than what is in it.
    let mut expire = redis::cmd("PEXPIRE");
    expire.arg(name).arg(60_000).exec(&mut admin).unwrap();
    let mut ttl = || -> i64 { redis::cmd("PTTL").arg(name).query(&mut admin).unwrap() };
    assert_eq!(admitted(&limiter, &post("a"), 1).await, 1);
    let left = ttl();
    assert!(
        left > 50_000,
        "a write that needs no other end moved it to {left} ms"
    );
    let policy = policy(40, 10_000);
    limiter
        .set_policy(policy)
        .await
        .expect("nobody has another plan");
    assert_eq!(admitted(&limiter, &post("a"), 1).await, 1);
    let left = ttl();
    assert!(left > 86_400_000, "a window of a day is kept for {left} ms");
}
