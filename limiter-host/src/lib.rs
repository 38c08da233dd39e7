//! The host side of `limiter-core`: what a std application links.
//!
//! | module | gives |
//! |---|---|
//! | [`awaited`] | [`DecideAsync`], the same of a limiter that may have to wait; how a store is plugged in |
//! | `client` (feature `client`) | clients that wait instead of being refused: a tower layer, a blocking form |
//! | [`clock`] | [`SystemClock`]: the operating system's clocks as a limiter wants them |
//! | [`concurrent`] | [`Concurrent`]: the limiter for all cores of a server |
//! | [`decide`] | [`Decide`], what a front needs of a limiter; [`Locked`], one behind a mutex |
//! | [`manage`] | [`Manage`]: tokens and policy, changed through a shared reference |
//! | [`origins`] | [`PathOrigins`]: where a request comes from, by its path |
//! | `config` (feature `config`) | policies and tokens from TOML or JSON files, read again when they change |
//! | `meters` (feature `metrics`) | `LimiterMetrics`: the limiter's numbers through the `metrics` facade |
//! | `refusal_log` (features `tower`, `tracing`) | `RefusalLog`: refusals as events that cannot flood |
//! | `persist` (feature `persist`) | `Durable`: daily counts that survive a power cut, in a directory |
//! | `redis` (feature `redis`) | `RedisLimiter`: the limiter for many machines |
//! | `resolver` (feature `resolver`) | tokens that are looked up where you keep them, when they are first seen |
//! | `middleware` (feature `tower`) | `LimiterLayer`, for any tower, axum or hyper service |
//!
//! # Features
//!
//! None is on by default, and none changes a type's shape.
//!
//! | feature | adds |
//! |---|---|
//! | `client` | the module `client` |
//! | `client-reqwest` | `client::PacerMiddleware`, for `reqwest-middleware` |
//! | `config` | the module `config` |
//! | `metrics` | the module `meters`; counts of the client |
//! | `persist` | the module `persist` |
//! | `redis` | the module `redis` |
//! | `redis-tls` | TLS to the store, by rustls with ring; the system's authorities, or your own |
//! | `resolver` | the module `resolver` |
//! | `tower` | the module `middleware` |
//! | `tracing` | the module `refusal_log`; spans of look-ups; events of the client |
#![forbid(unsafe_code)]

pub mod awaited;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod concurrent;
#[cfg(feature = "config")]
pub mod config;
pub mod decide;
pub mod manage;
#[cfg(feature = "metrics")]
pub mod meters;
#[cfg(feature = "tower")]
pub mod middleware;
pub mod origins;
#[cfg(feature = "persist")]
pub mod persist;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(all(feature = "tower", feature = "tracing"))]
pub mod refusal_log;
#[cfg(feature = "resolver")]
pub mod resolver;

pub use awaited::DecideAsync;
pub use clock::{SharedClock, SystemClock, UtcGuard, UtcStep};
pub use concurrent::Concurrent;
pub use decide::{Decide, Locked};
pub use limiter_core as core;
#[cfg(feature = "client")]
pub use limiter_pacer as pacer;
pub use manage::Manage;
#[cfg(feature = "tower")]
pub use middleware::LimiterLayer;
pub use origins::PathOrigins;
#[cfg(feature = "redis")]
pub use redis::RedisLimiter;
#[cfg(feature = "resolver")]
pub use resolver::{BlockingResolver, Lookups, Resolver};

/// The README's examples, compiled and run.
#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../../README.md")]
mod readme {}
