//! The first UART of the machine, polled: 8 data bits, no parity, one stop bit, 115 200 Bd.

use core::fmt;

/// A byte was lost because it came before the one before it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// Configures the port, turns it on, and returns its two ends.
///
/// Open it once: two readers would take each other's bytes.
pub fn open() -> (UartReader, UartWriter) {
    hardware::open();
    (UartReader(()), UartWriter(()))
}

/// The end that receives.
pub struct UartReader(());

/// The end that sends; as a [`fmt::Write`] it never fails.
pub struct UartWriter(());

impl UartReader {
    /// Takes the next received byte, if there is one; does not wait. [`Overrun`] stands in the place of the lost
    /// bytes, once, and the port goes on.
    pub fn read(&mut self) -> Option<Result<u8, Overrun>> {
        hardware::read()
    }

    /// Waits for the next received byte, asleep until it comes.
    pub fn wait(&mut self) -> Result<u8, Overrun> {
        loop {
            // With interrupts off, so that a byte that comes between the look and the sleep ends the sleep.
            let received = critical_section::with(|_| {
                hardware::read().or_else(|| {
                    wake::sleep();
                    None
                })
            });
            if let Some(received) = received {
                return received;
            }
        }
    }
}

impl UartWriter {
    /// Sends bytes; waits until the port takes them.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            hardware::write(byte);
        }
    }
}

impl fmt::Write for UartWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(target_arch = "arm")]
mod wake {
    //! The port's interrupt wakes the processor and is never taken: it is enabled in the NVIC only while interrupts
    //! are off.

    use super::hardware::INTERRUPT;
    use crate::mmio::registers;

    registers! {
        0xE000_E000: u32;
        ISER0 = 0x100, ISER1 = 0x104, ICER0 = 0x180, ICER1 = 0x184, ICPR0 = 0x280, ICPR1 = 0x284,
    }

    /// Sleeps until the port's interrupt, or another, is pending.
    pub(super) fn sleep() {
        let (enable, disable, forget) = if INTERRUPT < 32 {
            (ISER0, ICER0, ICPR0)
        } else {
            (ISER1, ICER1, ICPR1)
        };
        let bit = 1 << (INTERRUPT % 32);
        enable.write(bit);
        crate::wait_for_interrupt();
        disable.write(bit);
        forget.write(bit);
    }
}

#[cfg(target_arch = "riscv32")]
mod wake {
    //! The port's interrupt wakes the hart and is never taken: it is enabled only while interrupts are off.

    use riscv::interrupt::Interrupt;

    use super::hardware::INTERRUPT;
    use crate::mmio::registers;

    registers! {
        0x0C00_0000: u32; // PLIC
        PRIORITY_OF_UART = 0x0028, ENABLE = 0x2000, THRESHOLD = 0x20_0000, CLAIM = 0x20_0004,
    }

    /// Sleeps until the port's interrupt, or another that is enabled, is pending.
    pub(super) fn sleep() {
        PRIORITY_OF_UART.write(1);
        THRESHOLD.write(0);
        ENABLE.write(1 << INTERRUPT);
        // SAFETY: the caller has interrupts off, so that none is taken before it is disabled again.
        unsafe { riscv::interrupt::enable_interrupt(Interrupt::MachineExternal) };
        crate::wait_for_interrupt();
        riscv::interrupt::disable_interrupt(Interrupt::MachineExternal);
        CLAIM.write(CLAIM.read());
    }
}

#[cfg(machine = "lm3s6965evb")]
mod hardware {
    //! ARM PrimeCell PL011, as TI placed it in the Stellaris parts.

    use super::Overrun;
    use crate::mmio::registers;

    registers! { 0x400F_E000: u32; RCGC1 = 0x104, RCGC2 = 0x108 }
    registers! { 0x4000_4000: u32; GPIO_A_AFSEL = 0x420, GPIO_A_DEN = 0x51C }
    registers! {
        0x4000_C000: u32;
        DR = 0x00, RSR = 0x04, FR = 0x18, IBRD = 0x24, FBRD = 0x28, LCRH = 0x2C, CTL = 0x30, IM = 0x38,
    }

