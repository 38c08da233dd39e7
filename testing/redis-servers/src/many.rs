//! Servers that belong together.

use crate::process::{Process, free_port, new_folder};
use crate::server::{Options, Server, is_installed, wait_until};
use redis::Value;

/// A cluster of three masters without replicas, which share the slots evenly.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts plain nodes and waits until they agree on the slots; `None` where there is no server.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&Options::default())
    }

    /// Starts the nodes and waits until they agree on the slots.
    ///
    /// # Panics
    ///
    /// If they do not within some seconds.
    #[must_use]
    pub fn start_with(options: &Options) -> Option<Self> {
        let nodes: Option<Vec<Server>> = (0..NODES)
            .map(|_| {
                let tls = if options.tls { "yes" } else { "no" };
                let options = options
                    .clone()
                    .with("tls-cluster", tls)
                    .with("cluster-enabled", "yes")
                    .with("cluster-node-timeout", "2000")
                    .with("cluster-port", &free_port().to_string());
                Server::start_with(&options)
            })
            .collect();
        let cluster = Self { nodes: nodes? };
        for (node, first) in cluster.nodes.iter().zip((0..).step_by(SLOTS / NODES + 1)) {
            let last = (first + SLOTS / NODES).min(SLOTS - 1);
            let (first, last) = (first.to_string(), last.to_string());
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        let [first, others @ ..] = &cluster.nodes[..] else {
            unreachable!("there are three")
        };
        for other in others {
            let bus = other.setting("cluster-port");
            let port = other.public_port().to_string();
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        for node in &cluster.nodes {
            wait_until("the nodes agree", || {
                let info = text(&node.command(&["CLUSTER", "INFO"]));
                let known = format!("cluster_known_nodes:{NODES}");
                (info.contains("cluster_state:ok") && info.contains(&known)).then_some(())
            });
        }
        Some(cluster)
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Takes a node out: it stops when it is dropped.
    ///
    /// # Panics
    ///
    /// If there is none left.
    pub fn take_node(&mut self) -> Server {
        self.nodes.pop().expect("a node")
    }

    /// The cluster's address for the user `limiter`.
    #[must_use]
    pub fn url(&self) -> String {
        self.address("redis", Server::port)
    }

    /// The same with TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        self.address("rediss", Server::public_port)
    }

    fn address(&self, scheme: &str, port: impl Fn(&Server) -> u16) -> String {
        let nodes = self.nodes.iter();
        let hosts: Vec<String> = nodes
            .map(|node| format!("127.0.0.1:{}", port(node)))
            .collect();
        format!("{scheme}+cluster://limiter:limiter@{}", hosts.join(","))
    }

    /// Moves a slot, with its keys, to the node that follows its owner.
    ///
    /// # Panics
    ///
    /// If a step of it fails.
    pub fn move_slot(&self, slot: u16) {
        let slot = slot.to_string();
        let owner = self.nodes.iter().position(|node| {
            // The owner alone may count the slot's keys without error and says so by its slots.
            let nodes = text(&node.command(&["CLUSTER", "NODES"]));
            let myself = nodes.lines().find(|line| line.contains("myself"));
            myself.is_some_and(|line| owns(line, &slot))
        });
        let owner = owner.expect("every slot has an owner");
        let (from, to) = (&self.nodes[owner], &self.nodes[(owner + 1) % NODES]);
        let (from_id, to_id) = (id(from), id(to));
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        loop {
            let Value::Array(keys) = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])
            else {
                panic!("keys are an array");
            };
            if keys.is_empty() {
                break;
            }
            let port = to.port().to_string();
            let keys: Vec<String> = keys.iter().map(text).collect();
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys.iter().map(String::as_str));
            from.command(&migrate);
        }
        let others = self.nodes.iter().filter(|node| node.port() != to.port());
        for node in [to].into_iter().chain(others) {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
        for node in &self.nodes {
            wait_until("all nodes know the slot's new owner", || {
                let nodes = text(&node.command(&["CLUSTER", "NODES"]));
                let mut owners = nodes.lines().filter(|line| owns(line, &slot));
                owners.all(|line| line.starts_with(&to_id)).then_some(())
            });
        }
    }
}

/// A master, a replica of it, and a sentinel that puts the one in the place of the other.
#[derive(Debug)]
pub struct Watched {
    /// The first master.
    pub master: Option<Server>,
    /// The server that follows it.
    pub replica: Server,
    admin_port: u16,
    sentinel_port: u16,
    scheme: &'static str,
    _sentinel: Process,
}

