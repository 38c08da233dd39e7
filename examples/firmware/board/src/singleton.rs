//! A static that one owner may take.

use core::cell::{Cell, UnsafeCell};

use critical_section::Mutex;

/// A static value that is handed out once, for good: memory for what is too big for the stack.
pub struct Singleton<T> {
    value: UnsafeCell<T>,
    taken: Mutex<Cell<bool>>,
}

// SAFETY: `take` gives the value to one caller only, whatever its context.
unsafe impl<T: Send> Sync for Singleton<T> {}

impl<T> Singleton<T> {
    /// Puts `value` into a static.
    pub const fn new(value: T) -> Self {
        Self {
            value: UnsafeCell::new(value),
            taken: Mutex::new(Cell::new(false)),
        }
    }

    /// Takes the value; `None` if somebody has it already.
    #[expect(clippy::mut_from_ref, reason = "only one caller ever gets it")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        let taken = critical_section::with(|cs| self.taken.borrow(cs).replace(true));
        // SAFETY: the flag was down and is up for good, so this is the only reference.
        (!taken).then(|| unsafe { &mut *self.value.get() })
    }
}
