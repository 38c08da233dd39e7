//! An HTTP gateway that limits its callers: the smallest whole use of `limiter-host`.
//!
//! `cargo run --release -p gateway` serves on 127.0.0.1:8080 and answers by itself; with
//! `--upstream URL` it is a reverse proxy. The journey of a request:
//!
//! 1. [`listener`]: accepts the connection, ends its TLS ([`tls`]), reads the head, notes the peer.
//! 2. `screen`: refuses a head that servers read differently.
//! 3. `limiter_host::LimiterLayer`: refuses, or lets through with quota headers.
//! 4. [`upstream`]: the gateway's own answer, or [`proxy`]: another server's, streamed.
//!
//! Beside it, on a listener of its own if that is wanted: [`admin`], for operators.
//!
//! `faults` counts what went wrong by the side that caused it.
//!
//! Before that, once: [`args`] reads the flags and files into [`Settings`], [`limits`] makes a
//! limiter of them, [`store`] has its limits shared or [`state`] has them survive if that is wanted,
//! and [`server`] puts all together; `follow` keeps the limiter at what its file says from then on.
//! [`demo`] names the tokens that are known without a file.
#![forbid(unsafe_code)]

pub mod admin;
pub mod args;
pub mod demo;
pub mod error;
mod faults;
mod follow;
pub mod limits;
pub mod listener;
pub mod memory;
pub mod open_files;
pub mod proxy;
mod screen;
pub mod server;
pub mod settings;
pub mod state;
pub mod store;
pub mod tls;
pub mod upstream;
mod welcome;

pub use args::Args;
pub use error::{EndError, StartError};
pub use server::Gateway;
pub use settings::Settings;
pub use welcome::welcome;
