//! What a counter that ends costs on Redis: the floor. None of these refuses anybody; the last is
//! what people write who want a window that begins with its first request.

use crate::World;
use crate::shape::{Ask, Shape, Subject, ask, name};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisResult, Script};
use std::error::Error;
use std::time::Duration;

/// Whom all others are compared with.
pub const FLOOR: &str = "INCR and PEXPIRE";

pub async fn subjects(world: &World, shape: &Shape) -> Result<Vec<Subject>, Box<dyn Error>> {
    let none = "no decision: only counts";
    let mut plain = Vec::new();
    let mut transaction = Vec::new();
    let mut script = Vec::new();
    let code = Script::new(COUNT);
    let (batch, hash) = (shape.batch, code.get_hash().to_owned());
    for _ in 0..shape.connections {
        let connection = connect(world.server.port()).await?;
        code.load_async(&mut connection.clone()).await?;
        plain.push(of(&connection, batch, |pipeline, i| {
            let key = name("bare", i);
            pipeline.add_command(command("INCR", &key));
            pipeline.add_command(command("PEXPIRE", &key).arg(WINDOW_MS).clone());
        }));
        transaction.push(in_transaction(&connection, batch));
        let hash = hash.clone();
        script.push(of(&connection, batch, move |pipeline, i| {
            let mut call = command("EVALSHA", &hash);
            call.arg(1).arg(name("script", i)).arg(WINDOW_MS);
            pipeline.add_command(call);
        }));
    }
    let subject = |name: &str, asks| Subject {
        name: name.to_owned(),
        lacks: none,
        asks,
    };
    Ok(vec![
        subject(FLOOR, plain),
        subject("MULTI, INCR, PEXPIRE, EXEC", transaction),
        subject("a script: INCR, PEXPIRE at first", script),
    ])
}

/// A connection with the limiter's settings.
pub async fn connect(port: u16) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(Duration::from_secs(30)));
    redis::Client::open(format!("redis://127.0.0.1:{port}"))?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

pub fn command(name: &str, first: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(first);
    command
}

/// Pipelines of what `add` adds for each token.
pub fn of(
    connection: &MultiplexedConnection,
    batch: usize,
    add: impl Fn(&mut Pipeline, usize) + Send + Sync + 'static,
) -> Ask {
    let connection = connection.clone();
    ask(move |first| {
        let mut pipeline = Pipeline::new();
        for i in first..first + batch {
            add(&mut pipeline, i);
        }
        let mut connection = connection.clone();
        async move {
            let done: RedisResult<Vec<redis::Value>> = pipeline.query_async(&mut connection).await;
            done.expect("the server is there");
        }
    })
}

/// A transaction for all of a batch.
fn in_transaction(connection: &MultiplexedConnection, batch: usize) -> Ask {
    of(connection, batch, |pipeline, i| {
        let key = name("multi", i);
        pipeline.atomic();
        pipeline.add_command(command("INCR", &key));
        pipeline.add_command(command("PEXPIRE", &key).arg(WINDOW_MS).clone());
    })
}

const WINDOW_MS: u32 = 2_000;
const COUNT: &str = "local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return used";
