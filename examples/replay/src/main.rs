//! The command line tool: files in, decisions out, a summary for a person. The rest is the library.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use limiter_core::Plan;
use limiter_host::config::ConfigError;
use replay::args::Args;
use replay::backend::{BackendError, BackendName, TableSize};
use replay::input::{ReadError, Reader, Reading};
use replay::progress::{Progress, Step};
use replay::run::{Output, RunError, run};
use replay::setup::{Setup, SetupError};
use replay::summary::{Summary, Times};
use replay::tally::Tally;

fn main() -> ExitCode {
    match replay(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody left to tell if standard error has gone too.
            let _ = match &failure {
                // Lines that begin with their place, as editors read them.
                Failure::Setup(SetupError::Policy(ConfigError::Mistakes { .. })) => {
                    writeln!(io::stderr(), "{failure}")
                }
                _ => writeln!(io::stderr(), "replay: {failure}"),
            };
            failure.exit_code()
        }
    }
}

fn replay(args: &Args) -> Result<(), Failure> {
    let setup = Setup::of(args)?;
    let (reading, read) = timed(|| read(args, &setup.reader(args)));
    let reading = reading.map_err(|error| Failure::Input(name(&args.trace), error))?;

    let fitting = || TableSize::for_log(&reading.log);
    let table = args.table.unwrap_or_else(fitting);
    let mut backend = args.backend.build(&setup.policy, table)?;
    let mut output = Output::new(BufWriter::with_capacity(1 << 16, io::stdout().lock()));
    let mut bar = deciding(args, &reading);
    let note = |at| bar.at(at);
    let (tally, decided) = timed(|| run(&reading.log, &mut *backend, None, &mut output, note));
    bar.done();
    let tally = tally?;
    if args.quiet {
        return Ok(());
    }

    let (plans, plans_time) = timed(|| under_each_plan(&reading, &setup));
    let summary = Summary {
        reading: &reading,
        backend: &args.backend,
        tally: &tally,
        statistics: backend.statistics(),
        plans: &plans?,
        times: Times {
            read,
            decided,
            plans: plans_time,
        },
    };
    // A summary that nobody can see is no failure.
    let _ = write!(io::stderr(), "{summary}");
    Ok(())
}

/// Reads and checks the whole log.
fn read(args: &Args, reader: &Reader<'_>) -> Result<Reading, ReadError> {
    let (source, total): (Box<dyn Read>, Option<u64>) = if args.trace == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(&args.trace)?;
        let about = file.metadata()?;
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let mut bar = bar(args, || Step {
        verb: "reading",
        unit: "bytes",
        total,
        large_from: 8 << 20,
    });
    let reading = reader.read(BufReader::with_capacity(1 << 16, source), |at| bar.at(at));
    bar.done();
    reading
}

fn deciding(args: &Args, reading: &Reading) -> Progress {
    bar(args, || Step {
        verb: "deciding",
        unit: "requests",
        total: Some(reading.log.entries().len() as u64),
        large_from: 1_000_000,
    })
}

fn bar(args: &Args, step: impl FnOnce() -> Step) -> Progress {
    if args.quiet {
        Progress::none()
    } else {
        Progress::of(step())
    }
}

/// Decides the log anew with all callers on one plan, for each plan of the policy.
fn under_each_plan<'a>(
    reading: &Reading,
    setup: &'a Setup,
) -> Result<Vec<(&'a str, Tally)>, RunError> {
    let one = |(name, plan): (&'a str, Plan)| {
        let table = TableSize::for_log(&reading.log);
        let mut backend = BackendName::Core.build(&setup.policy, table)?;
        let nowhere = &mut Output::none();
        let tally = run(&reading.log, &mut *backend, Some(plan), nowhere, |_| ())?;
        Ok((name, tally))
    };
    setup.plans.iter().map(one).collect()
}

fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person is told how long it took; no decision looks at it"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Why there are no decisions, or not all.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}: {1}")]
    Input(String, ReadError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl Failure {
    /// 2 where the input is wrong, 1 where the world is.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Input(_, ReadError::Bad(_)) => 2,
            Self::Setup(error) if error.is_users() => 2,
            Self::Input(..) | Self::Setup(_) | Self::Run(_) | Self::Backend(_) => 1,
        })
    }
}
