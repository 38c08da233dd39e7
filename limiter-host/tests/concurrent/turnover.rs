//! What a look-up costs after generations of tokens.

use crate::subjects::{CHECK, Sized};
use limiter_suite::Turnover;

type Table = Sized<4_000, 4_000, CHECK>;

/// Turns a table over, ten generations, in both orders: no look-up of a token ever visits more than
/// `tokens` rows, and in the end none more than `in_the_end`. A row of each is for the one token of
/// a user.
fn look_ups_stay_short(occupancy: usize, tokens: u32, in_the_end: u32) {
    for oldest_first in [true, false] {
        let turnover = Turnover {
            occupancy,
            tokens_of_user: 1,
            generations: 10,
            oldest_first,
        };
        let turned = turnover.run::<Table>();
        println!("{turned:?}");
        assert!(turned.longest_probe <= tokens, "{turned:?}");
        assert!(turned.statistics.longest_probe <= in_the_end, "{turned:?}");
        assert!(turned.longest_user_probe <= 12, "{turned:?}");
        assert!(turned.statistics.evicted_tokens > 4_000);
    }
}

#[test]
fn a_look_up_stays_short_over_generations_of_tokens_in_a_table_half_in_use() {
    look_ups_stay_short(50, 200, 160);
}

#[test]
fn a_look_up_stays_short_over_generations_of_tokens_in_a_table_nine_tenths_in_use() {
    look_ups_stay_short(90, 250, 200);
}

#[test]
fn a_look_up_stays_short_over_generations_of_tokens_in_a_table_wholly_in_use() {
    look_ups_stay_short(100, 250, 200);
}
