//! Gateways on one store: what operators see, a configuration that all follow, permits held ahead,
//! and several that are asked at once.

use super::TOKENS;
use crate::program::{Program, file};
use limiter_redis_servers::{Server, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nx-api-token: first";
const POST: &str = "POST / HTTP/1.1\r\nx-api-token: first";

/// A gateway on a store, with these flags more.
fn gateway(server: &Server, more: &[&str]) -> Program {
    // Of this test alone: another one would write it while a gateway reads.
    let key = file(&format!("store-{}.key", server.port()), "16 random bytes.");
    let url = server.url();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
        "--store-key",
        &key,
    ];
    Program::start(&[&flags[..], more].concat())
}

/// A configuration with one token's limit, and a daily limit.
fn config(limit: u32, daily: u32) -> String {
    format!(
        "window = '1h'\ndaily.limit = {daily}\nplans.only = {{ api_token = {limit}, \
         access_token = 9 }}\n{TOKENS}"
    )
}

fn remaining(answer: &str) -> Option<u32> {
    let rest = answer.split("x-ratelimit-remaining: ").nth(1)?;
    rest.split('\r').next()?.parse().ok()
}

#[cfg(unix)]
#[test]
fn gateways_follow_one_configuration_and_put_it_off_while_the_store_is_gone() {
    let Some(server) = Server::start() else {
        return;
    };
    let path = file("shared-config.toml", &config(10, 99));
    let mut gateways = [(); 2].map(|()| gateway(&server, &["--config", &path]));
    assert_eq!(remaining(&gateways[0].ask(GET)), Some(9));
    let changed = format!("gateway: {path}: policy changed");
    std::fs::write(&path, config(20, 99)).unwrap();
    for gateway in &mut gateways {
        gateway.signal("-HUP");
        // A look of the gateway's own may have been quicker than the signal.
        while gateway.log_line() != changed {}
    }
    // What was used stays used.
    assert_eq!(remaining(&gateways[1].ask(GET)), Some(18));

    server.freeze();
    assert!(gateways[0].ask(GET).starts_with("HTTP/1.1 503 "));
    let lost = "gateway: the store cannot be used: ";
    while !gateways[0].log_line().starts_with(lost) {}
    std::fs::write(&path, config(30, 99)).unwrap();
    gateways[0].signal("-HUP");
    let put_off = format!("gateway: {path}: read when the store is back");
    assert_eq!(gateways[0].log_line(), put_off);
    server.thaw();
    assert_eq!(gateways[0].log_line(), "gateway: the store is back");
    while gateways[0].log_line() != changed {}
    let left = remaining(&gateways[0].ask(GET)).unwrap();
    // What was asked when the store fell silent may have been counted.
    assert!((26..=27).contains(&left), "{left}");
}

#[test]
fn tells_operators_how_the_store_is_doing_and_what_is_not_known() {
    let Some(server) = Server::start() else {
        return;
    };
    let path = file("shared-admin.toml", &config(2, 99));
    let gateway = gateway(&server, &["--config", &path, "--admin", "0"]);
    for _ in 0..4 {
        gateway.ask(GET);
    }
    let status = gateway.status();
    assert_eq!(status["decisions"]["admitted"], 2);
    assert_eq!(status["decisions"]["window"], 2);
    assert_eq!(status["table"]["tokens"]["used"], 1);
    assert!(status["tokens"].is_null() && status["calendar"].is_null());
    let store = &status["store"];
    assert_eq!(store["available"], true);
    assert_eq!(store["on_failure"], "refuse");
    assert_eq!(
        (&store["round_trips"], &store["refused_here"]),
        (&2.into(), &2.into())
    );
    assert!(store["day_start_utc_s"].as_u64().unwrap() > 1_700_000_000);
    assert!(store["error"].is_null());
    let metrics = gateway.ask_admin("GET /metrics HTTP/1.1");
    for line in [
        "gateway_store_up 1",
        "gateway_store_round_trips_total 2",
        r#"gateway_store_decided_here_total{by="refused_here"} 2"#,
        r#"limiter_decisions_total{outcome="window"} 2"#,
        r#"limiter_table_occupied{table="tokens"} 1"#,
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}\n{metrics}");
    }

    drop(server);
    let status = wait_until("the store is known to be gone", || {
        gateway.ask(POST);
        let status = gateway.status();
        (status["store"]["available"] == false).then_some(status)
    });
    let store = &status["store"];
    assert_eq!(store["outages"], 1);
    let error = store["error"].as_str().unwrap();
    assert!(!error.contains("limiter:limiter"), "{error}");
    let metrics = gateway.ask_admin("GET /metrics HTTP/1.1");
    assert!(metrics.lines().any(|line| line == "gateway_store_up 0"));
}

#[cfg(unix)]
#[test]
fn what_a_gateway_held_ahead_is_the_others_when_it_ends_and_lost_when_it_is_killed() {
    let Some(server) = Server::start() else {
        return;
    };
    let path = file("shared-leases.toml", &config(300, 99));
    let flags = ["--config", &path, "--store-leases", "10", "--admin", "0"];
    let (mut ending, mut killed) = (gateway(&server, &flags), gateway(&server, &flags));
    for gateway in [&ending, &killed] {
        for _ in 0..3 {
            assert!(gateway.ask(GET).starts_with("HTTP/1.1 200 "));
        }
        // On a busy machine what is held may end before it is asked for, and goes back.
        let store = &gateway.status()["store"];
        let ahead = store["admitted_ahead"].as_u64().unwrap();
        assert!(
            ahead == 2 || store["leases_ended"].as_u64() > Some(0),
            "{store}"
        );
    }
    assert_eq!(ending.end(), Some(0));
    killed.child.kill().unwrap();
    // 300, but for 3 requests each, and the 7 that the killed one may have had ahead.
    let other = gateway(&server, &["--config", &path]);
    let left = remaining(&other.ask(GET)).unwrap();
    assert!(
        (300 - 3 - 10 - 1..=300 - 3 - 3 - 1).contains(&left),
        "{left}"
    );
}

#[test]
fn gateways_that_are_asked_all_at_once_admit_no_more_than_the_limits() {
    let Some(server) = Server::start() else {
        return;
    };
    let two = TOKENS.replace("first", "second");
    let text = format!("{}{two}", config(150, 200));
    let path = file("shared-hammered.toml", &text);
    let gateways = [(); 3].map(|()| gateway(&server, &["--config", &path]));
    let callers = (0..6).map(|caller| {
        let address = gateways[caller % 3].address().to_owned();
        std::thread::spawn(move || {
            let token = ["first", "second"][caller % 2];
            let lines = format!("POST / HTTP/1.1\r\nx-api-token: {token}");
            let asked = (0..80).map(|_| crate::program::ask(&address, &lines));
            asked
                .filter(|answer| answer.starts_with("HTTP/1.1 200 "))
                .count()
        })
    });
    let callers: Vec<_> = callers.collect();
    let counts: Vec<usize> = callers
        .into_iter()
        .map(|caller| caller.join().unwrap())
        .collect();
    // 240 ask for each token, which has 150; both tokens' user has 200.
    let of = |token: usize| counts.iter().skip(token).step_by(2).sum::<usize>();
    assert!(of(0) <= 150 && of(1) <= 150, "{counts:?}");
    assert_eq!(of(0) + of(1), 200, "{counts:?}");
}
