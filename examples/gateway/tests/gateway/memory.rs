//! The memory that connections take in each state that a client can put them into.
#![cfg(target_os = "linux")]

use crate::program::{Program, command, file};
use clap::Parser as _;
use gateway::Args;
use gateway::memory::Memory;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A state that clients put their connections into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A request was answered, and no other comes.
    Idle,
    /// A head of 15 KiB, and not its end.
    HalfAHead,
    /// A body that is sent as fast as it is taken, to a server behind that reads nothing.
    SlowUpload,
    /// An answer without an end, of which nothing is read.
    SlowDownload,
    /// Both of these in one request.
    Both,
    /// Requests one after the other, whose answers are not read.
    Pipelined,
}

const STATES: [State; 6] = [
    State::Idle,
    State::HalfAHead,
    State::SlowUpload,
    State::SlowDownload,
    State::Both,
    State::Pipelined,
];

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "idle after a request",
            Self::HalfAHead => "half a head, 15 KiB",
            Self::SlowUpload => "slow upload",
            Self::SlowDownload => "slow download",
            Self::Both => "slow upload and download",
            Self::Pipelined => "pipelined, not read",
        })
    }
}

impl State {
    /// The first bytes of a connection, and those that are sent again and again after them.
    fn sends(self) -> (String, Vec<u8>) {
        let fields = "host: h\r\nx-api-token: t\r\n";
        let post = |path| {
            let length = "content-length: 60000000\r\n\r\n";
            (
                format!("POST {path} HTTP/1.1\r\n{fields}{length}"),
                vec![b'x'; 16_384],
            )
        };
        let get = |path| format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
        match self {
            Self::Idle => (get("/short"), Vec::new()),
            Self::HalfAHead => (
                format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(15 * 1_024)),
                Vec::new(),
            ),
            Self::SlowUpload => post("/stuck"),
            Self::SlowDownload => (get("/endless"), Vec::new()),
            Self::Both => post("/endless"),
            Self::Pipelined => (String::new(), get("/short").repeat(64).into_bytes()),
        }
    }
}

/// A server behind: nothing of a request after its head is read below `/stuck` and `/endless`, and the answer of
/// the latter has no end.
async fn upstream(moved: Arc<AtomicU64>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut behind = JoinSet::new();
    behind.spawn(async move {
        let mut answers = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            answers.spawn(answer(stream, Arc::clone(&moved)));
        }
    });
    (format!("http://{address}"), behind)
}

async fn answer(mut stream: TcpStream, moved: Arc<AtomicU64>) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if head.windows(6).any(|part| part == b"/stuck") {
            return std::future::pending().await;
        }
        if head.windows(8).any(|part| part == b"/endless") {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                moved.fetch_add(
                    stream.write(&[b'x'; 16_384]).await? as u64,
                    Ordering::Relaxed,
                );
            }
        }
        head.clear();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await?;
    }
}

/// Puts a connection into a state, and keeps it there.
async fn hold(address: String, state: State, moved: Arc<AtomicU64>) {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return;
    };
    let (first, more) = state.sends();
    let run = async {
        stream.write_all(first.as_bytes()).await?;
        moved.fetch_add(first.len() as u64, Ordering::Relaxed);
        if state == State::Idle {
            moved.fetch_add(
                stream.read(&mut [0; 4_096]).await? as u64,
                Ordering::Relaxed,
            );
        }
        while !more.is_empty() {
            moved.fetch_add(stream.write(&more).await? as u64, Ordering::Relaxed);
        }
        io::Result::Ok(())
    };
    let _ = run.await;
    std::future::pending().await
}

/// The memory of a program, in KiB.
struct Measured {
    /// Before a client came.
    start: u64,
    /// The most that it has held.
    peak: u64,
    /// After all clients, and the server behind, have gone.
    after: u64,
    /// All that its flags can take, without the system's part.
    stated: u64,
}

async fn measure(state: State, connections: usize) -> Measured {
    let moved = Arc::new(AtomicU64::new(0));
    let (upstream, mut behind) = upstream(Arc::clone(&moved)).await;
    let most = connections.to_string();
    let policy = "window = '2s'\nplans.any = { api_token = 1, access_token = 1 }\n";
    let policy = file("memory-policy.toml", policy);
    let tokens = "[[tokens]]\ntoken = 't'\nuser = 'u'\nlimit = 1000000\n";
    let tokens = file("memory-tokens.toml", tokens);
    let flags = [
        &["--listen", "127.0.0.1:0", "--upstream", &upstream][..],
        &["--max-connections", &most, "--max-per-token", &most],
        &["--max-per-address", &most, "--idle-timeout", "600"],
        &[
            "--upstream-timeout",
            "600",
            "--policy",
            &policy,
            "--tokens",
            &tokens,
        ],
    ]
    .concat();
    let settings = Args::try_parse_from([&["gateway"], &flags[..]].concat()).unwrap();
    let stated = Memory::of(&settings.settings().unwrap()).of_process() / 1_024;
    let mut command = command(&flags);
    // As the unit has it.
    for setting in unit()
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="))
    {
        command.envs(setting.split(' ').filter_map(|pair| pair.split_once('=')));
    }
    let program = Program::spawn(command);
    let start = program.peak_kib();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(hold(
            program.address().to_owned(),
            state,
            Arc::clone(&moved),
        ));
    }
    // Until nothing moves.
    let mut seen = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = moved.load(Ordering::Relaxed);
        if now != 0 && now == seen {
            break;
        }
        seen = now;
    }
    let peak = program.peak_kib();
    clients.shutdown().await;
    behind.shutdown().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = program.resident_kib().unwrap();
    Measured {
        start,
        peak,
        after,
        stated,
    }
}

fn unit() -> &'static str {
    include_str!("../../gateway.service")
}

mod attack {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "an attack: minutes"]
    async fn no_state_of_connections_takes_more_than_the_flags_say_and_most_of_it_comes_back() {
        println!("| connections | state | KiB each | at most, MiB | stated | afterwards |");
        println!("|---|---|---|---|---|---|");
        let mut broke = Vec::new();
        for connections in [512, 4_096] {
            for state in STATES {
                let measured = measure(state, connections).await;
                let Measured {
                    start,
                    peak,
                    after,
                    stated,
                } = measured;
                let number = u64::try_from(connections).unwrap();
                let (each, [peak_mib, stated_mib, after_mib]) = (
                    (peak - start) / number,
                    [peak, stated, after].map(|kib| kib / 1_024),
                );
                println!(
                    "| {connections} | {state} | {each} | {peak_mib} | {stated_mib} | {after_mib} |"
                );
                if peak > stated || after > start + 16 * 1_024 + number * KEPT_KIB {
                    broke.push(format!("{connections} {state}"));
                }
            }
        }
        assert!(broke.is_empty(), "{broke:?}");
    }

    /// The part of a connection that the allocator may keep for others to come.
    const KEPT_KIB: u64 = 32;
}
