//! Governor's one bucket, without a key.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::num::NonZeroU32;
use core::ptr;

use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// The bucket.
pub type Bucket = RateLimiter<NotKeyed, InMemoryState, Now>;

/// A bucket of 40 that refills in 2 s.
pub fn new(now_ns: u64) -> Bucket {
    let quota = Quota::per_second(NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN));
    let burst = NonZeroU32::new(40).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct_with_clock(quota.allow_burst(burst), &Now(Cell::new(now_ns)))
}

/// A clock that says what it was told.
#[derive(Clone, Debug)]
pub struct Now(Cell<u64>);

impl Clock for Now {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.get())
    }
}

/// Governor wants an allocator to exist; its one bucket allocates nothing.
struct NoHeap;

#[global_allocator]
static HEAP: NoHeap = NoHeap;

// SAFETY: null is how an allocator says that there is no memory.
unsafe impl GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _memory: *mut u8, _layout: Layout) {}
}
