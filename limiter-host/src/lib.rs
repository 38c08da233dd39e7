//! The host side of `limiter-core`.
#![forbid(unsafe_code)]
pub use limiter_core as core;
