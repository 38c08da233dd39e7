//! Starts the gateway: reads the flags, says where it listens, and ends on Ctrl-C or SIGTERM.
#![forbid(unsafe_code)]

use clap::Parser as _;
use gateway::{Args, EndError, Gateway, StartError};
use limiter_host::SharedClock;
use limiter_host::config::ConfigError;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            match &error {
                // Lines that begin with their place, as editors read them.
                StartError::Config(ConfigError::Mistakes { .. }) => eprintln!("{error}"),
                _ => eprintln!("gateway: {error}"),
            }
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Result<(), EndError>, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let ended = runtime.block_on(serve(args));
    // A thread that is in a file whose reading hangs must not keep the process from ending.
    runtime.shutdown_background();
    ended
}

async fn serve(args: &Args) -> Result<Result<(), EndError>, StartError> {
    let settings = args.settings()?;
    let gateway = Gateway::bind(&settings, SharedClock::system()).await?;
    // Heard from here on, so that whoever reads the welcome may end the gateway at once.
    let end = end_signal().map_err(StartError::Signals)?;
    hear_reloads(gateway.reload()).map_err(StartError::Signals)?;
    if let Some(warning) = gateway::open_files::warning(&settings) {
        eprintln!("gateway: {warning}");
    }
    print!("{}", gateway::welcome(&settings, &gateway));
    Ok(gateway.serve(end).await)
}

/// Has SIGHUP read files again, or say that there are none.
#[cfg(unix)]
fn hear_reloads(reload: Option<impl Fn() + Send + 'static>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match &reload {
                Some(reload) => reload(),
                None => {
                    eprintln!("gateway: nothing to read again; there is no --config, no --tls-cert")
                }
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as where there are such signals")]
fn hear_reloads(_: Option<impl Fn() + Send + 'static>) -> std::io::Result<()> {
    Ok(())
}

/// Comes with Ctrl-C or SIGTERM.
#[cfg(unix)]
fn end_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Comes with Ctrl-C.
#[cfg(not(unix))]
fn end_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Where it cannot be heard, the system's own way of ending a process remains.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
