//! The limiter on a cluster of three masters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use limiter_core::{Kind, Plan, Reason, Registration};
use limiter_host::RedisLimiter;
use limiter_redis_servers::{Cluster, Options, Server};

use crate::instances::{admitted, at, get, key, limiter, patient, policy, post, token, token_key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_user_share_a_day_and_a_slot_wherever_that_is() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let limiter = limiter(policy(10, 15), patient(&cluster.url())).await;
    assert_eq!(admitted(&limiter, &post("a"), 20).await, 10);
    assert_eq!(admitted(&limiter, &post("b"), 20).await, 5);
    assert_eq!(admitted(&limiter, &post("other"), 20).await, 10);
    for i in 0..60 {
        let name = format!("token {i}");
        let user = key().user(name.as_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        let registered = limiter.register(token(&name), registration).await;
        registered.expect("there is room");
        assert_eq!(admitted(&limiter, &get(&name), 12).await, 10, "{name}");
    }
    for node in cluster.nodes() {
        let keys: usize = redis::cmd("DBSIZE")
            .query(&mut node.admin())
            .expect("a number");
        assert!(keys >= 20, "every node has its part: {keys}");
    }
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_under_load_loses_no_count() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let limiter = limiter(policy(100_000, 100_000), patient(&cluster.url())).await;
    let mut admin = cluster.nodes()[0].admin();
    let tag = format!("{{{:016x}}}", key().user(b"u").as_u64());
    let slot: u16 = redis::cmd("CLUSTER")
        .arg("KEYSLOT")
        .arg(&tag)
        .query(&mut admin)
        .expect("a slot");
    let done = Arc::new(AtomicBool::new(false));
    let asker = tokio::spawn({
        let (limiter, done) = (limiter.clone(), Arc::clone(&done));
        async move {
            let (mut admitted, mut failed) = (0_u32, 0_u32);
            while !done.load(Ordering::Relaxed) {
                let decision = limiter.check(&post("a"), at(0)).await;
                match decision.reason() {
                    None => admitted += 1,
                    Some(Reason::StoreFailed) => failed += 1,
                    Some(reason) => panic!("{reason}"),
                }
            }
            (admitted, failed)
        }
    });
    for _ in 0..2 {
        cluster.move_slot(slot);
    }
    done.store(true, Ordering::Relaxed);
    let (admitted, failed) = asker.await.expect("it does not panic");
    assert!(admitted > 0);
    // The nodes and the client take a moment to agree on where the slot is at last.
    let runtime = tokio::runtime::Handle::current();
    let quota = tokio::task::block_in_place(|| {
        limiter_redis_servers::wait_until("the slot has settled", || {
            runtime.block_on(limiter.peek(&post("a"), at(0))).quota()
        })
    });
    let used = 100_000 - (quota.remaining + 1);
    assert!(
        (admitted..=admitted + failed).contains(&used),
        "{admitted}, {failed}: {used}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_falls_silent_takes_its_own_users_along_and_nobody_else() {
    // By default a cluster that misses a node refuses everybody.
    let options = Options::default().with("cluster-require-full-coverage", "no");
    let Some(cluster) = Cluster::start_with(&options) else {
        return;
    };
    let config = patient(&cluster.url()).response_timeout(Duration::from_millis(500));
    let limiter = limiter(policy(10, 99), config).await;
    assert_eq!(admitted(&limiter, &get("a"), 3).await, 3);
    let owner = cluster.nodes().iter().find(|node| {
        let keys: usize = redis::cmd("EXISTS")
            .arg(token_key("u", "a"))
            .query(&mut node.admin())
            .unwrap_or(0);
        keys == 1
    });
    let owner = owner.expect("a node has its record");
    // A user whose slot is elsewhere.
    let elsewhere = (0..).map(|i| format!("user {i}")).find(|name| {
        let probe = format!("{{{:016x}}}", key().user(name.as_bytes()).as_u64());
        redis::cmd("EXISTS")
            .arg(probe)
            .query::<usize>(&mut owner.admin())
            .is_err()
    });
    let elsewhere = elsewhere.expect("two in three are");
    let user = key().user(elsewhere.as_bytes());
    let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
    let registered = limiter.register(token("there"), registration).await;
    registered.expect("there is room");
    assert_eq!(admitted(&limiter, &get("there"), 1).await, 1);

    owner.freeze();
    for _ in 0..5 {
        let decision = limiter.check(&get("a"), at(0)).await;
        assert_eq!(decision.reason(), Some(Reason::StoreFailed));
        assert!(limiter.check(&get("there"), at(0)).await.is_admitted());
    }
    assert_eq!(limiter.store_statistics().outages, 1);
    owner.thaw();
    limiter_redis_servers::wait_until("the node is back", || {
        limiter.store_statistics().available.then_some(())
    });
    let rest = admitted(&limiter, &get("a"), 9).await;
    assert!((1..=7).contains(&rest), "{rest}");
}

/// A cluster of three nodes, and a limiter on it with many users.
struct Crowd {
    cluster: Cluster,
    limiter: RedisLimiter,
    names: Vec<String>,
}

impl Crowd {
    async fn start(options: &Options, users: usize) -> Option<Self> {
        let cluster = Cluster::start_with(options)?;
        let config = patient(&cluster.url())
            .connect_timeout(Duration::from_millis(500))
            .response_timeout(Duration::from_millis(500));
        let limiter = limiter(policy(1_000_000, 9), config).await;
        let names: Vec<String> = (0..users).map(|i| format!("token {i}")).collect();
        for name in &names {
            let user = key().user(name.as_bytes());
            let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
            let registered = limiter.register(token(name), registration).await;
            registered.expect("there is room");
        }
        Some(Self {
            cluster,
            limiter,
            names,
        })
    }

    /// The number of users whose slots are on a node.
    fn of_node(&self, node: &Server) -> usize {
        let is_there = |name: &&String| {
            let slot = format!("{{{:016x}}}", key().user(name.as_bytes()).as_u64());
            let mut ask = redis::cmd("EXISTS");
            ask.arg(slot).query::<usize>(&mut node.admin()).is_ok()
        };
        self.names.iter().filter(is_there).count()
    }

    /// The number of users who are admitted when all ask once at the same time.
    async fn admitted(&self) -> usize {
        let asked = self.names.iter().map(|name| async {
            let decision = self.limiter.check(&get(name), at(0)).await;
            usize::from(decision.is_admitted())
        });
        futures_util::future::join_all(asked)
            .await
            .into_iter()
            .sum()
    }

    /// Waits until this number is admitted three times in a row.
    fn wait_until_admitted(&self, wanted: usize) {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            limiter_redis_servers::wait_until("the other nodes' users are back", || {
                let admitted = [(); 3].map(|()| runtime.block_on(self.admitted()));
                (admitted == [wanted; 3]).then_some(())
            });
        });
        // Soon it is known that no slot of the node can be used, also those that no request named.
        let statistics = limiter_redis_servers::wait_until("the node is known to fail", || {
            let statistics = self.limiter.store_statistics();
            let third = (300..400).contains(&statistics.unavailable_per_mille);
            third.then_some(statistics)
        });
        assert_eq!((statistics.outages, statistics.available), (1, false));
    }
}

