//! Random operations on the limiter and on the model: every answer is equal.

use limiter_suite::{Choices, Pair};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

use crate::metered::Metered;
use crate::subjects::{Roomy, Small};

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
            "/proptest-regressions/differential.txt"
        )))),
        ..ProptestConfig::default()
    }
}

fn fail(why: String) -> TestCaseError {
    TestCaseError::fail(why)
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn every_answer_is_the_models(
        policy: [u8; 8],
        blocks: bool,
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        let mut pair = Pair::<Roomy>::new(policy, blocks);
        for operation in operations {
            pair.apply(operation).map_err(fail)?;
        }
    }

    #[test]
    fn every_answer_over_restarts_is_the_models(
        policy: [u8; 8],
        blocks: bool,
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        let mut pair = Pair::<Roomy>::new(policy, blocks);
        for operation in operations {
            pair.apply_or_restart(operation).map_err(fail)?;
        }
    }

    #[test]
    fn every_answer_of_a_limiter_that_reserves_ahead_is_the_models(
        policy: [u8; 8],
        blocks: bool,
        lost: bool,
        operations in prop::collection::vec(choices(), 1..120),
    ) {
        let mut pair = if lost {
            Pair::<Metered<64, 32>>::without_state(policy, blocks).map_err(fail)?
        } else {
            Pair::<Metered<64, 32>>::new(policy, blocks)
        };
        for operation in operations {
            pair.apply_or_restart(operation).map_err(fail)?;
        }
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
            pair.apply_registered(operation).map_err(fail)?;
        }
    }
}

/// Runs random cases that are the same every time; answers the sums of `measure` over them.
fn sums(cases: u32, mut measure: impl FnMut([u8; 8], Vec<Choices>) -> Vec<u64>) -> Vec<u64> {
    let mut runner = TestRunner::deterministic();
    let strategy = (any::<[u8; 8]>(), prop::collection::vec(choices(), 1..120));
    let mut sums = Vec::new();
    for _ in 0..cases {
        let (policy, operations) = strategy.new_tree(&mut runner).unwrap().current();
        let counts = measure(policy, operations);
        sums.resize(counts.len(), 0);
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    sums
}

#[test]
fn the_operations_meet_every_outcome() {
    let words = [
        "admitted",
        "exempt",
        "window",
        "daily",
        "cost_exceeds_limit",
        "blocked",
        "unauthenticated",
    ];
    let counts = sums(300, |policy, operations| {
        let mut pair = Pair::<Roomy>::new(policy, true);
        for operation in operations {
            pair.apply(operation).unwrap();
        }
        words.map(|word| pair.count(word)).to_vec()
    });
    assert!(
        counts.iter().all(|&count| count >= 200),
        "{words:?}: {counts:?}"
    );
}

#[test]
fn the_operations_evict_and_meet_full_tables() {
    let counts = sums(100, |policy, operations| {
        let mut pair = Pair::<Small>::with_small_table(policy, (1..=8).collect());
        for operation in operations {
            pair.apply_registered(operation).unwrap();
        }
        let statistics = pair.subject().statistics();
        vec![
            statistics.evicted_tokens,
            statistics.evicted_users,
            statistics.table_full,
        ]
    });
    assert!(counts.iter().all(|&count| count >= 200), "{counts:?}");
}
