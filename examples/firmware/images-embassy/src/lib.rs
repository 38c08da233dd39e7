//! Embassy's time on the board's tick: what a HAL brings along. An image needs `use images_embassy as _;` and a call
//! of [`start`].

#![no_std]
#![forbid(unsafe_code)]

use core::cell::RefCell;
use core::task::Waker;

use board::tick;
use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

struct BoardTime {
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static TIME: BoardTime = BoardTime {
    queue: Mutex::new(RefCell::new(Queue::new())),
});

/// Starts the tick that embassy's time counts.
pub fn start() {
    tick::start(wake);
}

impl Driver for BoardTime {
    /// Milliseconds; the tick's 49 days are "never" to an image.
    fn now(&self) -> u64 {
        u64::from(tick::millis())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            self.queue.borrow_ref_mut(cs).schedule_wake(at, waker);
        });
    }
}

/// Every millisecond: wakes whose time has come.
fn wake() {
    critical_section::with(|cs| {
        TIME.queue.borrow_ref_mut(cs).next_expiration(TIME.now());
    });
}
