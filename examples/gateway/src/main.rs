//! Starts the gateway: reads the flags, says where it listens, and ends on Ctrl-C or SIGTERM.
#![forbid(unsafe_code)]

use clap::Parser as _;
use gateway::{Args, Gateway, StartError};
use limiter_host::SharedClock;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn run(args: &Args) -> Result<(), StartError> {
    let settings = args.settings()?;
    let gateway = Gateway::bind(&settings, SharedClock::system()).await?;
    print!("{}", gateway::welcome(&settings, gateway.local_addr()));
    gateway.serve(end_asked_for()).await;
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM. Where the system lets neither be heard, it waits for ever, and the
/// system's own way of ending a process remains.
async fn end_asked_for() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate() => {}
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}
