//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::backend::{Pick, TableSize};
use crate::input::Format;

/// Replays a log through the limiter: one decision a line on standard output, a summary on standard
/// error.
///
/// The whole input is read and checked before the first decision is written. Exit code 2: a line, a
/// file or a flag is wrong, and nothing has been written; 1: something cannot be read or written.
#[derive(Clone, Debug, Parser)]
#[command(name = "replay", version)]
pub struct Args {
    /// The log; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub trace: PathBuf,

    /// How the log is written
    #[arg(long, value_enum, default_value = "trace")]
    pub format: Format,

    /// A TOML file of limits; by default they are those of the preset
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The plan of all callers, whatever the log says; an access log says `essential`
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,

    /// Who decides: core, shared, concurrent or model; or a store's address, such as
    /// redis://127.0.0.1, if built with the feature `redis`
    #[arg(long, value_name = "NAME", default_value = "core")]
    pub backend: Pick,

    /// Rows of the limiter's table; by default as many as the log needs and more
    #[arg(long, value_name = "TOKENS,USERS")]
    pub table: Option<TableSize>,

    /// A file of 16 bytes, the key under which tokens are hashed; by default a new one each time
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Leave bad lines out, and say how many there were
    #[arg(long)]
    pub skip_bad: bool,

    /// No summary and no progress bar
    #[arg(long)]
    pub quiet: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn args(rest: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["replay", "--trace", "-"].iter().chain(rest))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_wrong_value_is_answered_with_the_right_ones() {
        for (rest, part) in [
            (["--backend", "redis"], "core, shared, concurrent, model"),
            (["--table", "5"], "TOKENS,USERS"),
            (["--format", "csv"], "trace, clf"),
        ] {
            let error = args(&rest).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
