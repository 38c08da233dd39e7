//! Random operations, one at a time, on the limiter and on the model: every answer is equal.

use limiter_suite::{Choices, Pair};
use proptest::prelude::*;

use crate::subject::{Stored, is_possible};

fn choices() -> impl Strategy<Value = Choices> {
    any::<[u8; 7]>().prop_map(Choices::from)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(100)
    })]

    #[test]
    fn every_answer_is_the_models(
        policy: [u8; 8],
        blocks: bool,
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        if !is_possible() {
            return Ok(());
        }
        let mut pair = Pair::<Stored>::new(policy, blocks);
        for operation in operations {
            pair.apply(operation).map_err(TestCaseError::fail)?;
        }
    }
}
