//! How deep a call digs into the stack: paint what is below, call, look how far the paint is gone.

use core::{arch::asm, ptr};

/// Bytes of stack that `work` uses, its own frame included, up to [`PAINTED_BYTES`].
///
/// Counted to the lowest word that changed. Interrupts would count too, so let there be none. A slot that is
/// reserved at the very bottom and never written is not seen.
#[inline(never)]
pub fn depth_bytes(work: &mut dyn FnMut()) -> usize {
    let top = stack_pointer();
    let bottom = top.saturating_sub(PAINTED_BYTES);
    for address in (bottom..top).step_by(WORD_BYTES) {
        // SAFETY: below the stack pointer lies free stack: every machine keeps more than `PAINTED_BYTES` for it
        // above its statics, and the loop calls nothing that would keep data there.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(PAINT) };
    }
    work();
    let untouched = (bottom..top)
        .step_by(WORD_BYTES)
        // SAFETY: as above; reads do no harm.
        .take_while(|&address| unsafe {
            ptr::with_exposed_provenance::<u32>(address).read_volatile() == PAINT
        })
        .count();
    PAINTED_BYTES - untouched * WORD_BYTES
}

/// A call that digs deeper than this shows this.
pub const PAINTED_BYTES: usize = 4096;

#[inline(always)]
fn stack_pointer() -> usize {
    let address: usize;
    // SAFETY: reads a register.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) address, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) address, options(nomem, nostack, preserves_flags));
    }
    address
}

const WORD_BYTES: usize = 4;
const PAINT: u32 = 0xA5C3_5A3C;
