//! What an image needs to keep the limiter's state in flash: a NOR flash whose power may fail, and a store on it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod life;
pub mod nor;
pub mod random;
pub mod store;

// Linked for its critical-section implementation.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;
