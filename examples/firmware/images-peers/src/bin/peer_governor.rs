//@ machines: lm3s6965evb mps2-an386 mps2-an505
//@ size: governor 0.6.3, one bucket without a key above empty
//! What governor costs for the one bucket that it can keep here.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use images_peers::bucket;

#[board::entry]
fn main() -> ! {
    let bucket = bucket::new(black_box(1));
    board::exit(u8::from(bucket.check().is_err()))
}
