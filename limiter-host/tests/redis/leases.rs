//! Permits held ahead of need when the store loses its counts, and when no request uses them.

use std::num::NonZeroU32;
use std::time::Duration;

use limiter_host::RedisLimiter;
use limiter_host::redis::RedisConfig;
use limiter_redis_servers::{Options, Server, wait_until};

use crate::instances::{admitted, at, get, limiter, patient, policy, post};

const LIMIT: u32 = 3_000;

fn leasing(server: &Server, permits: u32) -> RedisConfig {
    let permits = NonZeroU32::new(permits).expect("not 0");
    patient(&server.url())
        .refusal_cache(Duration::ZERO)
        .lease(permits)
}

/// The number of requests that two instances admit, the one that held permits asked last.
async fn admitted_by_both(holder: &RedisLimiter, other: &RedisLimiter) -> usize {
    let by_other = admitted(other, &post("a"), 3_300).await;
    by_other + admitted(holder, &post("a"), 400).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_held_ahead_create_none_when_the_store_is_emptied() {
    let Some(server) = Server::start() else {
        return;
    };
    for permits in [300, 1] {
        let holder = limiter(policy(LIMIT, LIMIT), leasing(&server, 300)).await;
        assert_eq!(admitted(&holder, &post("a"), 1).await, 1);
        server.command(&["FLUSHALL"]);
        // Another instance that was there before, also one that holds nothing ahead, comes first.
        let other = limiter(policy(LIMIT, LIMIT), leasing(&server, permits)).await;
        assert_eq!(admitted_by_both(&holder, &other).await, 3_000);
        let statistics = holder.store_statistics();
        assert_eq!((statistics.outages, statistics.emptied), (0, 1));
        server.command(&["FLUSHALL"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_held_ahead_create_none_when_the_store_restarts_empty() {
    let Some(server) = Server::start() else {
        return;
    };
    let holder = limiter(policy(LIMIT, LIMIT), leasing(&server, 300)).await;
    assert_eq!(admitted(&holder, &post("a"), 1).await, 1);
    let options = Options {
        port: Some(server.port()),
        ..Options::default()
    };
    drop(server);
    let server = Server::start_with(&options).expect("it was there");
    let other = limiter(policy(LIMIT, LIMIT), leasing(&server, 300)).await;
    assert_eq!(admitted_by_both(&holder, &other).await, 3_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_held_ahead_create_none_when_a_replica_that_lags_takes_over() {
    let Some(server) = Server::start() else {
        return;
    };
    let holder = limiter(policy(LIMIT, LIMIT), leasing(&server, 300)).await;
    let mut ask = redis::cmd("GET");
    let calendar: Vec<u8> = ask.arg("limiter:3:c").query(&mut server.admin()).unwrap();
    assert_eq!(admitted(&holder, &post("a"), 1).await, 1);
    let options = Options {
        port: Some(server.port()),
        ..Options::default()
    };
    drop(server);
    // In the place of the replica: it has the calendar, and nothing of what was charged last.
    let server = Server::start_with(&options).expect("it was there");
    let mut set = redis::cmd("SET");
    set.arg("limiter:3:c").arg(calendar);
    set.exec(&mut server.admin()).unwrap();
    let other = limiter(policy(LIMIT, LIMIT), leasing(&server, 300)).await;
    assert_eq!(admitted_by_both(&holder, &other).await, 3_000);
}

#[test]
fn what_was_held_when_the_store_was_emptied_is_not_given_back_to_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    // One whose process stands still meanwhile: nothing of it runs unless it is asked.
    let (still, running) = (runtime(), runtime());
    for closes in [true, false] {
        let holder = still.block_on(limiter(policy(LIMIT, LIMIT), leasing(&server, 300)));
        assert_eq!(still.block_on(admitted(&holder, &post("a"), 1)), 1);
        server.command(&["FLUSHALL"]);
        // It is the same day, and so its number is the same.
        let other = running.block_on(limiter(policy(LIMIT, LIMIT), leasing(&server, 1)));
        assert_eq!(running.block_on(admitted(&other, &post("b"), 500)), 500);
        let asked = if closes {
            still.block_on(holder.close());
            0
        } else {
            still.block_on(admitted(&holder, &post("a"), 1))
        };
        drop(holder);
        let decision = running.block_on(other.peek(&post("b"), at(0)));
        let left = decision.quota().and_then(|quota| quota.daily_left);
        // A tenth of what the day has left by then.
        let ahead = 249 * u32::from(!closes);
        assert_eq!(
            left,
            Some(LIMIT - 501 - u32::try_from(asked).unwrap() - ahead)
        );
        server.command(&["FLUSHALL"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_of_a_day_is_held_ahead_than_its_window_can_use() {
    let Some(server) = Server::start() else {
        return;
    };
    let holder = limiter(policy(20, LIMIT), leasing(&server, 300)).await;
    assert_eq!(admitted(&holder, &post("a"), 1).await, 1);
    // 1 for the request, and ahead a tenth of the 19 that its window has left.
    let other = limiter(policy(20, LIMIT), leasing(&server, 1)).await;
    let decision = other.check(&post("b"), at(0)).await;
    let left = decision.quota().and_then(|quota| quota.daily_left);
    assert!(left >= Some(LIMIT - 3), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_held_ahead_that_no_request_uses_return_to_the_store() {
    let Some(server) = Server::start() else {
        return;
    };
    let holder = limiter(policy(1_000, 1_000), leasing(&server, 100)).await;
    assert_eq!(admitted(&holder, &post("a"), 1).await, 1);
    assert_eq!(admitted(&holder, &get("other"), 1).await, 1);
    let other = limiter(policy(1_000, 1_000), leasing(&server, 1)).await;
    let runtime = tokio::runtime::Handle::current();
    let left = |request: limiter_core::Request| {
        let decision = runtime.block_on(other.peek(&request, at(0)));
        let quota = decision.quota().expect("it is admitted");
        (quota.remaining, quota.daily_left)
    };
    tokio::task::block_in_place(|| {
        wait_until("both are back", || {
            let all = left(post("a")) == (998, Some(998)) && left(get("other")).0 == 998;
            all.then_some(())
        });
    });
    let statistics = holder.store_statistics();
    assert_eq!((statistics.leases_ended, statistics.lost_permits), (2, 0));
    // They are held no more: the next request asks the store.
    let trips = statistics.round_trips;
    assert_eq!(admitted(&holder, &post("a"), 1).await, 1);
    assert_eq!(holder.store_statistics().round_trips, trips + 1);
}
