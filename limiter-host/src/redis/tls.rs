//! Who vouches for a store that speaks TLS, and what it is shown; what it means if that fails.

use super::error::StoreError;
use redis::cluster::ClusterClientBuilder;
use redis::sentinel::SentinelClientBuilder;
use redis::{Client, ConnectionInfo, RedisError, RedisResult};
use std::fmt;

#[cfg(feature = "redis-tls")]
pub use self::given::CertificateError;

/// The certificates that were given: none, as long as the system's authorities vouch for the store.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    #[cfg(feature = "redis-tls")]
    given: Option<redis::TlsCertificates>,
}

impl fmt::Debug for Certificates {
    /// Tells no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(..)")
    }
}

#[cfg(not(feature = "redis-tls"))]
impl Certificates {
    pub(super) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        Client::open(info)
    }

    pub(super) fn cluster(&self, builder: ClusterClientBuilder) -> ClusterClientBuilder {
        builder
    }

    pub(super) fn sentinel(&self, builder: SentinelClientBuilder) -> SentinelClientBuilder {
        builder
    }
}

#[cfg(feature = "redis-tls")]
impl Certificates {
    pub(super) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.given {
            Some(given) => Client::build_with_tls(info, given.clone()),
            None => Client::open(info),
        }
    }

    pub(super) fn cluster(&self, builder: ClusterClientBuilder) -> ClusterClientBuilder {
        match &self.given {
            Some(given) => builder.certs(given.clone()),
            None => builder,
        }
    }

    pub(super) fn sentinel(&self, builder: SentinelClientBuilder) -> SentinelClientBuilder {
        match &self.given {
            Some(given) => builder
                .set_client_to_redis_certificates(given.clone())
                .set_client_to_sentinel_certificates(given.clone()),
            None => builder,
        }
    }
}

/// What a failure to connect means, where one of the two speaks TLS and the other does not, or does
/// not trust.
pub(super) fn explain(error: RedisError, speaks_tls: bool) -> StoreError {
    let text = error.to_string();
    // The texts are those of the TLS library and of the client; tests hold them to real servers.
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if speaks_tls && says(&["certificate", "Certificate"]) {
        StoreError::NotTrusted(error)
    } else if speaks_tls && (says(&["corrupt message", "eof"]) || error.is_timeout()) {
        StoreError::NoTls(error)
    } else if !speaks_tls && error.is_connection_dropped() && !error.is_connection_refusal() {
        StoreError::Closed(error)
    } else {
        error.into()
    }
}

#[cfg(feature = "redis-tls")]
mod given {
    use super::super::config::RedisConfig;
    use redis::{ClientTlsConfig, TlsCertificates};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};
    use std::fmt;
    use std::sync::Arc;

    /// Why certificates cannot be used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum CertificateError {
        /// The store's address does not ask for TLS.
        NoTls,
        /// The authority's file holds no certificate in PEM, or one that cannot be read.
        Authority,
        /// The client's file holds no certificate in PEM, or one that cannot be read.
        Certificate,
        /// The key's file holds no private key in PEM, or one that cannot be read.
        Key,
        /// The key is not that of the certificate.
        Mismatch,
    }

    impl fmt::Display for CertificateError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::NoTls => "the store's address must begin with rediss to use certificates",
                Self::Authority => "holds no certificate of an authority in PEM",
                Self::Certificate => "holds no certificate in PEM",
                Self::Key => "holds no private key in PEM",
                Self::Mismatch => "is not the key of the certificate",
            })
        }
    }

    impl std::error::Error for CertificateError {}

    impl RedisConfig {
        /// Has a store trusted that one of these authorities vouches for, and no other: certificates
        /// in PEM. By default the system's authorities do. The store's certificate must name the
        /// host of its address.
        ///
        /// # Errors
        ///
        /// [`CertificateError::NoTls`] or [`CertificateError::Authority`].
        pub fn certificate_authority(mut self, pem: &[u8]) -> Result<Self, CertificateError> {
            roots(pem)?;
            self.certificates_mut()?.root_cert = Some(pem.to_vec());
            Ok(self)
        }

        /// Shows the store a certificate, for one that asks clients for it: the chain, this
        /// instance's first, and its private key, in PEM.
        ///
        /// # Errors
        ///
        /// [`CertificateError`] for what is wrong.
        pub fn client_certificate(
            mut self,
            chain_pem: &[u8],
            key_pem: &[u8],
        ) -> Result<Self, CertificateError> {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem)
                .collect::<Result<_, _>>()
                .map_err(|_| CertificateError::Certificate)?;
            if chain.is_empty() {
                return Err(CertificateError::Certificate);
            }
            let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| CertificateError::Key)?;
            // Tried here, so that a key of another certificate is told before a store is asked.
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|_| CertificateError::Key)?
                .with_root_certificates(RootCertStore::empty())
                .with_client_auth_cert(chain, key)
                .map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch,
                    rustls::Error::InvalidCertificate(_) => CertificateError::Certificate,
                    _ => CertificateError::Key,
                })?;
            self.certificates_mut()?.client_tls = Some(ClientTlsConfig {
                client_cert: chain_pem.to_vec(),
                client_key: key_pem.to_vec(),
            });
            Ok(self)
        }

        fn certificates_mut(&mut self) -> Result<&mut TlsCertificates, CertificateError> {
            if !self.topology.speaks_tls() {
                return Err(CertificateError::NoTls);
            }
            Ok(self.certificates.given.get_or_insert(TlsCertificates {
                client_tls: None,
                root_cert: None,
            }))
        }
    }

    fn roots(pem: &[u8]) -> Result<(), CertificateError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| CertificateError::Authority)?;
            roots
                .add(certificate)
                .map_err(|_| CertificateError::Authority)?;
        }
        if roots.is_empty() {
            return Err(CertificateError::Authority);
        }
        Ok(())
    }

    /// The client takes the process's cryptography, and panics where two are linked and none was
    /// chosen; so ring is, unless the process has chosen already.
    pub(in super::super) fn choose_cryptography() {
        if CryptoProvider::get_default().is_none() {
            // OK because a provider that somebody else installs meanwhile is as good.
            let _ = ring::default_provider().install_default();
        }
    }
}

#[cfg(feature = "redis-tls")]
pub(super) use self::given::choose_cryptography;
