//! The nodes of a cluster, asked one by one: which slots each has, and whether it works.
//!
//! Requests do not go this way, but by the client's own connection to the whole cluster, which
//! follows slots that move. That one waits for nodes that are gone, so it is not what finds out
//! whether one is.

use super::error::StoreError;
use super::tls::Certificates;
use super::topology::Nodes;
use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Value};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// A node and its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    /// First and last ones.
    pub(super) slots: Vec<(u16, u16)>,
}

impl Node {
    pub(super) fn has(&self, slot: u16) -> bool {
        self.slots
            .iter()
            .any(|(first, last)| (first..=last).contains(&&slot))
    }
}

/// Whom to ask for the nodes.
pub(super) struct Members {
    seeds: Nodes,
    certificates: Certificates,
    /// Hosts and ports of the nodes that were named last.
    named: Mutex<Vec<(String, u16)>>,
}

impl Members {
    pub(super) fn new(seeds: &Nodes, certificates: &Certificates) -> Self {
        Self {
            seeds: seeds.clone(),
            certificates: certificates.clone(),
            named: Mutex::default(),
        }
    }

    /// Asks all nodes that are known, and takes the first answer.
    pub(super) async fn ask(
        &self,
        config: &AsyncConnectionConfig,
        patience: Duration,
    ) -> Result<Vec<Node>, StoreError> {
        let mut addresses = self.seeds.addresses();
        for named in self.named().iter() {
            if !addresses.contains(named) {
                addresses.push(named.clone());
            }
        }
        let asked = addresses.iter().map(|(host, port)| {
            Box::pin(async move {
                let slots = timeout(patience, self.slots(host, *port, config)).await;
                slots.unwrap_or(Err(StoreError::NotConnected))
            })
        });
        let (nodes, _) = select_ok(asked).await?;
        *self.named() = nodes
            .iter()
            .map(|node| (node.host.clone(), node.port))
            .collect();
        Ok(nodes)
    }

    /// Connects to a node.
    pub(super) async fn connect(
        &self,
        host: &str,
        port: u16,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        self.seeds
            .node(host, port, &self.certificates)?
            .get_multiplexed_async_connection_with_config(config)
            .await
    }

    async fn slots(
        &self,
        host: &str,
        port: u16,
        config: &AsyncConnectionConfig,
    ) -> Result<Vec<Node>, StoreError> {
        let mut connection = self.connect(host, port, config).await?;
        let mut ask = redis::cmd("CLUSTER");
        let ranges: Value = ask.arg("SLOTS").query_async(&mut connection).await?;
        read(&ranges, host).ok_or(StoreError::Foreign)
    }

    fn named(&self) -> std::sync::MutexGuard<'_, Vec<(String, u16)>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an answer to `CLUSTER SLOTS` that came from a host.
fn read(answer: &Value, asked: &str) -> Option<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for range in array(answer)? {
        let [first, last, master, ..] = array(range)? else {
            return None;
        };
        let [host, port, ..] = array(master)? else {
            return None;
        };
        let (host, port) = (text(host), number(port)?);
        // A node that does not know its own name is reached by the one that it was asked by.
        let host = host.filter(|host| !host.is_empty()).unwrap_or(asked);
        let slots = (number(first)?, number(last)?);
        let known = |node: &&mut Node| node.host == host && node.port == port;
        match nodes.iter_mut().find(known) {
            Some(node) => node.slots.push(slots),
            None => nodes.push(Node {
                host: host.to_owned(),
                port,
                slots: vec![slots],
            }),
        }
    }
    Some(nodes)
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), Value::Nil]);
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            master,
            Value::Nil,
        ])
    }

    #[test]
    fn a_nodes_slots_are_gathered_and_one_without_a_name_has_the_one_it_was_asked_by() {
        let named = || Value::BulkString(b"10.0.0.2".to_vec());
        let answer = Value::Array(vec![
            range(0, 9, named(), 1),
            range(10, 19, Value::Nil, 1),
            range(20, 20, named(), 1),
        ]);
        let nodes = read(&answer, "10.0.0.1").unwrap();
        let slots: Vec<_> = nodes
            .iter()
            .map(|node| (&*node.host, node.slots.clone()))
            .collect();
        assert_eq!(
            slots,
            [
                ("10.0.0.2", vec![(0, 9), (20, 20)]),
                ("10.0.0.1", vec![(10, 19)])
            ]
        );
        assert!(nodes[0].has(9) && !nodes[0].has(10) && nodes[0].has(20));
        assert_eq!(read(&Value::Okay, "a"), None);
    }
}
