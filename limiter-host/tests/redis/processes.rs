//! Several processes on one store, all hammering: never more than the limits by the server's clock,
//! and a history that the model could have had.
//!
//! A process is this very program, told to run [`hammer`] alone. It writes a line for each decision.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroU32;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use limiter_core::{Decision, Plan, Policy};
use limiter_redis_servers::Server;
use limiter_suite::Seen;

use crate::history;
use crate::instances::{admitted, at, limiter, patient, policy, post};

/// One request of a history: between which readings of the server's clock it was decided, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) begun_us: u64,
    pub(crate) ended_us: u64,
    /// The word of the trace format; `admitted`.
    pub(crate) word: String,
    pub(crate) remaining: u64,
    pub(crate) reset_ms: u64,
    pub(crate) daily_left: u64,
    /// 0 where there is none.
    pub(crate) retry_after_ms: u64,
}

impl Asked {
    pub(crate) fn is_admitted(&self) -> bool {
        self.word == "admitted"
    }

    fn new(name: &str, begun_us: u64, ended_us: u64, decision: &Decision) -> Self {
        let seen = Seen::from(decision);
        Self {
            name: name.to_owned(),
            begun_us,
            ended_us,
            word: seen.word.unwrap_or("admitted").to_owned(),
            remaining: seen.remaining.expect("a known token"),
            reset_ms: seen.reset_ms.expect("a known token"),
            daily_left: seen.daily_left.expect("a write"),
            retry_after_ms: seen.retry_after_ms.unwrap_or(0),
        }
    }
}

/// A line; the inverse of `from_str`.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            begun_us,
            ended_us,
            word,
            remaining,
            reset_ms,
            daily_left,
            retry_after_ms,
        } = self;
        write!(
            f,
            "{LINE}{name} {word} {begun_us} {ended_us} {remaining} {reset_ms} {daily_left} {retry_after_ms}"
        )
    }
}

impl FromStr for Asked {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<&str> = line.strip_prefix(LINE).ok_or(())?.split(' ').collect();
        let [name, word, numbers @ ..] = &words[..] else {
            return Err(());
        };
        let numbers: Result<Vec<u64>, _> = numbers.iter().map(|number| number.parse()).collect();
        let [
            begun_us,
            ended_us,
            remaining,
            reset_ms,
            daily_left,
            retry_after_ms,
        ] = numbers.map_err(|_| ())?[..]
        else {
            return Err(());
        };
        Ok(Self {
            name: (*name).to_owned(),
            begun_us,
            ended_us,
            word: (*word).to_owned(),
            remaining,
            reset_ms,
            daily_left,
            retry_after_ms,
        })
    }
}

/// What a process is to do.
#[derive(Clone, Debug)]
struct Orders {
    token: &'static str,
    port: u16,
    window_ms: u64,
    window_limit: u32,
    daily_limit: u32,
    /// Permits of a round trip; above 1, refusals are remembered too.
    lease: u32,
}

impl Orders {
    fn policy(&self) -> Policy {
        Policy::builder()
            .window(Duration::from_millis(self.window_ms))
            .plan(Plan::new(0), self.window_limit, self.window_limit)
            .daily_limit(self.daily_limit)
            .build()
            .expect("a policy")
    }

    fn start(&self, server: &Server) -> Hammer {
        let Self {
            token,
            port,
            window_ms,
            window_limit,
            daily_limit,
            lease,
        } = self;
        let url = server.url();
        let orders =
            format!("{token} {url} {port} {window_ms} {window_limit} {daily_limit} {lease}");
        let mut child = Command::new(std::env::current_exe().expect("it runs"))
            .args(["processes::hammer", "--exact", "--ignored", "--nocapture"])
            .env(ORDERS, orders)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it ran before");
        let output = child.stdout.take().expect("it is piped");
        let mut hammer = Hammer {
            child,
            output: BufReader::new(output),
        };
        while hammer.line().expect("it gets ready") != READY {}
        hammer
    }
}

/// A process that hammers; it ends when this is dropped.
struct Hammer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Hammer {
    /// Lets it begin.
    fn go(&mut self) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(b"go\n").expect("it reads");
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("text");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next decision; `None` at the end.
    fn asked(&mut self) -> Option<Asked> {
        loop {
            let line = self.line()?;
            // What the test harness says of itself is no decision.
            if let Ok(asked) = line.parse() {
                return Some(asked);
            }
        }
    }

    /// All decisions to the end, which must be a good one.
    fn all(mut self) -> Vec<Asked> {
        let asked = std::iter::from_fn(|| self.asked()).collect();
        assert!(self.child.wait().expect("it ends").success());
        asked
    }
}

