//! Random operations, one at a time, on the limiter and on the model: every answer is equal.

use limiter_suite::{Choices, Pair};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::subjects::{CHECK, CHECK_LOCATED, CHECK_MANY, Roomy, Small};

fn choices() -> impl Strategy<Value = Choices> {
    any::<[u8; 7]>().prop_map(Choices::from)
}

/// `PROPTEST_CASES` in the environment runs more, or fewer.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|cases| cases.parse().ok()).unwrap_or(cases),
        max_shrink_iters: 100_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proptest-regressions/concurrent.txt"
        )))),
        ..ProptestConfig::default()
    }
}

fn run<const HOW: u8>(
    policy: [u8; 8],
    blocks: bool,
    operations: &[Choices],
) -> Result<(), TestCaseError> {
    let mut pair = Pair::<Roomy<HOW>>::new(policy, blocks);
    for &operation in operations {
        pair.apply(operation).map_err(TestCaseError::fail)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn every_answer_is_the_models(
        policy: [u8; 8],
        blocks: bool,
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        run::<CHECK>(policy, blocks, &operations)?;
    }

    #[test]
    fn t2_evictions_are_invisible_and_t3_a_table_is_full_only_when_no_row_may_go(
        policy: [u8; 8],
        homes: [u8; 8],
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        // The high bits are an id's home: ids gather in a few, also around the table's end.
        let ids = (1..=8).zip(homes).map(|(i, home)| (u64::from(home) << 56) | i).collect();
        let mut pair = Pair::<Small>::with_small_table(policy, ids);
        for operation in operations {
            pair.apply_registered(operation).map_err(TestCaseError::fail)?;
        }
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn located_and_batched_decisions_are_the_models(
        policy: [u8; 8],
        blocks: bool,
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        run::<CHECK_LOCATED>(policy, blocks, &operations)?;
        run::<CHECK_MANY>(policy, blocks, &operations)?;
    }
}
