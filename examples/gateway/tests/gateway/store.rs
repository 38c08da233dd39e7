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
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let key = file("open.key", "16 random bytes.");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    let flags = ["--store", "redis://127.0.0.1", "--store-key", &key];
    let output = command(&flags).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains(&format!("chmod o-rwx {key}")), "{stderr}");
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

#[test]
fn a_stores_password_may_be_in_a_file_and_its_address_in_the_environment() {
    let Some(server) = Server::start() else {
        return;
    };
    let key = file("password.key", "16 random bytes.");
    let tokens = file("password-tokens.toml", TOKENS);
    let policy = file("password-policy.toml", POLICY);
    let url = server.url().replace("limiter:limiter@", "limiter@");
    let flags = ["--listen", "127.0.0.1:0", "--store-key", &key];
    for (password, wanted) in [("limiter\n", "HTTP/1.1 200 "), ("another", "HTTP/1.1 503 ")] {
        let password = file("store-password", password);
        let of_store = ["--store-password-file", &password, "--policy", &policy];
        let mut gateway = command(&[&flags[..], &of_store, &["--tokens", &tokens]].concat());
        gateway.env("GATEWAY_STORE", &url);
        let gateway = Program::spawn(gateway);
        let answer = gateway.ask("GET / HTTP/1.1\r\nx-api-token: first");
        assert!(answer.starts_with(wanted), "{answer}");
    }
    for (password, wanted) in [("", "one line"), ("a\nb", "one line")] {
        let password = file("bad-password", password);
        let output = command(&[&flags[..], &["--store-password-file", &password]].concat())
            .env("GATEWAY_STORE", &url)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(wanted), "{stderr}");
    }
    // The help names the variable, and never what is in it.
    let help = command(&["--help"])
        .env("GATEWAY_STORE", "redis://secret")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("GATEWAY_STORE") && !help.contains("secret"));
}

#[cfg(unix)]
#[test]
fn a_store_that_may_lose_counts_is_warned_of_in_log_status_and_metrics() {
    let Some(server) = Server::start() else {
        return;
    };
    let key = file("warned.key", "16 random bytes.");
    let url = server.url();
    let mut gateway = Program::start(&[
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
        "--store-key",
        &key,
        "--admin",
        "0",
    ]);
    let wanted = "the store writes no log, so a restart forgets counts; set appendonly yes";
    while gateway.log_line() != format!("gateway: warning: {wanted}") {}
    assert_eq!(gateway.status()["store"]["warnings"][0], wanted);
    let metrics = gateway.ask_admin("GET /metrics HTTP/1.1");
    for line in [
        r#"gateway_store_warning{what="not_persistent"} 1"#,
        r#"gateway_store_warning{what="evicts"} 0"#,
        "gateway_store_unavailable_ratio 0",
        "gateway_store_unreadable_total 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}\n{metrics}");
    }
}