    pub(super) const INTERRUPT: u32 = 5;
    const IM_RECEIVE: u32 = 1 << 4;
    const UART0_CLOCK: u32 = 1 << 0;
    const GPIO_A_CLOCK: u32 = 1 << 0;
    const RX_AND_TX_PINS: u32 = 0b11;
    const DR_OVERRUN: u32 = 1 << 11;
    const FR_RX_EMPTY: u32 = 1 << 4;
    const FR_TX_FULL: u32 = 1 << 5;
    const LCRH_8_BITS_FIFO: u32 = 0b11 << 5 | 1 << 4;
    const CTL_RX_TX_ENABLE: u32 = 1 << 9 | 1 << 8 | 1;

    pub(super) fn open() {
        RCGC1.write(RCGC1.read() | UART0_CLOCK);
        RCGC2.write(RCGC2.read() | GPIO_A_CLOCK);
        GPIO_A_AFSEL.write(RX_AND_TX_PINS);
        GPIO_A_DEN.write(RX_AND_TX_PINS);
        CTL.write(0);
        // 12.5 MHz / (16 * 115 200) = 6 + 50 / 64
        IBRD.write(6);
        FBRD.write(50);
        LCRH.write(LCRH_8_BITS_FIFO);
        CTL.write(CTL_RX_TX_ENABLE);
        IM.write(IM_RECEIVE);
    }

    pub(super) fn read() -> Option<Result<u8, Overrun>> {
        if FR.read() & FR_RX_EMPTY != 0 {
            return None;
        }
        let data = DR.read();
        if data & DR_OVERRUN != 0 {
            RSR.write(0);
            return Some(Err(Overrun));
        }
        Some(Ok(data as u8))
    }

    pub(super) fn write(byte: u8) {
        while FR.read() & FR_TX_FULL != 0 {}
        DR.write(u32::from(byte));
    }
}

#[cfg(any(machine = "mps2-an386", machine = "mps2-an505"))]
mod hardware {
    //! ARM CMSDK APB UART.

    use super::Overrun;
    use crate::mmio::registers;

    #[cfg(machine = "mps2-an386")]
    registers! { 0x4000_4000: u32; DATA = 0x00, STATE = 0x04, CTRL = 0x08, INTCLEAR = 0x0C, BAUDDIV = 0x10 }
    #[cfg(machine = "mps2-an505")]
    registers! { 0x5020_0000: u32; DATA = 0x00, STATE = 0x04, CTRL = 0x08, INTCLEAR = 0x0C, BAUDDIV = 0x10 }

    pub(super) const INTERRUPT: u32 = if cfg!(machine = "mps2-an386") { 0 } else { 32 };
    const INTCLEAR_RX: u32 = 1 << 1;
    const CORE_HZ: u32 = if cfg!(machine = "mps2-an386") {
        25_000_000
    } else {
        20_000_000
    };
    const STATE_TX_FULL: u32 = 1 << 0;
    const STATE_RX_FULL: u32 = 1 << 1;
    const STATE_RX_OVERRUN: u32 = 1 << 3;
    const CTRL_RX_TX_AND_RX_INTERRUPT_ENABLE: u32 = 1 << 3 | 0b11;

    pub(super) fn open() {
        BAUDDIV.write(CORE_HZ / 115_200);
        CTRL.write(CTRL_RX_TX_AND_RX_INTERRUPT_ENABLE);
    }

    pub(super) fn read() -> Option<Result<u8, Overrun>> {
        let state = STATE.read();
        if state & STATE_RX_OVERRUN != 0 {
            STATE.write(STATE_RX_OVERRUN);
            return Some(Err(Overrun));
        }
        (state & STATE_RX_FULL != 0).then(|| {
            // Cleared before the data is read: the next byte raises it again.
            INTCLEAR.write(INTCLEAR_RX);
            Ok(DATA.read() as u8)
        })
    }

