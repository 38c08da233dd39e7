//! Stores that speak TLS, and those that do not when they should.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, Mutex};

use limiter_host::redis::{CertificateError, RedisConfig, StoreError, Switch};
use limiter_redis_servers::{Authority, Cluster, Identity, Options, Server, Watched};

use crate::instances::{admitted, get, limiter, patient, policy, post};

/// A configuration that trusts an authority.
fn trusting(url: &str, authority: &Authority) -> RedisConfig {
    let config = patient(url).certificate_authority(authority.pem().as_bytes());
    config.expect("a certificate")
}

/// Why a store cannot be used, and what is said of it.
async fn failure(config: RedisConfig) -> StoreError {
    let said = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&said);
    let config = config.on_switch(move |switch| {
        if let Switch::Lost(error) = switch {
            lines.lock().expect("no panic").push(error.to_string());
        }
    });
    let limiter = limiter(policy(5, 5), config).await;
    assert!(!limiter.store_statistics().available);
    let error = limiter.last_failure().expect("it failed");
    let said = said.lock().expect("no panic");
    assert_eq!(said.len(), 1, "{said:?}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_a_private_authority_is_asked_over_tls() {
    let authority = Authority::new();
    let Some(server) = Server::start_with(&Options::default().with_tls(&authority, false)) else {
        return;
    };
    let limiter = limiter(policy(5, 9), trusting(&server.tls_url(), &authority)).await;
    assert_eq!(admitted(&limiter, &post("a"), 9).await, 5);
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_asked_over_tls() {
    let authority = Authority::new();
    let Some(cluster) = Cluster::start_with(&Options::default().with_tls(&authority, false)) else {
        return;
    };
    let limiter = limiter(policy(5, 9), trusting(&cluster.tls_url(), &authority)).await;
    for name in ["a", "other"] {
        assert_eq!(admitted(&limiter, &get(name), 9).await, 5);
    }
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_the_master_that_they_name_are_asked_over_tls() {
    let authority = Authority::new();
    let Some(watched) = Watched::start_with(&Options::default().with_tls(&authority, false)) else {
        return;
    };
    let limiter = limiter(policy(5, 9), trusting(&watched.url(), &authority)).await;
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 5);
    assert_eq!(limiter.store_statistics().outages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let Some(server) = Server::start_with(&Options::default().with_tls(&authority, true)) else {
        return;
    };
    let Identity { certificate, key } = authority.certify("an-instance");
    let shown = trusting(&server.tls_url(), &authority)
        .client_certificate(certificate.as_bytes(), key.as_bytes())
        .expect("an identity");
    let limiter = limiter(policy(5, 9), shown).await;
    assert_eq!(admitted(&limiter, &get("a"), 9).await, 5);

    let error = failure(trusting(&server.tls_url(), &authority)).await;
    assert!(matches!(error, StoreError::NotTrusted(_)), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("the store and this instance do not trust each other: "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_authority_or_name_is_not_trusted() {
    let authority = Authority::new();
    let Some(server) = Server::start_with(&Options::default().with_tls(&authority, false)) else {
        return;
    };
    let of_another = failure(trusting(&server.tls_url(), &Authority::new())).await;
    let of_the_system = failure(patient(&server.tls_url())).await;
    let named = server.tls_url().replace("127.0.0.1", "localhost");
    let named = failure(trusting(&named, &authority)).await;
    for error in [of_another, of_the_system, named] {
        assert!(matches!(error, StoreError::NotTrusted(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_asked_of_a_port_without_it_and_the_reverse_are_told() {
    let authority = Authority::new();
    let Some(server) = Server::start_with(&Options::default().with_tls(&authority, false)) else {
        return;
    };
    let asks = server.url().replace("redis://", "rediss://");
    let config = trusting(&asks, &authority).connect_timeout(std::time::Duration::from_secs(2));
    let error = failure(config).await;
    assert!(matches!(error, StoreError::NoTls(_)), "{error}");
    assert!(error.to_string().contains("no TLS is spoken there"));

    let asks_not = server.tls_url().replace("rediss://", "redis://");
    let error = failure(patient(&asks_not)).await;
    assert!(matches!(error, StoreError::Closed(_)), "{error}");
    assert!(error.to_string().contains("must begin with rediss"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_sentinels_of_another_authority_are_not_trusted() {
    let authority = Authority::new();
    let options = Options::default().with_tls(&authority, false);
    let (Some(cluster), Some(watched)) =
        (Cluster::start_with(&options), Watched::start_with(&options))
    else {
        return;
    };
    for url in [cluster.tls_url(), watched.url()] {
        let error = failure(trusting(&url, &Authority::new())).await;
        assert!(matches!(error, StoreError::NotTrusted(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_answers_tls_with_something_else_or_hangs_up_is_told() {
    for answer in ["-ERR unknown command\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        // Whoever asks again while the outage lasts finds the same.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // OK because a caller who is gone has seen what there was to see.
                let _ = (&stream).write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
                let _ = (&stream).read_to_end(&mut Vec::new());
            }
        });
        let error = failure(trusting(&format!("rediss://{address}"), &Authority::new())).await;
        assert!(matches!(error, StoreError::NoTls(_)), "{error}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_told_before_a_store_is_asked() {
    let authority = Authority::new();
    let Identity { certificate, key } = authority.certify("127.0.0.1");
    let other = authority.certify("127.0.0.1");
    let config = || RedisConfig::from_url("rediss://127.0.0.1").expect("an address");
    let with = |certificate: &str, key: &str| {
        let config = config().client_certificate(certificate.as_bytes(), key.as_bytes());
        config.err()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "no PEM", broken, &key] {
        let error = config().certificate_authority(pem.as_bytes()).err();
        assert_eq!(error, Some(CertificateError::Authority), "{pem}");
        assert_eq!(
            with(pem, &key),
            Some(CertificateError::Certificate),
            "{pem}"
        );
    }
    assert_eq!(
        with(&certificate, &certificate),
        Some(CertificateError::Key)
    );
    assert_eq!(
        with(&certificate, &other.key),
        Some(CertificateError::Mismatch)
    );
    assert_eq!(with(&certificate, &key), None);
    let plain = RedisConfig::from_url("redis://127.0.0.1").expect("an address");
    let error = plain
        .certificate_authority(authority.pem().as_bytes())
        .err();
    assert_eq!(error, Some(CertificateError::NoTls));
    assert_eq!(
        CertificateError::NoTls.to_string(),
        "the store's address must begin with rediss to use certificates"
    );
    assert_eq!(
        CertificateError::Authority.to_string(),
        "holds no certificate of an authority in PEM"
    );
}
