//! A free-running counter that, with QEMU's `-icount shift=0`, counts executed instructions.
//!
//! That setting lets one instruction take one nanosecond of the machine's time, so every timer becomes an
//! instruction counter whose grain is its period. RISC-V counts instructions by itself.

/// Starts the counter. It wraps after at least 80 million instructions.
pub fn start() {
    hardware::start();
}

/// Reads the counter, in ticks.
pub fn read() -> u32 {
    hardware::read()
}

/// Ticks from `start` to `end`, if less than one wrap lies between them.
pub fn ticks_between(start: u32, end: u32) -> u32 {
    end.wrapping_sub(start) & hardware::MASK
}

/// Half nanoseconds in a tick (the nRF51's is 62.5 ns).
pub const HALF_NS_PER_TICK: u32 = hardware::HALF_NS_PER_TICK;

#[cfg(any(
    machine = "lm3s6965evb",
    machine = "mps2-an386",
    machine = "mps2-an505"
))]
mod hardware {
    use crate::mmio::registers;

    registers! { 0xE000_E000: u32; SYST_CSR = 0x10, SYST_RVR = 0x14, SYST_CVR = 0x18 }

    pub(super) const MASK: u32 = 0x00FF_FFFF;
    pub(super) const HALF_NS_PER_TICK: u32 = match crate::MACHINE.as_bytes() {
        b"lm3s6965evb" => 10, // 200 MHz, see below
        b"mps2-an386" => 80,
        _ => 100,
    };
    const ENABLE_FROM_CORE_CLOCK: u32 = 0b101;

    pub(super) fn start() {
        #[cfg(machine = "lm3s6965evb")]
        {
            registers! { 0x400F_E000: u32; RCC = 0x060 }
            // The PLL undivided: the finest grain the emulated clock tree offers, not a setting for silicon.
            RCC.write(1 << 22);
        }
        SYST_RVR.write(MASK);
        SYST_CVR.write(0);
        SYST_CSR.write(ENABLE_FROM_CORE_CLOCK);
    }

    /// SysTick counts down.
    pub(super) fn read() -> u32 {
        MASK - SYST_CVR.read()
    }
}

#[cfg(machine = "microbit")]
mod hardware {
    use crate::mmio::registers;

    registers! {
        0x4000_8000: u32; // TIMER0, the one that is 32 bits wide
        TASKS_START = 0x000, TASKS_CAPTURE_0 = 0x040, BITMODE = 0x508, PRESCALER = 0x510, CC_0 = 0x540,
    }

    pub(super) const MASK: u32 = u32::MAX;
    pub(super) const HALF_NS_PER_TICK: u32 = 125;
    const BITS_32: u32 = 3;

    pub(super) fn start() {
        BITMODE.write(BITS_32);
        PRESCALER.write(0);
        TASKS_START.write(1);
    }

    pub(super) fn read() -> u32 {
        TASKS_CAPTURE_0.write(1);
        CC_0.read()
    }
}

#[cfg(machine = "virt")]
mod hardware {
    pub(super) const MASK: u32 = u32::MAX;
    pub(super) const HALF_NS_PER_TICK: u32 = 2;

    /// Runs from reset.
    pub(super) fn start() {}

    pub(super) fn read() -> u32 {
        riscv::register::minstret::read() as u32
    }
}
