//! The connection to a server, to the master that sentinels name, or to a cluster.

use super::config::RedisConfig;
use super::outage::StoreError;
use super::tls::explain;
use super::topology::Topology;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisFuture, RedisResult, Value};
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
    Cluster(Box<ClusterClient>),
}

/// The way to the store: how to connect, and the connection, if there is one.
pub(super) struct Link {
    client: Client,
    connect_timeout: Duration,
    response_timeout: Duration,
    speaks_tls: bool,
    current: Mutex<Option<Connection>>,
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
                Client::Cluster(Box::new(client))
            }
        };
        Ok(Self {
            client,
            connect_timeout,
            response_timeout,
            speaks_tls,
            current: Mutex::new(None),
        })
    }

    /// The connection, if there is one.
    pub(super) fn connection(&self) -> Option<Connection> {
        self.current().clone()
    }

    /// Whether keys of one script must lie in one slot.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.client, Client::Cluster(_))
    }

    /// Forgets the connection.
    pub(super) fn drop_connection(&self) {
        *self.current() = None;
    }

    /// Connects anew; the connection is shared only by [`Link::keep`].
    pub(super) async fn connect(&self) -> Result<Connection, StoreError> {
        let connected = self.try_to_connect().await;
        connected.map_err(|error| explain(error, self.speaks_tls))
    }

    async fn try_to_connect(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout));
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
            Client::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }

    /// Shares a connection with all.
    pub(super) fn keep(&self, connection: Connection) {
        *self.current() = Some(connection);
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
