//! Atomics, fences and locks: std's, or loom's where its model checker runs
//! (`--cfg limiter_loom`).

#[cfg(limiter_loom)]
pub(super) use self::checked::{AtomicU16, AtomicU64, AtomicUsize};
#[cfg(limiter_loom)]
pub(super) use loom::{
    hint::spin_loop,
    sync::atomic::{Ordering, fence},
    sync::{Mutex, MutexGuard},
};
#[cfg(not(limiter_loom))]
pub(super) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Mutex, MutexGuard},
};

/// Locks a mutex. That a thread panicked with it does not matter: what it guards is never left
/// half-changed over anything that may panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Loom's atomics, which can be told to load and store by read-modify-writes.
///
/// Loom tries out what a load may see, also of older values, but it remembers only the last access
/// to an atomic, and so overlooks orders of a store with loads before that. It overlooks none
/// among read-modify-writes, which see the newest value alone. A test is to be run in both ways.
#[cfg(limiter_loom)]
pub(super) mod checked {
    use super::Ordering;
    use std::cell::Cell;

    thread_local! {
        /// Loom's threads are all one to the operating system.
        pub(in super::super) static ALL_MODIFY: Cell<bool> = const { Cell::new(false) };
    }

    macro_rules! checked {
        ($name:ident, $value:ty) => {
            pub(in super::super) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(in super::super) fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub(in super::super) fn load(&self, order: Ordering) -> $value {
                    if ALL_MODIFY.get() {
                        self.0.fetch_or(0, order)
                    } else {
                        self.0.load(order)
                    }
                }

                pub(in super::super) fn store(&self, value: $value, order: Ordering) {
                    if ALL_MODIFY.get() {
                        self.0.swap(value, order);
                    } else {
                        self.0.store(value, order);
                    }
                }

                #[allow(dead_code, reason = "each is used of some of the three")]
                pub(in super::super) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.0.fetch_add(value, order)
                }

                #[allow(dead_code, reason = "each is used of some of the three")]
                pub(in super::super) fn compare_exchange(
                    &self,
                    from: $value,
                    to: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.0.compare_exchange(from, to, success, failure)
                }
            }
        };
    }

    checked!(AtomicU16, u16);
    checked!(AtomicU64, u64);
    checked!(AtomicUsize, usize);
}
