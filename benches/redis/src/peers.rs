//! Others who limit rates by asking a server. Each is given the same tokens and a limit of a million
//! in two seconds, which nobody reaches; those who can are given the day as well.

use crate::World;
use crate::floor::{command, connect, of};
use crate::shape::{Shape, Subject, ask, name};
use limitador::AsyncRateLimiter;
use limitador::limit::{Context, Limit};
use limitador::storage::redis::AsyncRedisStorage;
use limiter_redis_servers::{free_port, wait_until};
use std::collections::HashMap;
use std::error::Error;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

pub async fn subjects(world: &World, shape: &Shape) -> Result<Vec<Subject>, Box<dyn Error>> {
    let mut subjects = Vec::new();
    // It has no call for many.
    if shape.batch == 1 {
        subjects.push(limitador(world, shape, "limitador, window", &[2]).await?);
        subjects.push(limitador(world, shape, "limitador, window and day", &[2, 86_400]).await?);
    }
    if world.has_cell {
        let mut asks = Vec::new();
        for _ in 0..shape.connections {
            let connection = connect(world.server.port()).await?;
            asks.push(of(&connection, shape.batch, |pipeline, i| {
                let mut throttle = command("CL.THROTTLE", &name("cell", i));
                throttle.arg(LIMIT).arg(LIMIT).arg(PERIOD_SECS).arg(1);
                pipeline.add_command(throttle);
            }));
        }
        subjects.push(Subject {
            name: "redis-cell".to_owned(),
            lacks: "no day or block; a bucket, in a module that managed servers do not load",
            asks,
        });
    }
    if let Some(throttlecrab) = &world.throttlecrab {
        let mut asks = Vec::new();
        for _ in 0..shape.connections {
            let connection = connect(throttlecrab.port).await?;
            asks.push(of(&connection, shape.batch, |pipeline, i| {
                let mut throttle = command("THROTTLE", &name("crab", i));
                throttle.arg(LIMIT).arg(LIMIT).arg(PERIOD_SECS);
                pipeline.add_command(throttle);
            }));
        }
        subjects.push(Subject {
            name: "throttlecrab-server".to_owned(),
            lacks: "no day or block; not Redis: one process that forgets all when it ends, no replica, no cluster",
            asks,
        });
    }
    Ok(subjects)
}

/// limitador on its Redis store, with a limit for each of these windows in seconds.
async fn limitador(
    world: &World,
    shape: &Shape,
    subject: &str,
    windows: &[u64],
) -> Result<Subject, Box<dyn Error>> {
    let mut asks = Vec::new();
    for _ in 0..shape.connections {
        let url = format!("redis://127.0.0.1:{}", world.server.port());
        let storage = Box::new(AsyncRedisStorage::new(&url).await?);
        let limiter = Arc::new(AsyncRateLimiter::new_with_storage(storage));
        for &seconds in windows {
            let variable = "token".to_owned().try_into()?;
            let limit = if seconds > 2 { 1_000_000_000 } else { LIMIT };
            limiter.add_limit(Limit::new(subject, limit, seconds, [], [variable]));
        }
        let namespace: limitador::limit::Namespace = subject.into();
        asks.push(ask(move |i| {
            let (limiter, namespace) = (Arc::clone(&limiter), namespace.clone());
            async move {
                let values = HashMap::from([("token".to_owned(), name("limitador", i))]);
                let context = Context::from(values);
                let checked = limiter.check_rate_limited_and_update(&namespace, &context, 1);
                let checked = checked.await.expect("the server is there");
                assert!(!checked.limited);
            }
        }));
    }
    Ok(Subject {
        name: subject.to_owned(),
        lacks: if windows.len() > 1 {
            "two round trips, not one step: requests at once pass the limit; a day of 24 h from the first request; no block"
        } else {
            "two round trips, not one step: requests at once pass the limit; no day or block"
        },
        asks,
    })
}

/// throttlecrab's server, which ends with this.
pub struct Throttlecrab {
    process: Child,
    port: u16,
}

impl Throttlecrab {
    pub fn start(program: &str) -> Result<Self, Box<dyn Error>> {
        let port = free_port();
        let process = Command::new(program)
            .args(["--redis", "--redis-host", "127.0.0.1", "--redis-port"])
            .args([&port.to_string(), "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let started = Self { process, port };
        wait_until("throttlecrab answers", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Ok(started)
    }
}

impl Drop for Throttlecrab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const LIMIT: u64 = 1_000_000;
const PERIOD_SECS: u32 = 2;
