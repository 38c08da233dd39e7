//! What ends an image early: a panic (exit code 101) and a processor fault (102).

use core::{fmt::Write as _, hint, panic::PanicInfo};

use crate::Console;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panic_is_possible();
    let mut console = Console::open();
    let _ = writeln!(console, "{info}");
    console.flush();
    crate::exit(PANIC_CODE)
}

/// Is in an image's symbol table if, and only if, some path of it can reach the panic handler.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn panic_is_possible() {
    hint::black_box(());
}

#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(_frame: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::exit(FAULT_CODE)
}

#[cfg(target_arch = "riscv32")]
// SAFETY: riscv-rt's link script looks for this name, and calls it with this signature.
#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn exception(_frame: &riscv_rt::TrapFrame) -> ! {
    crate::exit(FAULT_CODE)
}

const PANIC_CODE: u8 = 101;
const FAULT_CODE: u8 = 102;
