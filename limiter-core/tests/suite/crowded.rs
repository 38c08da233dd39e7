//! Tables that are too small for everybody, and tables through generations of tokens.

use limiter_core::Limiter;
use limiter_suite::{Turnover, crowded};

#[test]
fn newcomers_are_not_locked_out_for_ever_by_idle_users_of_two_tokens_each() {
    crowded::idle_users_of_two_tokens_each_do_not_lock_newcomers_out::<Limiter<4, 2>>();
    crowded::idle_users_of_two_tokens_each_do_not_lock_newcomers_out::<Limiter<64, 2>>();
    crowded::idle_users_of_two_tokens_each_do_not_lock_newcomers_out::<Limiter<64, 32>>();
}

#[test]
fn refusing_a_newcomer_at_a_full_table_does_not_look_at_every_row_again() {
    let searched = crowded::refusing_newcomers_looks_at_the_rows_once::<Limiter<1_000, 1_000>>();
    assert!(searched <= 2_100, "one pass: {searched}");
}

/// Turns a table over, in both orders: no look-up ever visits more rows than that of a table filled
/// for the first time, and in the end none more than the given numbers, of tokens and of users.
fn look_ups_stay_short(occupancy: usize, tokens: u32, users: u32) {
    for oldest_first in [true, false] {
        let turnover = Turnover {
            occupancy,
            tokens_of_user: 1,
            generations: 10,
            oldest_first,
        };
        let turned = turnover.run::<Limiter<1_000, 1_000>>();
        println!("{turned:?}");
        let end = turned.statistics;
        assert!(turned.longest_probe <= 150, "{turned:?}");
        assert!(end.longest_probe <= tokens, "{turned:?}");
        assert!(end.longest_user_probe <= users, "{turned:?}");
        assert!(end.evicted_tokens > 1_000);
    }
}

#[test]
fn a_look_up_is_short_after_generations_of_tokens_in_a_table_half_in_use() {
    look_ups_stay_short(50, 80, 150);
}

#[test]
fn a_look_up_is_short_after_generations_of_tokens_in_a_table_nine_tenths_in_use() {
    look_ups_stay_short(90, 100, 400);
}

#[test]
fn a_look_up_is_short_after_generations_of_tokens_in_a_table_wholly_in_use() {
    look_ups_stay_short(100, 100, 400);
}
