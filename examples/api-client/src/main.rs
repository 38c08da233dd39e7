//! Drives a service at the speed that its limits allow, and says how often it was refused.
#![forbid(unsafe_code)]

use api_client::{Args, run};
use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("api-client: {error}");
            ExitCode::from(2)
        }
    }
}
