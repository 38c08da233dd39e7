//@ size: heapless FnvIndexMap alone (insert, look up, remove) above empty
//! What a map costs that could stand in the place of the table of tokens.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use board::Singleton;
use images_peers::Table;

static TABLE: Singleton<Table> = Singleton::new(Table::new());

#[board::entry]
fn main() -> ! {
    let Some(table) = TABLE.take() else {
        board::exit(1)
    };
    let inserted = table.insert(black_box(7), black_box([0; 6])).is_ok();
    if let Some(row) = table.get_mut(&black_box(7)) {
        black_box(row);
    }
    let removed = table.swap_remove(&black_box(7)).is_some();
    board::exit(u8::from(!(inserted && removed)))
}
