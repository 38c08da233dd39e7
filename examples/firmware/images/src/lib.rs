//! What several images share.

#![no_std]

// Linked for its critical-section implementation.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;
