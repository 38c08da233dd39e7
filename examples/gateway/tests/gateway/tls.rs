//! TLS before the gateway.

use crate::program::{Program, command, file};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A new identity for `localhost`: certificate and key, in PEM.
fn identity() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

/// What a client that trusts one certificate alone is answered.
fn ask(address: &str, trusted: &str) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.write_all(
        b"GET / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\nconnection: close\r\n\r\n",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn serves_over_tls_and_survives_who_does_not_speak_it() {
    let (cert, key) = identity();
    let files = [file("tls-cert.pem", &cert), file("tls-key.pem", &key)];
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &files[0],
        "--tls-key",
        &files[1],
    ];
    let program = Program::start(&flags);
    assert!(
        program.welcome.contains("listening on https://"),
        "{}",
        program.welcome
    );
    let answer = ask(program.address(), &cert).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("x-ratelimit-remaining: 39"), "{answer}");

    let mut plain = TcpStream::connect(program.address()).unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // An alert, and the end, or a reset.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    assert!(ask(program.address(), &identity().0).is_err());
    assert!(
        ask(program.address(), &cert)
            .unwrap()
            .contains("x-ratelimit-remaining: 38")
    );
}

#[cfg(unix)]
#[test]
fn takes_a_renewed_certificate_and_keeps_the_old_one_if_the_new_is_broken() {
    let (old, key) = identity();
    let files = [
        file("renewed-cert.pem", &old),
        file("renewed-key.pem", &key),
    ];
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &files[0],
        "--tls-key",
        &files[1],
    ];
    let mut program = Program::start(&flags);
    let (new, key) = identity();
    std::fs::write(&files[0], &new).unwrap();
    program.signal("-HUP");
    let line = program.log_line();
    let mismatch = format!(
        "gateway: {}: is not the key of the certificate in ",
        files[1]
    );
    assert!(line.starts_with(&mismatch), "{line}");
    assert!(line.ends_with("; the old certificate stays"), "{line}");
    assert!(ask(program.address(), &old).is_ok());
    std::fs::write(&files[1], &key).unwrap();
    program.signal("-HUP");
    assert_eq!(
        program.log_line(),
        "gateway: the TLS certificate was read again"
    );
    assert!(ask(program.address(), &old).is_err());
    assert!(ask(program.address(), &new).is_ok());
}

#[test]
fn says_in_one_line_what_is_wrong_with_the_files() {
    let ((cert, key), (_, other)) = (identity(), identity());
    let cert_file = file("wrong-cert.pem", &cert);
    let key_file = file("wrong-key.pem", &key);
    let other_file = file("wrong-other.pem", &other);
    let empty = file("wrong-empty.pem", "");
    let broken = file(
        "wrong-broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let cut = file("wrong-cut.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
    for (cert, key, says) in [
        ("none.pem", &key_file, "none.pem: ".to_owned()),
        (&cert_file, &"none.pem".to_owned(), "none.pem: ".to_owned()),
        (
            &empty,
            &key_file,
            format!("{empty}: holds no certificate in PEM"),
        ),
        (
            &key_file,
            &key_file,
            format!("{key_file}: holds no certificate in PEM"),
        ),
        (
            &cert_file,
            &cert_file,
            format!("{cert_file}: holds no private key in PEM"),
        ),
        (
            &broken,
            &key_file,
            format!("{broken}: holds no certificate that can be read"),
        ),
        (
            &cert_file,
            &cut,
            format!("{cut}: is not PEM, or holds a broken private key"),
        ),
        (
            &cert_file,
            &other_file,
            format!("{other_file}: is not the key of the certificate in {cert_file}"),
        ),
    ] {
        let flags = [
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
        ];
        let output = command(&flags).output().unwrap();
        let lines = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), lines.lines().count()),
            (Some(2), 1),
            "{lines}"
        );
        assert!(lines.starts_with(&format!("gateway: {says}")), "{lines}");
    }
    let alone = command(&["--tls-cert", &cert_file]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2));
}
