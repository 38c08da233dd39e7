//@ machines: lm3s6965evb mps2-an386 mps2-an505
//@ figures: fast
//! Instructions of governor's one bucket.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;
use core::hint::black_box;

use board::{Console, bench, counter};
use images_peers::bucket::{self, Bucket};

#[board::entry]
fn main() -> ! {
    let mut console = Console::open();
    counter::start();
    let mut bucket = bucket::new(1);
    let admitted = bench::instructions(
        &mut bucket,
        |bucket| *bucket = bucket::new(black_box(1)),
        |bucket| {
            black_box(decide(bucket));
        },
    );
    let _ = writeln!(
        console,
        "instructions of others: governor 0.6.3, admitted = {admitted}"
    );
    while bucket.check().is_ok() {}
    let refused = bench::instructions(
        &mut bucket,
        |_| {},
        |bucket| {
            black_box(decide(bucket));
        },
    );
    let _ = writeln!(
        console,
        "instructions of others: governor 0.6.3, refused = {refused}"
    );
    console.flush();
    board::exit(0)
}

#[inline(never)]
fn decide(bucket: &Bucket) -> bool {
    bucket.check().is_ok()
}
