//! Gateways that share limits through a store, asked by a client over TCP.

mod shared;
mod tls;

use crate::program::{Program, command, file};
use limiter_redis_servers::Server;

const POLICY: &str = "window = '1h'\nplans.only = { api_token = 7, access_token = 9 }\n";
const TOKENS: &str = "[[tokens]]\ntoken = 'first'\nuser = 'u'\nplan = 'only'\n";

#[test]
fn two_gateways_behind_one_store_share_limits_and_refuse_while_it_is_gone() {
    let Some(server) = Server::start() else {
        return;
    };
    let (policy, tokens) = (
        file("store-policy.toml", POLICY),
        file("store-tokens.toml", TOKENS),
    );
    let key = file("store.key", "16 random bytes.");
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--policy",
        &policy,
        "--tokens",
        &tokens,
        "--store-key",
        &key,
        "--store",
        &server.url(),
    ];
    let gateways = [Program::start(&flags), Program::start(&flags)];
    let ask = |i: usize| gateways[i % 2].ask("GET /v1/deals HTTP/1.1\r\nx-api-token: first");
    for i in 0..7 {
        let answer = ask(i);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{i}: {answer}");
        let left = format!("x-ratelimit-remaining: {}\r\n", 6 - i);
        assert!(answer.contains(&left), "{i}: {answer}");
    }
    for i in 7..11 {
        assert!(ask(i).starts_with("HTTP/1.1 429 "), "{i}");
    }
    drop(server);
    let other = gateways[0].ask("GET /v1/deals HTTP/1.1\r\nx-api-token: unknown");
    assert!(other.starts_with("HTTP/1.1 401 "), "{other}");
}

#[test]
fn a_store_that_cannot_be_is_told_without_its_address() {
    let key = file("short.key", "short");
    let long = file("long.key", "16 random bytes.");
    for (url, key, wanted) in [
        (
            "http://secret",
            &long,
            "--store: the store's address must begin",
        ),
        ("redis://secret", &key, "a key has exactly 16 bytes"),
    ] {
        let output = command(&["--store", url, "--store-key", key])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr.contains(wanted) && !stderr.contains("secret"),
            "{stderr}"
        );
    }
}
