//! Does the log reach the host, decoded, with its levels and in order?

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[cfg(target_arch = "arm")]
use cortex_m as _;
use defmt_semihosting as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

#[board::entry]
fn main() -> ! {
    defmt::info!("hello from {=str}", board::MACHINE);
    defmt::warn!("{=[u8]:x} and {=i32}", [0_u8, 1, 255], -7);
    defmt::trace!("the end");
    board::exit(0)
}
