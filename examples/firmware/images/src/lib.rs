//! What several images share.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod cases;
pub mod errand;
pub mod footprint;
pub mod frame;
pub mod line;
pub mod receiver;
pub mod response;
pub mod trace;
#[cfg(target_os = "none")]
pub mod wait;

// Linked for its critical-section implementation.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;
