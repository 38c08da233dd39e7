//! Where a store is, as its address says, and who can connect there.

use super::config::RedisConfigError;
use super::tls::Certificates;
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsMode};
use std::time::Duration;

/// What kind of store there is, and where.
#[derive(Clone)]
pub(super) enum Topology {
    One(Server),
    Sentinel(Sentinels),
    Cluster(Nodes),
}

/// One server.
#[derive(Clone)]
pub(super) struct Server(ConnectionInfo);

/// Sentinels, the master's name, and what the master is to be told.
#[derive(Clone)]
pub(super) struct Sentinels {
    sentinels: Vec<ConnectionInfo>,
    master: String,
}

/// Nodes of a cluster.
#[derive(Clone)]
pub(super) struct Nodes(Vec<ConnectionInfo>);

impl Topology {
    /// Whether the address asks for TLS.
    pub(super) fn speaks_tls(&self) -> bool {
        match self {
            Self::One(Server(info)) => is_tls(info),
            Self::Sentinel(sentinels) => sentinels.sentinels.iter().any(is_tls),
            Self::Cluster(Nodes(nodes)) => nodes.iter().any(is_tls),
        }
    }

    /// Uses this password for all servers at the address.
    pub(super) fn with_password(mut self, password: &str) -> Self {
        let nodes = match &mut self {
            Self::One(Server(info)) => std::slice::from_mut(info),
            Self::Sentinel(sentinels) => &mut sentinels.sentinels[..],
            Self::Cluster(Nodes(nodes)) => &mut nodes[..],
        };
        for info in nodes {
            let settings = info.redis_settings().clone().set_password(password);
            *info = info.clone().set_redis_settings(settings);
        }
        self
    }

    pub(super) fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisConfigError::Scheme)?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !matches!(base, "redis" | "rediss") || !matches!(kind, "" | "sentinel" | "cluster") {
            return Err(RedisConfigError::Scheme);
        }
        if base == "rediss" && !cfg!(feature = "redis-tls") {
            return Err(RedisConfigError::NoTls);
        }
        if kind.is_empty() {
            return Ok(Self::One(Server(address(url)?)));
        }
        // The credentials stand once, before the hosts; what follows the hosts stands once too.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (format!("{credentials}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Result<Vec<_>, _> = hosts
            .split(',')
            .map(|host| address(&format!("{base}://{credentials}{host}")))
            .collect();
        if kind == "cluster" {
            if !path.is_empty() {
                return Err(RedisConfigError::Address);
            }
            return Ok(Self::Cluster(Nodes(hosts?)));
        }
        if path.is_empty() || path.contains('/') {
            return Err(RedisConfigError::NoMaster);
        }
        Ok(Self::Sentinel(Sentinels {
            sentinels: hosts?,
            master: path.to_owned(),
        }))
    }
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn address(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let info = url.into_connection_info();
    info.map_err(|_| RedisConfigError::Address)
}

impl Server {
    pub(super) fn client(&self, certificates: &Certificates) -> RedisResult<Client> {
        certificates.client(self.0.clone())
    }
}

impl Nodes {
    /// Hosts and ports.
    pub(super) fn addresses(&self) -> Vec<(String, u16)> {
        let addresses = self.0.iter().filter_map(|info| match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some((host.clone(), *port))
            }
            _ => None,
        });
        addresses.collect()
    }

    /// A client of one node alone, which is spoken to as those that the address names.
    pub(super) fn node(
        &self,
        host: &str,
        port: u16,
        certificates: &Certificates,
    ) -> RedisResult<Client> {
        let Some(info) = self.0.first() else {
            return Err((redis::ErrorKind::InvalidClientConfig, "no node").into());
        };
        let mut address = info.addr().clone();
        match &mut address {
            ConnectionAddr::Tcp(of_host, of_port)
            | ConnectionAddr::TcpTls {
                host: of_host,
                port: of_port,
                ..
            } => (*of_host, *of_port) = (host.to_owned(), port),
            _ => {}
        }
        certificates.client(info.clone().set_addr(address))
    }

    pub(super) fn client(
        &self,
        certificates: &Certificates,
        connect: Duration,
        response: Duration,
    ) -> RedisResult<ClusterClient> {
        // A slot that moves is asked for again, at the node where it moved to.
        certificates
            .cluster(ClusterClient::builder(self.0.clone()))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(SHORTEST_RETRY_MS)
            .max_retry_wait(LONGEST_RETRY_MS)
            .connection_timeout(connect)
            .response_timeout(response)
            .build()
    }
}

impl Sentinels {
    pub(super) fn client(&self, certificates: &Certificates) -> RedisResult<SentinelClient> {
        let addresses = self.sentinels.iter().map(|info| info.addr().clone());
        let mut builder =
            SentinelClientBuilder::new(addresses, &self.master, SentinelServerType::Master)?;
        if let Some(first) = self.sentinels.first() {
            let settings = first.redis_settings();
            if let Some(username) = settings.username() {
                builder = builder.set_client_to_redis_username(username);
            }
            if let Some(password) = settings.password() {
                builder = builder.set_client_to_redis_password(password);
            }
            if is_tls(first) {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure);
            }
        }
        certificates.sentinel(builder).build()
    }
}

const CLUSTER_RETRIES: u32 = 6;
const SHORTEST_RETRY_MS: u64 = 5;
const LONGEST_RETRY_MS: u64 = 100;
