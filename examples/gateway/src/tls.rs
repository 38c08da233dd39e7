//! Ends TLS in front of the services, by rustls: TLS 1.2 and 1.3, HTTP/1.1 inside.

use crate::error::StartError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error as RustlsError, ServerConfig};
use tokio_rustls::{Accept, TlsAcceptor};

/// The files of a server's identity, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate first, then those that vouch for it.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// An identity that can be renewed while it is in use; clones share one.
#[derive(Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    acceptor: Arc<RwLock<TlsAcceptor>>,
}

impl Tls {
    pub(crate) fn read(files: TlsFiles) -> Result<Self, StartError> {
        let acceptor = acceptor(&files)?;
        Ok(Self {
            files,
            acceptor: Arc::new(RwLock::new(acceptor)),
        })
    }

    /// Reads the files again, for the connections to come, and says so; on an error the old identity
    /// stays. Waits for the disk.
    pub(crate) fn renew_and_say(&self) {
        match self.renew() {
            Ok(()) => eprintln!("gateway: the TLS certificate was read again"),
            Err(error) => eprintln!("gateway: {error}; the old certificate stays"),
        }
    }

    fn renew(&self) -> Result<(), StartError> {
        let acceptor = acceptor(&self.files)?;
        *self
            .acceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    /// Begins a handshake. What is encrypted and not sent yet is bounded by [`TLS_BYTES`].
    pub(crate) fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Accept<S> {
        let acceptor = self.acceptor.read();
        let acceptor = acceptor.unwrap_or_else(PoisonError::into_inner).clone();
        acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(TLS_BYTES)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, StartError> {
    let wrong = |path: &Path, what: String| StartError::Tls {
        file: path.display().to_string(),
        what,
    };
    for file in [&files.cert, &files.key] {
        // Others give their text once, or never.
        if std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
            let what = "is not a regular file, so it cannot be read again";
            return Err(wrong(file, what.to_owned()));
        }
    }
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&files.cert, pem(error, "certificate")))?;
    if certificates.is_empty() {
        return Err(wrong(
            &files.cert,
            pem(PemError::NoItemsFound, "certificate"),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&files.key, pem(error, "private key")))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| {
        builder
            .with_no_client_auth()
            .with_single_cert(certificates, key)
    });
    let mut config = config.map_err(|error| match error {
        RustlsError::InconsistentKeys(_) => {
            let cert = files.cert.display();
            wrong(
                &files.key,
                format!("is not the key of the certificate in {cert}"),
            )
        }
        RustlsError::InvalidCertificate(_) => wrong(
            &files.cert,
            "holds no certificate that can be read".to_owned(),
        ),
        error => wrong(&files.key, error.to_string()),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// One record.
const TLS_BYTES: usize = 16 * 1024;

/// What is wrong with a file; nothing of a key shows.
fn pem(error: PemError, wanted: &str) -> String {
    match error {
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => format!("holds no {wanted} in PEM"),
        _ => format!("is not PEM, or holds a broken {wanted}"),
    }
}
