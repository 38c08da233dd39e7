//! A store over TLS.

use super::{POLICY, TOKENS};
use crate::program::{Program, command, file};
use limiter_redis_servers::{Authority, Identity, Options, Server};

#[test]
fn asks_a_store_over_tls_and_says_in_a_line_why_one_is_not_trusted() {
    let authority = Authority::new();
    let Some(server) = Server::start_with(&Options::default().with_tls(&authority, true)) else {
        return;
    };
    let Identity { certificate, key } = authority.certify("gateway");
    let files = [
        ("--store-key", file("tls-store.key", "16 random bytes.")),
        ("--store-ca", file("tls-store-ca.pem", &authority.pem())),
        (
            "--store-client-cert",
            file("tls-store-client.pem", &certificate),
        ),
        ("--store-client-key", file("tls-store-client.key", &key)),
        ("--policy", file("tls-store-policy.toml", POLICY)),
        ("--tokens", file("tls-store-tokens.toml", TOKENS)),
    ];
    let url = server.tls_url();
    let mut flags = vec!["--listen", "127.0.0.1:0", "--store", &url];
    flags.extend(files.iter().flat_map(|(flag, file)| [*flag, file]));
    let trusted = Program::start(&flags);
    let answer = trusted.ask("GET / HTTP/1.1\r\nx-api-token: first");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("x-ratelimit-remaining: 6\r\n"), "{answer}");

    let other = file("tls-store-other.pem", &Authority::new().pem());
    let place = flags.iter().position(|flag| *flag == files[1].1).unwrap();
    flags[place] = &other;
    let mut wary = Program::start(&flags);
    let line = wary.log_line();
    let wanted = "gateway: the store cannot be used: the store and this instance do not trust";
    assert!(line.starts_with(wanted), "{line}");
    let answer = wary.ask("GET / HTTP/1.1\r\nx-api-token: first");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn certificates_that_cannot_be_used_keep_it_from_starting() {
    let key = file("wrong-store.key", "16 random bytes.");
    let none = file("wrong-store-ca.pem", "no certificate");
    let ca = file("wrong-store-good-ca.pem", &Authority::new().pem());
    let missing = "no-such-directory/ca.pem";
    for (url, ca, wanted) in [
        (
            "rediss://h",
            &*none,
            format!("{none}: holds no certificate of an authority in PEM"),
        ),
        ("rediss://h", missing, format!("{missing}: ")),
        (
            "redis://h",
            &ca,
            "--store-ca, --store-client-cert: the store's address must begin with rediss"
                .to_owned(),
        ),
    ] {
        let flags = ["--store", url, "--store-key", &key, "--store-ca", ca];
        let output = command(&flags).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr.starts_with(&format!("gateway: {wanted}")),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1);
    }
}
