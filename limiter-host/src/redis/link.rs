//! The connection to a server, to the master that sentinels name, or to a cluster.

use super::config::RedisConfig;
use super::error::StoreError;
use super::members::{Members, Node};
use super::tls::explain;
use super::topology::Topology;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A connection that any number of tasks use at once; cheap to clone.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Who can be connected to.
enum Client {
    One(Box<redis::Client>),
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>, Members),
}

/// The connection that all share, and which one it is of all that there were.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) connection: Connection,
    number: u64,
}

/// The way to the store: how to connect, and the connection, if there is one.
pub(super) struct Link {
    client: Client,
    connect_timeout: Duration,
    response_timeout: Duration,
    speaks_tls: bool,
    settles_in: Duration,
    current: Mutex<Option<Shared>>,
    /// Held while a connection is made in the place of one that was closed.
    renewing: tokio::sync::Mutex<()>,
}

impl Link {
    /// A link that is not connected yet.
    pub(super) fn new(config: &RedisConfig) -> RedisResult<Self> {
        let RedisConfig {
            topology,
            certificates,
            connect_timeout,
            response_timeout,
            ..
        } = config;
        let (connect_timeout, response_timeout) = (*connect_timeout, *response_timeout);
        let speaks_tls = topology.speaks_tls();
        #[cfg(feature = "redis-tls")]
        if speaks_tls {
            super::tls::choose_cryptography();
        }
        let client = match topology {
            Topology::One(server) => Client::One(Box::new(server.client(certificates)?)),
            Topology::Sentinel(sentinels) => {
                let client = sentinels.client(certificates)?;
                Client::Sentinel(Box::new(tokio::sync::Mutex::new(client)))
            }
            Topology::Cluster(nodes) => {
                let client = nodes.client(certificates, connect_timeout, response_timeout)?;
                Client::Cluster(Box::new(client), Members::new(nodes, certificates))
            }
        };
        Ok(Self {
            client,
            connect_timeout,
            response_timeout,
            speaks_tls,
            settles_in: config.settles_in(),
            current: Mutex::new(None),
            renewing: tokio::sync::Mutex::default(),
        })
    }

    /// The connection, if there is one.
    pub(super) fn connection(&self) -> Option<Connection> {
        self.shared().map(|shared| shared.connection)
    }

    /// The connection, and which one it is.
    pub(super) fn shared(&self) -> Option<Shared> {
        self.current().clone()
    }

    /// Whether keys of one script must lie in one slot.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.client, Client::Cluster(..))
    }

    /// Forgets the connection.
    pub(super) fn drop_connection(&self) {
        *self.current() = None;
    }

    /// The time between making a connection and using it: until permits that other instances hold
    /// ahead have ended, since the server behind it may not know of them.
    pub(super) const fn settles_in(&self) -> Duration {
        self.settles_in
    }

    /// The time that connecting and an answer may take together.
    pub(super) const fn patience(&self) -> Duration {
        self.connect_timeout.saturating_add(self.response_timeout)
    }

    /// Connects anew; the connection is shared only by [`Link::keep`].
    pub(super) async fn connect(&self) -> Result<Connection, StoreError> {
        let connected = self.try_to_connect().await;
        let connection = connected.map_err(|error| explain(error, self.speaks_tls))?;
        tokio::time::sleep(self.settles_in).await;
        Ok(connection)
    }

    /// A connection in the place of one that was closed: made once for all who shared that.
    pub(super) async fn renew(&self, closed: &Shared) -> Result<Connection, StoreError> {
        let _renewing = self.renewing.lock().await;
        match self.shared() {
            Some(shared) if shared.number != closed.number => Ok(shared.connection),
            // Another request found that there is nothing to connect to.
            None => Err(StoreError::NotConnected),
            Some(_) => {
                let connection = self.connect().await.inspect_err(|_| {
                    // So that no other request that shared it tries in vain.
                    self.drop_connection();
                })?;
                self.keep(connection.clone());
                Ok(connection)
            }
        }
    }

    /// Returns true if an error says that the connection was closed, so that asking again may help.
    pub(super) fn was_closed(&self, error: &RedisError) -> bool {
        !self.is_cluster() && error.is_connection_dropped()
    }

    /// The nodes of a cluster, and which slots each has.
    pub(super) async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        match &self.client {
            Client::Cluster(_, members) => members.ask(&self.config(), self.patience()).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Connects to a node of a cluster alone.
    pub(super) async fn connect_to(&self, node: &Node) -> Result<Connection, StoreError> {
        let Client::Cluster(_, members) = &self.client else {
            return Err(StoreError::NotConnected);
        };
        let connected = members.connect(&node.host, node.port, &self.config()).await;
        let connection = connected.map_err(|error| explain(error, self.speaks_tls))?;
        Ok(Connection::One(connection))
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
    }

    async fn try_to_connect(&self) -> RedisResult<Connection> {
        let config = self.config();
        match &self.client {
            Client::One(client) => client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .map(Connection::One),
            Client::Sentinel(client) => client
                .lock()
                .await
                .get_async_connection_with_config(&config)
                .await
                .map(Connection::One),
            Client::Cluster(client, _) => {
                client.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }

    /// Shares a connection with all.
    pub(super) fn keep(&self, connection: Connection) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        *self.current() = Some(Shared { connection, number });
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Shared>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections that were shared so far, in all links.
static NUMBER: AtomicU64 = AtomicU64::new(0);
