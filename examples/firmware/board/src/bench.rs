//! Instruction counts: the work in a loop, less the same loop without the work.

use core::hint::black_box;

use crate::counter;

/// Counts the instructions of `work`, to the instruction. Needs `-icount shift=0` and [`counter::start`].
///
/// `prepare` runs before each of the [`REPEATS`] calls and is not counted. What is left is what the body of `work`
/// has beyond an empty function: a call in it is counted with its arguments and its return. Both loops are the
/// same machine code, calling other functions; interrupts would be counted, so let there be none.
pub fn instructions<C>(context: &mut C, prepare: fn(&mut C), work: fn(&mut C)) -> u32 {
    let with_work = ticks_of_loop(context, black_box(prepare), black_box(work));
    let without = ticks_of_loop(context, black_box(prepare), black_box(|_| {}));
    let half_ns = with_work.saturating_sub(without) * counter::HALF_NS_PER_TICK;
    // Rounded to the nearest.
    (half_ns + REPEATS) / (2 * REPEATS)
}

/// So many that the error, below two ticks, is at most a quarter of an instruction per repeat.
pub const REPEATS: u32 = 4 * counter::HALF_NS_PER_TICK;

#[inline(never)]
fn ticks_of_loop<C>(context: &mut C, prepare: fn(&mut C), work: fn(&mut C)) -> u32 {
    let start = counter::read();
    for _ in 0..REPEATS {
        prepare(context);
        work(context);
    }
    counter::ticks_between(start, counter::read())
}
