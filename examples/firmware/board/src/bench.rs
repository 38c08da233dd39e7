//! Instruction counts: the work in a loop, less the same loop without the work.

use crate::counter;

/// Counts the instructions of `work`, to the instruction. Needs `-icount shift=0` and [`counter::start`].
///
/// `prepare` runs before each of the [`REPEATS`] calls and is not counted. What is left is what `work`'s body adds
/// to an empty closure: a call in it is counted with its arguments and its return. Both loops are the same
/// machine code, called with other closures; interrupts would be counted, so let there be none.
pub fn instructions(prepare: &mut dyn FnMut(), work: &mut dyn FnMut()) -> u32 {
    let with_work = ticks_of_loop(prepare, work);
    let without = ticks_of_loop(prepare, &mut || {});
    let half_ns = with_work.saturating_sub(without) * counter::HALF_NS_PER_TICK;
    // Rounded to the nearest; the two readings of each loop err by less than two ticks in all.
    (half_ns + REPEATS) / (2 * REPEATS)
}

/// Twice the longest tick, 62.5 instructions, times two readings, is less than half an instruction per repeat.
pub const REPEATS: u32 = 512;

#[inline(never)]
fn ticks_of_loop(prepare: &mut dyn FnMut(), work: &mut dyn FnMut()) -> u32 {
    let start = counter::read();
    for _ in 0..REPEATS {
        prepare();
        work();
    }
    counter::ticks_between(start, counter::read())
}
