//! Runs a limiter of few rows beside the model's unbounded ones: nobody sees an eviction (T2), and
//! a table is full only when no row may go (T3). The first bytes are a policy and the homes of
//! eight ids, every seven more an operation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limiter_core::Limiter;
use limiter_suite::{Choices, Pair};

fuzz_target!(|data: &[u8]| {
    let Some((policy, data)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((homes, operations)) = data.split_first_chunk::<8>() else {
        return;
    };
    let ids = (1..=8).zip(homes).map(|(i, &home)| (u64::from(home) << 56) | i);
    let mut pair = Pair::<Limiter<4, 3>>::with_small_table(*policy, ids.collect());
    for &operation in operations.as_chunks().0 {
        if let Err(difference) = pair.apply_registered(Choices::from(operation)) {
            panic!("{difference}");
        }
    }
});
