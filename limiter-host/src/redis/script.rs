//! The scripts, and how one is called: by its hash, and in full where the server does not know it.

use super::link::Connection;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, Value};
use std::sync::LazyLock;

/// A script and the hash under which servers keep it.
#[derive(Debug)]
pub(super) struct Program {
    code: &'static str,
    hash: String,
}

impl Program {
    fn new(code: &'static str) -> Self {
        let hash = Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }

    /// The command that calls the script by its hash.
    pub(super) fn call(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.hash, keys, arguments)
    }

    /// The command that calls the script and makes it known.
    pub(super) fn call_in_full(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        command("EVAL", self.code, keys, arguments)
    }

    /// Runs the script: one round trip, and one more where the server had forgotten it.
    pub(super) async fn run(
        &self,
        connection: &mut Connection,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> RedisResult<Value> {
        match self.call(keys, arguments).query_async(connection).await {
            Err(error) if is_forgotten(&error) => {
                self.call_in_full(keys, arguments)
                    .query_async(connection)
                    .await
            }
            result => result,
        }
    }
}

/// Whether the server does not know the script: it was restarted, or told to forget.
pub(super) fn is_forgotten(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn command(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let of_keys: usize = keys.iter().map(|key| key.len()).sum();
    let of_arguments: usize = arguments.iter().map(|argument| argument.len()).sum();
    let bytes = name.len() + script.len() + COUNT_DIGITS + of_keys + of_arguments;
    let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), bytes);
    command.arg(name).arg(script).arg(keys.len()).arg(keys);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// The most that the number of keys takes.
const COUNT_DIGITS: usize = 1;

/// A decision.
pub(super) static CHECK: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("check.lua")));
/// Every command that is needed.
pub(super) static PROBE: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("probe.lua")));
/// Permits that go back.
pub(super) static GIVE_BACK: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("give_back.lua")));
/// The end of a block.
pub(super) static UNBLOCK: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("unblock.lua")));
/// A record that says nothing any more.
pub(super) static FORGET: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("forget.lua")));
/// Strikes that are over.
pub(super) static FORGIVE: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("forgive.lua")));
