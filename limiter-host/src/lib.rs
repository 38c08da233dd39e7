//! The host side of `limiter-core`: what a std application links.
//!
//! | module | gives |
//! |---|---|
//! | [`clock`] | [`SystemClock`]: the operating system's clocks as a limiter wants them |
//! | [`concurrent`] | [`Concurrent`]: the limiter for all cores of a server |
//! | [`decide`] | [`Decide`], what a front needs of a limiter; [`Locked`], one behind a mutex |
//! | [`origins`] | [`PathOrigins`]: where a request comes from, by its path |
//! | `config` (feature `config`) | policies and tokens from TOML files |
//! | `middleware` (feature `tower`) | `LimiterLayer`, for any tower, axum or hyper service |
//!
//! # Features
//!
//! None is on by default, and none changes a type's shape.
//!
//! | feature | adds |
//! |---|---|
//! | `config` | the module `config` |
//! | `tower` | the module `middleware` |
#![forbid(unsafe_code)]

pub mod clock;
pub mod concurrent;
#[cfg(feature = "config")]
pub mod config;
pub mod decide;
#[cfg(feature = "tower")]
pub mod middleware;
pub mod origins;

pub use clock::{SharedClock, SystemClock};
pub use concurrent::Concurrent;
pub use decide::{Decide, Locked};
pub use limiter_core as core;
#[cfg(feature = "tower")]
pub use middleware::LimiterLayer;
pub use origins::PathOrigins;

/// The README's examples, compiled and run.
#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../../README.md")]
mod readme {}
