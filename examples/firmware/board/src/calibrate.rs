//! Work of known cost, to hold [`bench`](crate::bench) and [`stack`](crate::stack) to account.

use core::arch::asm;

/// Executes ten instructions that do nothing.
#[inline(always)]
pub fn ten_nops() {
    // SAFETY: does nothing.
    unsafe {
        asm!(
            "nop",
            "nop",
            "nop",
            "nop",
            "nop",
            "nop",
            "nop",
            "nop",
            "nop",
            "nop",
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Uses 64 bytes of stack and gives them back.
#[inline(always)]
pub fn sixty_four_stack_bytes() {
    // SAFETY: the stack is as before at the end, and what is stored lies in the 64 bytes.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("sub sp, #64", "str {word}, [sp]", "add sp, #64", word = in(reg) 0);
        #[cfg(target_arch = "riscv32")]
        asm!("addi sp, sp, -64", "sw zero, 0(sp)", "addi sp, sp, 64");
    }
}
