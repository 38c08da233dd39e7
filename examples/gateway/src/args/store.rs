//! The flags of a store.

use crate::error::StartError;
use crate::store::StoreSettings;
use limiter_host::core::HashKey;
use limiter_host::redis::{CertificateError, OnStoreFailure, RedisConfig};
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Where limits are counted together with other gateways.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// Count in this store, together with all gateways that name it: redis://HOST:PORT,
    /// redis+sentinel://HOST:PORT/NAME or redis+cluster://HOST:PORT; with rediss over TLS
    #[arg(
        long,
        value_name = "URL",
        env = "GATEWAY_STORE",
        hide_env_values = true,
        requires = "store_key",
        conflicts_with = "state"
    )]
    pub store: Option<String>,

    /// A file with the password for the store; a password in --store's URL can be read by every user
    /// of this machine, unless the URL is in the environment
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_password_file: Option<PathBuf>,

    /// A file of 16 random bytes, the same for all gateways on a store; refused if users other than its
    /// owner and group have access to it, as are the store's password file and client key
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_key: Option<PathBuf>,

    /// Trust a store over TLS that these authorities vouch for, PEM; without it the system's do
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_ca: Option<PathBuf>,

    /// Show the store this certificate, and those that vouch for it; PEM
    #[arg(long, value_name = "FILE", requires = "store_client_key")]
    pub store_client_cert: Option<PathBuf>,

    /// The private key of --store-client-cert, PEM
    #[arg(long, value_name = "FILE", requires_all = ["store", "store_client_cert"])]
    pub store_client_key: Option<PathBuf>,

    /// While the store cannot be used: refuse with 503, admit, or decide with this part of every
    /// limit, as many as there are gateways
    #[arg(long, value_name = "refuse|admit|GATEWAYS", default_value = "refuse",
        value_parser = on_store_failure)]
    pub on_store_failure: OnStoreFailure,

    /// Permits that one round trip may take for a token, those ahead of need for later requests to
    /// this gateway: for large limits. At most a tenth of what is left; a gateway that is killed
    /// takes at most this many of each token along, and never are more admitted than the limits
    #[arg(long, value_name = "PERMITS", default_value = "1", requires = "store")]
    pub store_leases: NonZeroU32,
}

impl StoreArgs {
    /// Reads the files that the flags name; `None` without `--store`.
    pub(super) fn settings(&self) -> Result<Option<StoreSettings>, StartError> {
        let (Some(url), Some(key)) = (&self.store, &self.store_key) else {
            return Ok(None);
        };
        let config = RedisConfig::from_url(url).map_err(StartError::Store)?;
        let bytes = <[u8; 16]>::try_from(read_secret(key)?);
        let bytes = bytes.map_err(|_| wrong(key, "a key has exactly 16 bytes"))?;
        let config = self.password(self.certificates(config)?)?;
        Ok(Some(StoreSettings {
            config: config
                .on_store_failure(self.on_store_failure)
                .lease(self.store_leases),
            key: HashKey::new(bytes),
        }))
    }

    fn password(&self, config: RedisConfig) -> Result<RedisConfig, StartError> {
        let Some(file) = &self.store_password_file else {
            return Ok(config);
        };
        let password = String::from_utf8(read_secret(file)?);
        let password = password.map_err(|_| wrong(file, "a password is text in UTF-8"))?;
        // An editor ends a file with a line break, which no password contains.
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() || password.contains('\n') {
            return Err(wrong(file, "a password is one line"));
        }
        Ok(config.password(password))
    }

    fn certificates(&self, mut config: RedisConfig) -> Result<RedisConfig, StartError> {
        if let Some(file) = &self.store_ca {
            let done = config.certificate_authority(&read(file)?);
            config = done.map_err(|error| unusable(error, file, file))?;
        }
        if let (Some(file), Some(key)) = (&self.store_client_cert, &self.store_client_key) {
            let done = config.client_certificate(&read(file)?, &read_secret(key)?);
            config = done.map_err(|error| unusable(error, file, key))?;
        }
        Ok(config)
    }
}

/// Reads a file that only its owner and group may read.
fn read_secret(file: &Path) -> Result<Vec<u8>, StartError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(file).map_err(|error| wrong(file, &error.to_string()))?;
        if metadata.permissions().mode() & 0o007 != 0 {
            let remedy = format!(
                "others have access to it; run: chmod o-rwx {}",
                file.display()
            );
            return Err(wrong(file, &remedy));
        }
    }
    read(file)
}

fn read(file: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(file).map_err(|error| wrong(file, &error.to_string()))
}

fn unusable(error: CertificateError, certificate: &Path, key: &Path) -> StartError {
    match error {
        CertificateError::NoTls => StartError::StoreCertificate(error),
        CertificateError::Key | CertificateError::Mismatch => wrong(key, &error.to_string()),
        _ => wrong(certificate, &error.to_string()),
    }
}

fn wrong(file: &Path, what: &str) -> StartError {
    StartError::StoreFile {
        file: file.display().to_string(),
        what: what.to_owned(),
    }
}

/// Reads what is decided without the store.
fn on_store_failure(text: &str) -> Result<OnStoreFailure, String> {
    match text {
        "refuse" => Ok(OnStoreFailure::Refuse),
        "admit" => Ok(OnStoreFailure::Admit),
        number => match number.parse() {
            Ok(instances) => Ok(OnStoreFailure::Local { instances }),
            Err(_) => Err("refuse, admit, or the number of gateways, at least 1".to_owned()),
        },
    }
}
