//! The peers, set up for what they can do here.

#![no_std]

#[cfg(target_has_atomic = "ptr")]
pub mod bucket;

#[cfg(target_arch = "arm")]
use cortex_m as _;
use heapless::index_map::FnvIndexMap;
#[cfg(target_arch = "riscv32")]
use riscv as _;

/// A table as ours would need it: 32 ids with 24 bytes of state each.
pub type Table = FnvIndexMap<u64, [u32; 6], 32>;
