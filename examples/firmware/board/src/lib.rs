//! What the images need of a machine: an entry, a [console](Console), a [UART](uart), a millisecond
//! [tick], a [timebase], an instruction [counter], the depth of the [stack], and an exit with a code.
//!
//! One module serves each need; the differences between the five machines stay inside it, chosen by
//! `cfg(machine = "…")`, which `build.rs` derives from the target. All that is unsafe about an image is here, so
//! the images themselves hold no `unsafe`.
//!
//! Nothing in here panics, so an image that calls nothing that panics has no panic code in it. The binary picks
//! the `critical-section` implementation.

#![no_std]

pub mod bench;
pub mod calibrate;
mod console;
pub mod counter;
mod fault;
mod host;
mod mmio;
mod singleton;
pub mod stack;
pub mod tick;
pub mod timebase;
pub mod uart;

pub use console::Console;
#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
pub use host::{Arguments, HostFile};
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;
pub use singleton::Singleton;

/// QEMU's name for the machine this image is built for.
pub const MACHINE: &str = env!("BOARD_MACHINE");

/// Ends the emulation; `code` becomes the emulator's exit code, 0 for success.
pub fn exit(code: u8) -> ! {
    semihosting::process::exit(i32::from(code))
}

/// Sleeps until an interrupt comes.
pub fn wait_for_interrupt() {
    #[cfg(target_arch = "arm")]
    cortex_m::asm::wfi();
    #[cfg(target_arch = "riscv32")]
    riscv::asm::wfi();
}
