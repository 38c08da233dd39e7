//! A hardware register: the only place that touches device memory.

use core::ptr;

/// A register that is `T` wide.
#[derive(Clone, Copy)]
pub(crate) struct Register<T>(*mut T);

impl<T: Copy> Register<T> {
    /// # Safety
    ///
    /// `address` is a device register of this machine, `T` its access width, and neither reading nor writing it
    /// moves data to or from memory (no DMA).
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(ptr::without_provenance_mut(address))
    }

    pub(crate) fn read(self) -> T {
        // SAFETY: `at`'s caller vouched for the address and the width.
        unsafe { self.0.read_volatile() }
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: `at`'s caller vouched for the address and the width.
        unsafe { self.0.write_volatile(value) }
    }
}

/// Names the registers of one block: `registers! { BASE: u32; NAME = OFFSET, … }`.
///
/// Whoever calls it vouches that base and offsets are the data sheet's, that the width is the bus's, and that none
/// of the registers starts DMA.
macro_rules! registers {
    ($base:literal: $width:ty; $($name:ident = $offset:literal),+ $(,)?) => {
        $(
            #[allow(
                clippy::undocumented_unsafe_blocks,
                reason = "said once, at the macro; the lint does not look there"
            )]
            const $name: crate::mmio::Register<$width> =
                unsafe { crate::mmio::Register::at($base + $offset) };
        )+
    };
}
pub(crate) use registers;
