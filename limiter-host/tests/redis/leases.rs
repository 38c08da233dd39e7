//! Permits held ahead of need when the store loses its counts, and when no request uses them.

use std::num::NonZeroU32;
use std::time::Duration;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A way to a server on which an answer can get lost.
struct Lossy {
    port: u16,
    /// Set to lose the next answer, and the connection with it.
    loses: Arc<AtomicBool>,
}

impl Lossy {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let loses = Arc::new(AtomicBool::new(false));
        let (to, flag) = (server.port(), Arc::clone(&loses));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else {
                    return;
                };
                let (up, down) = (server.try_clone(), client.try_clone());
                let (up, down) = (up.expect("a socket"), down.expect("a socket"));
                std::thread::spawn(move || carry(client, up, &AtomicBool::new(false)));
                let flag = Arc::clone(&flag);
                std::thread::spawn(move || carry(server, down, &flag));
            }
        });
        Self { port, loses }
    }
}

/// Carries bytes until an end is closed or something has to be lost.
fn carry(mut from: TcpStream, mut to: TcpStream, loses: &AtomicBool) {
    let mut bytes = [0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if loses.swap(false, Ordering::SeqCst) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn permits_that_return_with_a_request_that_is_sent_twice_return_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let lossy = Lossy::to(&server);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    // The holder's own task does not run meanwhile, so its permits end and do not return before.
    let (still, running) = (runtime(), runtime());
    let port = lossy.port;
    let config = RedisConfig::from_url(&format!("redis://limiter:limiter@127.0.0.1:{port}"));
    let config = config
        .expect("an address")
        .refusal_cache(Duration::ZERO)
        .connect_timeout(crate::subject::PATIENCE)
        .response_timeout(crate::subject::PATIENCE)
        .lease(NonZeroU32::new(100).expect("not 0"));
    let holder = still.block_on(limiter(policy(100, LIMIT), config));
    let other = running.block_on(limiter(policy(100, LIMIT), leasing(&server, 1)));
    assert_eq!(still.block_on(admitted(&holder, &get("a"), 1)), 1);
    assert_eq!(running.block_on(admitted(&other, &get("a"), 85)), 85);
    // An instance that holds permits ahead takes 300 ms to connect: longer than a lease.
    drop(running.block_on(limiter(policy(100, LIMIT), leasing(&server, 2))));
    lossy.loses.store(true, Ordering::SeqCst);
    assert_eq!(still.block_on(admitted(&holder, &get("a"), 1)), 1);
    assert_eq!(holder.store_statistics().outages, 0);
    assert!(!lossy.loses.load(Ordering::SeqCst), "an answer was lost");
    still.block_on(holder.close());
    let rest = running.block_on(admitted(&other, &get("a"), 50));
    // The request was charged twice, and what was held is back.
    assert!((10..=13).contains(&rest), "{rest}");
}
