//! The command line tool: files in, decisions out, a summary for a person. The rest is the library.
#![forbid(unsafe_code)]

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use limiter_core::{HashKey, Plan, Policy, UnixTime};
use replay::args::Args;
use replay::backend::{BackendError, BackendName, TableSize};
use replay::input::{Format, ReadError, Reader, Reading};
use replay::progress::{Progress, Step};
use replay::run::{Output, RunError, run};
use replay::summary::{Summary, Times};
use replay::tally::Tally;

fn main() -> ExitCode {
    match replay(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody left to tell if standard error has gone too.
            let _ = writeln!(io::stderr(), "replay: {failure}");
            failure.exit_code()
        }
    }
}

fn replay(args: &Args) -> Result<(), Failure> {
    let format = args.format().unwrap_or_else(|error| error.exit());
    let policy = match format {
        Format::Trace => Policy::pipedrive(),
        // A log's time is taken at its word (SPEC 11).
        Format::Clf { .. } => Policy::pipedrive().with_utc_floor(UnixTime::EPOCH),
    };
    let key = key(args.key.as_deref())?;
    let reader = Reader {
        format,
        key: &key,
        policy: &policy,
        skip_bad: args.skip_bad,
    };
    let (reading, read) = timed(|| read(args, &reader));
    let reading = reading.map_err(|error| Failure::Input(name(&args.trace), error))?;

    let table = args
        .table
        .unwrap_or_else(|| TableSize::for_log(&reading.log));
    let mut backend = args.backend.build(&policy, table)?;
    let mut output = Output::new(BufWriter::with_capacity(1 << 16, io::stdout().lock()));
    let mut bar = deciding(args, &reading);
    let (tally, decided) = timed(|| {
        run(&reading.log, &mut *backend, None, &mut output, |at| {
            bar.at(at)
        })
    });
    bar.done();
    let tally = tally?;
    if args.quiet {
        return Ok(());
    }

    let (plans, plans_time) = timed(|| under_each_plan(&reading, &policy));
    let summary = Summary {
        reading: &reading,
        backend: args.backend,
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
fn under_each_plan(reading: &Reading, policy: &Policy) -> Result<Vec<(Plan, Tally)>, RunError> {
    let kinds = limiter_core::Kind::ApiToken;
    let plans = (0..=u8::MAX).take(Policy::MAX_PLANS).map(Plan::new);
    plans
        .filter(|&plan| policy.window_limit(plan, kinds).is_some())
        .map(|plan| {
            let table = TableSize::for_log(&reading.log);
            let mut backend = BackendName::Core.build(policy, table)?;
            let nowhere = &mut Output::none();
            let tally = run(&reading.log, &mut *backend, Some(plan), nowhere, |_| ())?;
            Ok((plan, tally))
        })
        .collect()
}

/// The key of the file, or one that only this run knows.
fn key(file: Option<&Path>) -> Result<HashKey, Failure> {
    let bytes = match file {
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|error| Failure::Input(name(path), ReadError::Io(error)))?;
            <[u8; 16]>::try_from(bytes).map_err(|_| Failure::Key(name(path)))?
        }
        None => {
            let random = RandomState::new();
            let [low, high] = [0, 1].map(|half: u64| u128::from(random.hash_one(half)));
            (high << 64 | low).to_le_bytes()
        }
    };
    Ok(HashKey::new(bytes))
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
    #[error("{0}: a key has exactly 16 bytes")]
    Key(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl Failure {
    /// 2 where the input is wrong, 1 where the world is.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Input(_, ReadError::Bad(_)) | Self::Key(_) => 2,
            Self::Input(_, ReadError::Io(_)) | Self::Run(_) | Self::Backend(_) => 1,
        })
    }
}
