//@ ram: yes
//! Statics as large as what a product keeps: their sizes are read from the symbol table.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use images as _;
use limiter_core::{Decision, Limiter, TokenRow, UserRow};
use limiter_pacer::Pacer;

static RAM_EACH_TOKEN: [u8; TokenRow::SIZE] = [0; TokenRow::SIZE];
static RAM_EACH_USER: [u8; UserRow::SIZE] = [0; UserRow::SIZE];
static RAM_LIMITER_FOR_32_TOKENS_AND_16_USERS: [u8; size_of::<Limiter<32, 16>>()] =
    [0; size_of::<Limiter<32, 16>>()];
static RAM_PACER_OF_32_FLIGHTS: [u8; size_of::<Pacer<32>>()] = [0; size_of::<Pacer<32>>()];
static RAM_DECISION: [u8; size_of::<Decision>()] = [0; size_of::<Decision>()];

#[board::entry]
fn main() -> ! {
    // Looked at, so that the linker keeps them.
    black_box((
        &RAM_EACH_TOKEN,
        &RAM_EACH_USER,
        &RAM_LIMITER_FOR_32_TOKENS_AND_16_USERS,
        &RAM_PACER_OF_32_FLIGHTS,
        &RAM_DECISION,
    ));
    board::exit(0)
}
