//! Recorded traces.

use limiter_suite::vectors::{own_folder, replay_folder, shared_folder};

use crate::subject::{Stored, is_possible};

#[test]
fn every_decision_of_the_own_vectors_is_equal() {
    if is_possible() {
        assert_eq!(replay_folder::<Stored>(&own_folder()), 1_600);
    }
}

#[test]
fn every_decision_of_the_shared_vectors_is_equal() {
    let Some(folder) = shared_folder() else {
        println!("skipped: there are no shared vectors here");
        return;
    };
    if is_possible() {
        assert!(replay_folder::<Stored>(&folder) >= 28_500);
    }
}
