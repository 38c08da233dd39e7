//! Tables that are too small for everybody.

use crate::subjects::{CHECK, Sized};
use limiter_suite::crowded;

#[test]
fn newcomers_are_not_locked_out_for_ever_by_idle_users_of_two_tokens_each() {
    crowded::idle_users_of_two_tokens_each_do_not_lock_newcomers_out::<Sized<4, 2, CHECK>>();
    crowded::idle_users_of_two_tokens_each_do_not_lock_newcomers_out::<Sized<64, 2, CHECK>>();
    crowded::idle_users_of_two_tokens_each_do_not_lock_newcomers_out::<Sized<64, 32, CHECK>>();
}

#[test]
fn refusing_a_newcomer_at_a_full_table_does_not_look_at_every_row_again() {
    let searched =
        crowded::refusing_newcomers_looks_at_the_rows_once::<Sized<4_000, 4_000, CHECK>>();
    assert!(
        searched <= 1_000,
        "{searched} of 9 000 rows for the one that is idle"
    );
}
