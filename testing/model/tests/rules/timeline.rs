//! SPEC 2, M1 to M3: one time line.

use super::*;

/// Feeds readings to token 1 and answers the times of those decisions.
fn times(readings: &[u64]) -> Vec<i128> {
    let mut model = pipedrive();
    let time = |&t_ms: &u64| {
        let time = model.time_ms(at(t_ms));
        model.check(&get(1, 1), at(t_ms));
        time
    };
    readings.iter().map(time).collect()
}

#[test]
fn m1_only_a_decision_past_o2_moves_the_mark() {
    let mut model = pipedrive();
    let hook = Request {
        origin: Origin::Webhook,
        ..get(1, 1)
    };
    model.check(&hook, at(60_000));
    model.check(&get(99, 1), at(60_000));
    let _ = model.peek(&get(1, 1), at(60_000));
    assert_eq!(model.time_line().mark_ms(), None);
    model.check(&get(1, 1), at(5_000));
    assert_eq!(model.time_line().mark_ms(), Some(5_000));
}

#[test]
fn m2_readings_within_a_second_are_taken_as_they_are() {
    let readings = [10_000, 10_999, 9_001, 11_000, 10_001];
    assert_eq!(times(&readings), readings.map(i128::from));
}

#[test]
fn m3_a_second_late_or_two_years_ahead_time_stands_still() {
    let span = 1 << 36;
    assert_eq!(times(&[50_000, 49_000, 0, 50_000 + span]), [50_000; 4]);
    assert_eq!(
        times(&[50_000, 49_999 + span]),
        [50_000, 49_999 + (1 << 36)]
    );
}

#[test]
fn m3_outliers_are_believed_after_10_s_of_their_own() {
    // Set back: time goes on from where it stood.
    assert_eq!(times(&[50_000, 0, 10_000, 10_001])[2..], [50_000, 50_001]);
    // Ahead: for the next decision.
    let far = 50_000 + (1 << 36);
    let readings = [50_000, far, far + 10_000, far + 10_000];
    assert_eq!(times(&readings)[2..], [50_000, i128::from(far) + 10_000]);
    // Not if a usual reading lies between.
    assert_eq!(
        times(&[50_000, 0, 50_000, 10_000, 10_001])[3..],
        [50_000; 2]
    );
}
