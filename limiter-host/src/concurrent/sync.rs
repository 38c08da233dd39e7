//! Atomics, fences and locks: std's, or loom's where its model checker runs (`--cfg limiter_loom`).

#[cfg(limiter_loom)]
pub(super) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering, fence},
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
