//@ icount: yes
//! Holds the measuring to account: work of known cost must measure as just that.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::{fmt::Write as _, hint::black_box};

use board::{Console, bench, calibrate, counter, stack};
use images as _;

#[board::entry]
fn main() -> ! {
    let mut console = Console::open();
    counter::start();
    let nothing = bench::instructions(&mut (), |()| {}, |()| {});
    let ten = bench::instructions(&mut (), |()| {}, |()| calibrate::ten_nops());
    let forty = bench::instructions(
        &mut (),
        |()| calibrate::ten_nops(),
        |()| {
            calibrate::ten_nops();
            calibrate::ten_nops();
            calibrate::ten_nops();
            calibrate::ten_nops();
        },
    );
    let _ = writeln!(
        console,
        "instructions of 0, 10, 40: {nothing}, {ten}, {forty}"
    );

    // An empty closure may have a frame of its own.
    let frame = stack::depth_bytes(&mut || {});
    let deeper = stack::depth_bytes(&mut calibrate::sixty_four_stack_bytes) - frame;
    let endless = stack::depth_bytes(&mut || {
        black_box([1_u8; 2 * stack::PAINTED_BYTES]);
    });
    let _ = writeln!(
        console,
        "stack bytes of 64: {deeper}, of more than can be seen: {endless}"
    );
    board::exit(0)
}
