//! A free-running counter for a clock: it follows the machine's time, interrupts or none.
//!
//! Cortex-M3: SysTick, all 24 bits of it; M4F and M33: the CMSDK dual timer; nRF51: TIMER0; RISC-V: the machine
//! timer. Shares SysTick and TIMER0 with [`tick`](crate::tick) and [`counter`](crate::counter): an image uses one.

/// Ticks in a second.
pub const HZ: u32 = hardware::HZ;

/// The counter's width.
pub const BITS: u8 = hardware::BITS;

/// Starts the counter.
pub fn start() {
    hardware::start();
}

/// Reads the counter, which is [`BITS`] wide and runs at [`HZ`].
pub fn read() -> u64 {
    hardware::read()
}

#[cfg(machine = "lm3s6965evb")]
mod hardware {
    use crate::mmio::registers;

    registers! { 0xE000_E000: u32; SYST_CSR = 0x10, SYST_RVR = 0x14, SYST_CVR = 0x18 }

    /// The core clock after reset.
    pub(super) const HZ: u32 = 12_500_000;
    /// It wraps after 1.3 s.
    pub(super) const BITS: u8 = 24;
    const LARGEST: u32 = 0x00FF_FFFF;
    const ENABLE_FROM_CORE_CLOCK: u32 = 0b101;

    pub(super) fn start() {
        SYST_RVR.write(LARGEST);
        SYST_CVR.write(0);
        SYST_CSR.write(ENABLE_FROM_CORE_CLOCK);
    }

    /// SysTick counts down.
    pub(super) fn read() -> u64 {
        u64::from(LARGEST - SYST_CVR.read())
    }
}

#[cfg(any(machine = "mps2-an386", machine = "mps2-an505"))]
mod hardware {
    use crate::mmio::registers;

    #[cfg(machine = "mps2-an386")]
    registers! { 0x4000_2000: u32; LOAD = 0x00, VALUE = 0x04, CONTROL = 0x08 }
    #[cfg(machine = "mps2-an505")]
    registers! { 0x5000_2000: u32; LOAD = 0x00, VALUE = 0x04, CONTROL = 0x08 }

    /// The core clock after reset.
    pub(super) const HZ: u32 = if cfg!(machine = "mps2-an386") {
        25_000_000
    } else {
        20_000_000
    };
    pub(super) const BITS: u8 = 32;
    const ENABLE_PERIODIC_32_BITS: u32 = 1 << 7 | 1 << 6 | 1 << 1;

    pub(super) fn start() {
        LOAD.write(u32::MAX);
        CONTROL.write(ENABLE_PERIODIC_32_BITS);
    }

    /// The timer counts down.
    pub(super) fn read() -> u64 {
        u64::from(!VALUE.read())
    }
}

#[cfg(machine = "microbit")]
mod hardware {
    use crate::mmio::registers;

    registers! {
        0x4000_8000: u32; // TIMER0, the one that is 32 bits wide
        TASKS_START = 0x000, TASKS_CAPTURE_0 = 0x040, BITMODE = 0x508, PRESCALER = 0x510, CC_0 = 0x540,
    }

    pub(super) const HZ: u32 = 1_000_000;
    pub(super) const BITS: u8 = 32;
    const BITS_32: u32 = 3;
    const PRESCALE_16_MHZ_TO_1_MHZ: u32 = 4;

    pub(super) fn start() {
        BITMODE.write(BITS_32);
        PRESCALER.write(PRESCALE_16_MHZ_TO_1_MHZ);
        TASKS_START.write(1);
    }

    pub(super) fn read() -> u64 {
        TASKS_CAPTURE_0.write(1);
        u64::from(CC_0.read())
    }
}

#[cfg(machine = "virt")]
mod hardware {
    use crate::mmio::registers;

    registers! { 0x0200_0000: u32; MTIME_LOW = 0xBFF8 }

    pub(super) const HZ: u32 = 10_000_000;
    /// Its lower half, which wraps after 7 minutes.
    pub(super) const BITS: u8 = 32;

    /// Runs from reset.
    pub(super) fn start() {}

    pub(super) fn read() -> u64 {
        u64::from(MTIME_LOW.read())
    }
}
