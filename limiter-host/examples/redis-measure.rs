//! How fast decisions are on a server of this machine, beside a bare `INCR` with `PEXPIRE`:
//! `cargo run --release -p limiter-host --example redis-measure --features redis`.

use limiter_host::core::{
    HashKey, Instant, Kind, Method, Now, Plan, Policy, Registration, Request,
};
use limiter_host::redis::{RedisConfig, RedisLimiter};
use limiter_redis_servers::Server;
use redis::aio::MultiplexedConnection;
use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start().ok_or("there is no redis-server")?;
    println!(
        "{:<44} {:>10} {:>8} {:>8}",
        "", "a second", "p50 us", "p99 us"
    );
    let client = redis::Client::open(server.url().replace("limiter:limiter@", ""))?;
    for tasks in [1, 32] {
        let connection = client.get_multiplexed_async_connection().await?;
        let bare = move |i: usize| bare(connection.clone(), i);
        report(
            "INCR and PEXPIRE, one connection",
            tasks,
            measure(tasks, bare).await,
        );
        let limiter = limiter(&server, 1, tasks).await?;
        let trips = limiter.clone();
        let check = move |i: usize| check(limiter.clone(), Method::Get, i);
        report("a read, one connection", tasks, measure(tasks, check).await);
        let check = move |i: usize| self::check(trips.clone(), Method::Post, i);
        report(
            "a write, one connection",
            tasks,
            measure(tasks, check).await,
        );
    }
    let limiter = limiter(&server, 1, 99).await?;
    let requests: Vec<Request> = (0..256).map(|i| request(i, Method::Get)).collect();
    let batch = move |_| {
        let (limiter, requests) = (limiter.clone(), requests.clone());
        async move {
            let _ = limiter.check_many(&requests, now()).await;
        }
    };
    let Figures { rate, p50, p99 } = measure(1, batch).await;
    report(
        "256 reads, pipelined",
        1,
        Figures {
            rate: rate * 256,
            p50,
            p99,
        },
    );
    for lease in [1, 10, 100] {
        let limiter = self::limiter(&server, lease, 100 + lease as usize).await?;
        for _ in 0..1_000 {
            check(limiter.clone(), Method::Post, 0).await;
        }
        let trips = limiter.store_statistics().round_trips;
        println!("round trips for 1000 decisions, lease {lease}: {trips}");
    }
    Ok(())
}

async fn limiter(server: &Server, lease: u32, run: usize) -> Result<RedisLimiter, Box<dyn Error>> {
    let policy = Policy::builder()
        .window(Duration::from_secs(86_400))
        .plan(Plan::new(0), 1_000_000, 1_000_000)
        .daily_limit(1_000_000_000)
        .build()?;
    let config = RedisConfig::from_url(&server.url())?
        .key_prefix(&format!("limiter:{run}"))
        .response_timeout(Duration::from_secs(30))
        .lease(NonZeroU32::new(lease).ok_or("a lease is not 0")?);
    let limiter = RedisLimiter::connect(policy, config).await?;
    for i in 0..TOKENS {
        let user = key().user(&i.to_le_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        limiter
            .register(key().token(&i.to_le_bytes()), registration)
            .await?;
    }
    Ok(limiter)
}

async fn bare(mut connection: MultiplexedConnection, i: usize) {
    let name = format!("bare:{}", i % TOKENS);
    let mut pipeline = redis::pipe();
    pipeline
        .cmd("INCR")
        .arg(&name)
        .cmd("PEXPIRE")
        .arg(&name)
        .arg(2_000);
    let done = pipeline.query_async::<()>(&mut connection).await;
    done.expect("the server is there");
}

async fn check(limiter: RedisLimiter, method: Method, i: usize) {
    let decision = limiter.check(&request(i, method), now()).await;
    assert!(decision.is_admitted(), "{decision:?}");
}

struct Figures {
    rate: u128,
    p50: u128,
    p99: u128,
}

/// Asks from so many tasks for some seconds.
#[expect(clippy::disallowed_methods, reason = "this measures real time")]
async fn measure<F>(tasks: usize, ask: impl Fn(usize) -> F + Clone + Send + 'static) -> Figures
where
    F: Future<Output = ()> + Send,
{
    use std::time::Instant as Moment;
    let began = Moment::now();
    let running = (0..tasks).map(|task| {
        let ask = ask.clone();
        tokio::spawn(async move {
            let mut spans = Vec::new();
            let mut i = task;
            while began.elapsed() < SPAN {
                let asked = Moment::now();
                ask(i).await;
                spans.push(asked.elapsed().as_nanos());
                i += tasks;
            }
            spans
        })
    });
    let running: Vec<_> = running.collect();
    let mut spans = Vec::new();
    for task in running {
        spans.extend(task.await.expect("it does not panic"));
    }
    let elapsed = began.elapsed().as_millis().max(1);
    spans.sort_unstable();
    Figures {
        rate: spans.len() as u128 * 1_000 / elapsed,
        p50: spans[spans.len() / 2] / 1_000,
        p99: spans[spans.len() * 99 / 100] / 1_000,
    }
}

fn report(what: &str, tasks: usize, Figures { rate, p50, p99 }: Figures) {
    let what = format!("{what}, {tasks} at once");
    println!("{what:<44} {rate:>10} {p50:>8} {p99:>8}");
}

fn request(i: usize, method: Method) -> Request {
    Request::new(key().token(&(i % TOKENS).to_le_bytes()), method)
}

fn key() -> HashKey {
    HashKey::new([7; 16])
}

fn now() -> Now {
    Now::new(Instant::ZERO, None)
}

const TOKENS: usize = 64;
const SPAN: Duration = Duration::from_secs(3);