impl Watched {
    /// Starts three plain ones and waits until they know each other; `None` where there is no
    /// server.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&Options::default())
    }

    /// Starts the three and waits until they know each other.
    ///
    /// # Panics
    ///
    /// If they do not within some seconds.
    #[must_use]
    pub fn start_with(options: &Options) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let master = Server::start_with(options)?;
        let of_master = format!("127.0.0.1 {}", master.public_port());
        let replica = Server::start_with(&options.clone().with("replicaof", &of_master))?;
        wait_until("the replica follows", || {
            let info = text(&master.command(&["INFO", "replication"]));
            info.contains("state=online").then_some(())
        });
        let (admin_port, sentinel_port, sentinel) = watch(options, &master);
        Some(Self {
            master: Some(master),
            replica,
            admin_port,
            sentinel_port,
            scheme: if options.tls { "rediss" } else { "redis" },
            _sentinel: sentinel,
        })
    }

    /// Waits until the replica has all that the first master has.
    ///
    /// # Panics
    ///
    /// If it has not within some seconds.
    pub fn wait_until_copied(&self) {
        wait_until("the replica has the rest", || {
            let offset = |server: &Server| {
                let info = text(&server.command(&["INFO", "replication"]));
                let offset = info
                    .lines()
                    .find(|line| line.starts_with("master_repl_offset:"));
                offset.map(str::to_owned)
            };
            let master = self.master.as_ref()?;
            (offset(master) == offset(&self.replica)).then_some(())
        });
    }

    /// Has the sentinel put the replica in the place of the first master, which lives on, and waits
    /// until that has become a replica.
    ///
    /// # Panics
    ///
    /// If it has not within some seconds.
    pub fn fail_over(&self) {
        let address = format!("redis://127.0.0.1:{}", self.admin_port);
        let client = redis::Client::open(address).expect("an address");
        let mut sentinel = client.get_connection().expect("it can be reached");
        let mut fail_over = redis::cmd("SENTINEL");
        fail_over.arg("FAILOVER").arg("main");
        wait_until("the sentinel knows the replica well enough", || {
            fail_over.exec(&mut sentinel).ok()
        });
        wait_until("the first master follows", || {
            // The sentinel ends connections meanwhile.
            let mut master = self.master.as_ref()?.try_admin().ok()?;
            let mut ask = redis::cmd("INFO");
            let info = ask.arg("replication").query(&mut master).ok()?;
            text(&info).contains("role:slave").then_some(())
        });
    }

    /// The address of whoever is the master, for the user `limiter`.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "{}+sentinel://limiter:limiter@127.0.0.1:{}/main",
            self.scheme, self.sentinel_port
        )
    }
}

/// Starts a sentinel over a master, and waits until it knows the replica; its plain port, and the
/// one that others use.
fn watch(options: &Options, master: &Server) -> (u16, u16, Process) {
    let (plain_port, tls_port) = (free_port(), free_port());
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        format!("port {plain_port}"),
        format!("sentinel monitor main 127.0.0.1 {} 1", master.public_port()),
        "sentinel down-after-milliseconds main 300".to_owned(),
        "sentinel failover-timeout main 2000".to_owned(),
    ];
    if options.tls {
        lines.push(format!("tls-port {tls_port}"));
    }
    for (name, value) in options.settings.iter().filter(|(name, _)| is_of_tls(name)) {
        lines.push(format!("{name} {value}"));
    }
    let sentinel = Process::run(&["--sentinel"], &lines, new_folder(&options.files));
    wait_until("the sentinel knows the replica", || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{plain_port}")).ok()?;
        let mut connection = client.get_connection().ok()?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("REPLICAS").arg("main");
        match ask.query::<Value>(&mut connection).ok()? {
            Value::Array(replicas) if !replicas.is_empty() => Some(()),
            _ => None,
        }
    });
    let public_port = if options.tls { tls_port } else { plain_port };
    (plain_port, public_port, sentinel)
}

fn is_of_tls(setting: &str) -> bool {
    setting.starts_with("tls-")
}

fn id(node: &Server) -> String {
    text(&node.command(&["CLUSTER", "MYID"]))
}

/// Whether a line of `CLUSTER NODES` has a slot.
fn owns(line: &str, slot: &str) -> bool {
    let Ok(slot) = slot.parse::<u16>() else {
        return false;
    };
    line.split(' ').skip(8).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&slot),
            _ => false,
        }
    })
}

/// The text of an answer.
fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::VerbatimString { text, .. } => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

const NODES: usize = 3;
const SLOTS: usize = 16_384;
