//! Recorded traces.

use limiter_suite::vectors::{own_folder, replay_folder, shared_folder};

use crate::subjects::{CHECK, CHECK_LOCATED, CHECK_MANY, Roomy};

#[test]
fn every_decision_of_the_own_vectors_is_equal() {
    assert_eq!(replay_folder::<Roomy<CHECK>>(&own_folder()), 1_600);
    assert_eq!(replay_folder::<Roomy<CHECK_LOCATED>>(&own_folder()), 1_600);
    assert_eq!(replay_folder::<Roomy<CHECK_MANY>>(&own_folder()), 1_600);
}

#[test]
fn every_decision_of_the_shared_vectors_is_equal() {
    let Some(folder) = shared_folder() else {
        println!("skipped: there are no shared vectors here");
        return;
    };
    assert!(replay_folder::<Roomy<CHECK>>(&folder) >= 28_500);
}