/// Kills a node of a cluster that then refuses all users, and lets the other nodes continue after
/// each user has been refused.
async fn one_node_of_three_dies(users: usize) {
    let Some(mut crowd) = Crowd::start(&Options::default(), users).await else {
        return;
    };
    let dead = crowd.cluster.take_node();
    let on_dead = crowd.of_node(&dead);
    assert!((users / 4..users / 2).contains(&on_dead), "{on_dead}");
    drop(dead);
    for node in crowd.cluster.nodes() {
        limiter_redis_servers::wait_until("the cluster is down", || {
            let info = node.command(&["CLUSTER", "INFO"]);
            let info = format!("{info:?}");
            info.contains("cluster_state:fail").then_some(())
        });
    }
    assert_eq!(crowd.admitted().await, 0);
    for node in crowd.cluster.nodes() {
        node.command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    crowd.wait_until_admitted(users - on_dead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_users_of_nodes_that_work_come_back_while_another_node_stays_dead() {
    one_node_of_three_dies(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_which_no_node_answers_is_unavailable_as_a_whole() {
    let Some(mut crowd) = Crowd::start(&Options::default(), 3).await else {
        return;
    };
    assert_eq!(crowd.admitted().await, 3);
    while !crowd.cluster.nodes().is_empty() {
        drop(crowd.cluster.take_node());
    }
    assert_eq!(crowd.admitted().await, 0);
    limiter_redis_servers::wait_until("it is known to be gone", || {
        let statistics = crowd.limiter.store_statistics();
        (statistics.unavailable_per_mille == 1_000).then_some(())
    });
    let unasked = crowd.limiter.check(&get("other"), at(0)).await;
    assert_eq!(unasked.reason(), Some(Reason::StoreFailed));
    assert_eq!(crowd.limiter.store_statistics().outages, 1);
}

mod attack {
    use super::{Crowd, Options};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "an attack: minutes"]
    async fn of_1500_users_those_of_nodes_that_work_come_back_while_another_node_stays_dead() {
        super::one_node_of_three_dies(1_500).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "an attack: minutes"]
    async fn of_1500_users_those_of_nodes_that_work_are_served_while_another_node_is_silent() {
        let options = Options::default().with("cluster-require-full-coverage", "no");
        let Some(crowd) = Crowd::start(&options, 1_500).await else {
            return;
        };
        let [silent, ..] = crowd.cluster.nodes() else {
            unreachable!("there are three")
        };
        let of_silent = crowd.of_node(silent);
        assert_eq!(crowd.admitted().await, 1_500);
        silent.freeze();
        crowd.wait_until_admitted(1_500 - of_silent);
        silent.thaw();
        limiter_redis_servers::wait_until("all are back", || {
            crowd.limiter.store_statistics().available.then_some(())
        });
        assert_eq!(crowd.admitted().await, 1_500);
    }
}
