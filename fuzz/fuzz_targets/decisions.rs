//! Runs the limiter beside the model: the first bytes are a policy, every seven more an operation.
//! Every answer is the model's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limiter_core::Limiter;
use limiter_suite::{Choices, Pair};

fuzz_target!(|data: &[u8]| {
    let Some((&[blocks, ref policy @ ..], operations)) = data.split_first_chunk::<9>() else {
        return;
    };
    let mut pair = Pair::<Limiter<8, 8>>::new(*policy, blocks % 2 == 0);
    for &operation in operations.as_chunks().0 {
        if let Err(difference) = pair.apply(Choices::from(operation)) {
            panic!("{difference}");
        }
    }
});