    pub(super) fn write(byte: u8) {
        while STATE.read() & STATE_TX_FULL != 0 {}
        DATA.write(u32::from(byte));
    }
}

#[cfg(machine = "microbit")]
mod hardware {
    //! Nordic nRF51 UART.

    use super::Overrun;
    use crate::mmio::registers;

    registers! {
        0x4000_2000: u32;
        TASKS_STARTRX = 0x000, TASKS_STARTTX = 0x008, EVENTS_RXDRDY = 0x108, EVENTS_TXDRDY = 0x11C,
        INTENSET = 0x304, ERRORSRC = 0x480, ENABLE = 0x500, PSELTXD = 0x50C, PSELRXD = 0x514, RXD = 0x518, TXD = 0x51C,
        BAUDRATE = 0x524,
    }

    pub(super) const INTERRUPT: u32 = 2;
    const INTENSET_RXDRDY: u32 = 1 << 2;
    const ERRORSRC_OVERRUN: u32 = 1 << 0;
    const ENABLED: u32 = 4;
    const TX_PIN: u32 = 24;
    const RX_PIN: u32 = 25;
    const BAUD_115200: u32 = 0x01D7_E000;

    pub(super) fn open() {
        PSELTXD.write(TX_PIN);
        PSELRXD.write(RX_PIN);
        BAUDRATE.write(BAUD_115200);
        ENABLE.write(ENABLED);
        TASKS_STARTTX.write(1);
        TASKS_STARTRX.write(1);
        INTENSET.write(INTENSET_RXDRDY);
    }

    pub(super) fn read() -> Option<Result<u8, Overrun>> {
        if ERRORSRC.read() & ERRORSRC_OVERRUN != 0 {
            ERRORSRC.write(ERRORSRC_OVERRUN);
            return Some(Err(Overrun));
        }
        if EVENTS_RXDRDY.read() == 0 {
            return None;
        }
        // Cleared before the data is read: reading raises it again if another byte waits.
        EVENTS_RXDRDY.write(0);
        Some(Ok(RXD.read() as u8))
    }

    pub(super) fn write(byte: u8) {
        EVENTS_TXDRDY.write(0);
        TXD.write(u32::from(byte));
        while EVENTS_TXDRDY.read() == 0 {}
    }
}

#[cfg(machine = "virt")]
mod hardware {
    //! National Semiconductor 16550A.

    use super::Overrun;
    use crate::mmio::registers;

    registers! { 0x1000_0000: u8; DATA = 0, IER = 1, FCR = 2, LCR = 3, LSR = 5 }

    pub(super) const INTERRUPT: u32 = 10;
    const IER_RECEIVED: u8 = 1;
    /// The emulated port takes 14 bytes at a time then, else one.
    const FCR_FIFO_OF_14_ENABLE_AND_CLEAR: u8 = 0b11 << 6 | 0b111;
    const LCR_8_BITS: u8 = 0b11;
    const LCR_DIVISOR_LATCH: u8 = 1 << 7;
    const LSR_DATA_READY: u8 = 1 << 0;
    const LSR_OVERRUN: u8 = 1 << 1;
    const LSR_TX_EMPTY: u8 = 1 << 5;

    pub(super) fn open() {
        // 3.6864 MHz / (16 * 115 200) = 2, low and high byte of the divisor
        LCR.write(LCR_DIVISOR_LATCH);
        DATA.write(2);
        IER.write(0);
        LCR.write(LCR_8_BITS);
        FCR.write(FCR_FIFO_OF_14_ENABLE_AND_CLEAR);
        IER.write(IER_RECEIVED);
    }

    pub(super) fn read() -> Option<Result<u8, Overrun>> {
        let status = LSR.read();
        if status & LSR_OVERRUN != 0 {
            return Some(Err(Overrun)); // reading the status has cleared it
        }
        (status & LSR_DATA_READY != 0).then(|| Ok(DATA.read()))
    }

    pub(super) fn write(byte: u8) {
        while LSR.read() & LSR_TX_EMPTY == 0 {}
        DATA.write(byte);
    }
}
