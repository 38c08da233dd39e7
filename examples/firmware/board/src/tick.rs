//! A millisecond interrupt, from the timer that a product on this part would use.
//!
//! Cortex-M: SysTick; nRF51, which has none: its TIMER1; RISC-V: the machine timer. Shares SysTick with
//! [`counter`](crate::counter): an image uses one or the other.

use core::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
};

use critical_section::Mutex;

/// What a tick calls, in interrupt context.
pub type Handler = fn();

/// Calls `handler` in interrupt context every millisecond from now on; a second call replaces the handler.
pub fn start(handler: Handler) {
    critical_section::with(|cs| HANDLER.borrow(cs).set(Some(handler)));
    hardware::start();
}

/// Milliseconds since [`start`]; wraps after 49 days.
pub fn millis() -> u32 {
    MILLIS.load(Ordering::Relaxed)
}

fn on_interrupt() {
    // Load and store suffice (Cortex-M0 has no more): this is the only writer.
    MILLIS.store(
        MILLIS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
    if let Some(handler) = critical_section::with(|cs| HANDLER.borrow(cs).get()) {
        handler();
    }
}

static MILLIS: AtomicU32 = AtomicU32::new(0);
static HANDLER: Mutex<Cell<Option<Handler>>> = Mutex::new(Cell::new(None));

#[cfg(any(
    machine = "lm3s6965evb",
    machine = "mps2-an386",
    machine = "mps2-an505"
))]
mod hardware {
    use crate::mmio::registers;

    registers! { 0xE000_E000: u32; SYST_CSR = 0x10, SYST_RVR = 0x14, SYST_CVR = 0x18 }

    /// The core clock after reset.
    const CORE_HZ: u32 = match crate::MACHINE.as_bytes() {
        b"lm3s6965evb" => 12_500_000,
        b"mps2-an386" => 25_000_000,
        _ => 20_000_000,
    };
    const ENABLE_WITH_INTERRUPT_FROM_CORE_CLOCK: u32 = 0b111;

    pub(super) fn start() {
        SYST_RVR.write(CORE_HZ / 1000 - 1);
        SYST_CVR.write(0);
        SYST_CSR.write(ENABLE_WITH_INTERRUPT_FROM_CORE_CLOCK);
    }

    #[cortex_m_rt::exception]
    fn SysTick() {
        super::on_interrupt();
    }
}

#[cfg(machine = "microbit")]
mod hardware {
    use crate::mmio::registers;

    registers! {
        0x4000_9000: u32; // TIMER1
        TASKS_START = 0x000, EVENTS_COMPARE_0 = 0x140, SHORTS = 0x200, INTENSET = 0x304, PRESCALER = 0x510,
        CC_0 = 0x540,
    }
    registers! { 0xE000_E000: u32; NVIC_ISER = 0x100 }

    const INTERRUPT: i16 = 9;
    const PRESCALE_16_MHZ_TO_1_MHZ: u32 = 4;
    const CLEAR_ON_COMPARE_0: u32 = 1;
    const ON_COMPARE_0: u32 = 1 << 16;

    pub(super) fn start() {
        PRESCALER.write(PRESCALE_16_MHZ_TO_1_MHZ);
        CC_0.write(1000);
        SHORTS.write(CLEAR_ON_COMPARE_0);
        INTENSET.write(ON_COMPARE_0);
        NVIC_ISER.write(1 << INTERRUPT);
        TASKS_START.write(1);
    }

    #[cortex_m_rt::exception]
    unsafe fn DefaultHandler(interrupt: i16) {
        if interrupt == INTERRUPT {
            EVENTS_COMPARE_0.write(0);
            super::on_interrupt();
        }
    }
}

#[cfg(machine = "virt")]
mod hardware {
    use riscv::interrupt::Interrupt;

    use crate::mmio::registers;

    registers! {
        0x0200_0000: u32; // CLINT
        MTIMECMP_LOW = 0x4000, MTIMECMP_HIGH = 0x4004, MTIME_LOW = 0xBFF8, MTIME_HIGH = 0xBFFC,
    }

    const MTIME_HZ: u64 = 10_000_000;

    pub(super) fn start() {
        set_next(now());
        // SAFETY: nobody relies on interrupts being off; the handler below takes the only one that is enabled.
        unsafe {
            riscv::interrupt::enable_interrupt(Interrupt::MachineTimer);
            riscv::interrupt::enable();
        }
    }

    #[riscv_rt::core_interrupt(Interrupt::MachineTimer)]
    fn machine_timer() {
        set_next(compare());
        super::on_interrupt();
    }

    fn now() -> u64 {
        loop {
            let high = MTIME_HIGH.read();
            let low = MTIME_LOW.read();
            if high == MTIME_HIGH.read() {
                return join(high, low);
            }
        }
    }

    fn compare() -> u64 {
        join(MTIMECMP_HIGH.read(), MTIMECMP_LOW.read())
    }

    /// Sets the compare register a millisecond after `last`, without passing through an earlier value.
    fn set_next(last: u64) {
        let next = last.wrapping_add(MTIME_HZ / 1000);
        MTIMECMP_HIGH.write(u32::MAX);
        MTIMECMP_LOW.write(next as u32);
        MTIMECMP_HIGH.write((next >> 32) as u32);
    }

    fn join(high: u32, low: u32) -> u64 {
        u64::from(high) << 32 | u64::from(low)
    }
}