impl Drop for Hammer {
    fn drop(&mut self) {
        // OK because it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the processes do that the other tests start: writes on and on until the day is used up.
#[tokio::test]
#[ignore = "a process of the other tests, which tell it what to do"]
async fn hammer() {
    let orders = std::env::var(ORDERS).expect("started by another test");
    let orders: Vec<&str> = orders.split(' ').collect();
    let [token, url, numbers @ ..] = &orders[..] else {
        panic!("no orders: {orders:?}");
    };
    let numbers: Vec<u32> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
    let [port, window_ms, window_limit, daily_limit, lease] = numbers[..] else {
        panic!("no orders: {orders:?}");
    };
    let orders = Orders {
        token: "",
        port: u16::try_from(port).expect("a port"),
        window_ms: window_ms.into(),
        window_limit,
        daily_limit,
        lease,
    };
    let mut config = patient(url).lease(NonZeroU32::new(lease).expect("not 0"));
    if lease == 1 {
        config = config.refusal_cache(Duration::ZERO);
    }
    let limiter = limiter(orders.policy(), config).await;
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("an address");
    let mut clock = client.get_connection().expect("the server is there");
    let mut now_us = || {
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(&mut clock).expect("a time");
        seconds * 1_000_000 + micros
    };
    println!("\n{READY}");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).expect("a word");
    let mut over = 0;
    while over < 3 {
        let begun_us = now_us();
        let decision = limiter.check(&post(token), at(begun_us / 1_000)).await;
        let asked = Asked::new(token, begun_us, now_us(), &decision);
        over += u32::from(asked.word == "daily");
        println!("{asked}");
    }
    limiter.close().await;
}

/// Starts a process for each token named, lets all begin at once, and collects what they saw.
fn hammered(server: &Server, orders: &Orders, tokens: &[&'static str]) -> Vec<Asked> {
    let mut hammers: Vec<Hammer> = tokens
        .iter()
        .map(|token| {
            Orders {
                token,
                ..orders.clone()
            }
            .start(server)
        })
        .collect();
    hammers.iter_mut().for_each(Hammer::go);
    let readers = hammers
        .into_iter()
        .map(|hammer| std::thread::spawn(|| hammer.all()));
    let readers: Vec<_> = readers.collect();
    let seen = readers
        .into_iter()
        .map(|reader| reader.join().expect("no panic"));
    seen.flatten().collect()
}

#[test]
fn the_history_of_many_processes_is_one_that_the_model_could_have_had() {
    let Some(server) = Server::start() else {
        return;
    };
    let orders = Orders {
        token: "",
        port: server.port(),
        window_ms: 250,
        window_limit: 15,
        daily_limit: 200,
        lease: 1,
    };
    // A midnight of the server's clock would begin another day, and so another history.
    let (histories, history) = (1..)
        .map(|count| {
            server.command(&["FLUSHALL"]);
            (
                count,
                hammered(&server, &orders, &["a", "b", "a", "b", "a"]),
            )
        })
        .find(|(_, history)| {
            let days = history.iter().map(|asked| asked.ended_us / 86_400_000_000);
            days.clone().min() == days.max()
        })
        .expect("midnight passes once");
    assert!(histories <= 2);
    history::check(&orders.policy(), history);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_hold_permits_ahead_keep_to_the_limits_and_a_killed_one_loses_a_lease_at_most()
 {
    let Some(server) = Server::start() else {
        return;
    };
    const LEASE: u32 = 10;
    let orders = Orders {
        token: "a",
        port: server.port(),
        window_ms: 86_400_000,
        window_limit: 600,
        daily_limit: 900,
        lease: LEASE,
    };
    let mut dying = orders.start(&server);
    dying.go();
    let mut seen: Vec<Asked> = (0..25).map(|_| dying.asked().expect("a permit")).collect();
    dying.child.kill().expect("it runs");
    // What it wrote until then; what it decided last may be missing.
    seen.extend(std::iter::from_fn(|| dying.asked()));
    seen.extend(hammered(&server, &orders, &["a", "b", "a", "b"]));

    let count = |name: &str| {
        let of_token = seen
            .iter()
            .filter(|asked| asked.is_admitted() && asked.name == name);
        of_token.count()
    };
    let (a, b) = (count("a"), count("b"));
    assert!(a <= 600 && b <= 600 && a + b <= 900, "{a}, {b}");
    // Nothing but what the killed one held is missing of the day.
    let fresh = limiter(policy(600, 900), patient(&server.url())).await;
    let rest = admitted(&fresh, &post("b"), 900 - a - b).await;
    let missing = 900 - a - b - rest;
    assert!(missing <= LEASE as usize, "{a}, {b}, {rest}");
}

const ORDERS: &str = "LIMITER_HAMMER";
const READY: &str = "ready to hammer";
const LINE: &str = "decided: ";
