//@ figures: fast
//! Instructions of a look-up in the map that could stand in the place of the table.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;
use core::hint::black_box;

use board::{Console, Singleton, bench, counter};
use images_peers::Table;

static TABLE: Singleton<Table> = Singleton::new(Table::new());

#[board::entry]
fn main() -> ! {
    let Some(table) = TABLE.take() else {
        board::exit(1)
    };
    let mut console = Console::open();
    counter::start();
    for id in ids().take(32) {
        if table.insert(id, [0; 6]).is_err() {
            board::exit(2);
        }
    }
    let mut worst = 0;
    for id in ids().take(64) {
        let mut look_up = (&mut *table, id);
        let instructions = bench::instructions(
            &mut look_up,
            |_| {},
            |(table, id)| {
                black_box(&find(table, *id));
            },
        );
        worst = worst.max(instructions);
    }
    let _ = writeln!(
        console,
        "instructions of others: FnvIndexMap, look-up, table full, max = {worst}"
    );
    console.flush();
    board::exit(0)
}

#[inline(never)]
fn find(table: &mut Table, id: u64) -> Option<&mut [u32; 6]> {
    table.get_mut(&id)
}

/// The first 32 are in the table, the next 32 are not.
fn ids() -> impl Iterator<Item = u64> {
    (1..).map(|index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
