//! A client that is told nothing of a service's limits and learns them from its answers.
//!
//! [`run`] sends so many requests from several tasks, which share one pacer and one token, and
//! reports how many were sent, how many were refused, and how long it took.
#![forbid(unsafe_code)]

mod args;
mod drive;
mod report;

pub use args::Args;
pub use drive::{DriveError, run};
pub use report::Report;
