use super::*;
use std::vec::Vec;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A time line with its mark at a million.
fn marked() -> TimeLine {
    let mut line = TimeLine::new();
    assert_eq!(line.take(at(MARK)), at(MARK));
    line
}

fn take_all(line: &mut TimeLine, readings: &[u64]) -> Vec<u64> {
    let times = readings.iter().map(|&ms| line.take(at(ms)).as_millis());
    times.collect()
}

#[test]
fn m1_the_first_reading_sets_the_mark_whatever_it_is() {
    for first in [0, 1, 998, 999, 1_000, 1_001, LAST - 1_000, LAST - 999, LAST] {
        let mut line = TimeLine::new();
        assert_eq!(line.steady(at(first)), None, "{first}");
        assert_eq!(line.take(at(first)), at(first));
        assert_eq!(line.mark(), Some(at(first)));
    }
}

#[test]
fn m2_a_reading_less_than_a_second_from_the_mark_changes_nothing() {
    let line = marked();
    for ms in [MARK - 999, MARK - 1, MARK, MARK + 999] {
        let mut after = line;
        assert_eq!(line.steady(at(ms)), Some(at(ms)));
        assert_eq!(after.take(at(ms)), at(ms));
        assert_eq!(after, line);
    }
    for ms in [MARK - 1_000, MARK + 1_000] {
        assert_eq!(line.steady(at(ms)), None);
    }
}

#[test]
fn m2_a_second_or_two_years_ahead_moves_the_mark() {
    for ahead in [1_000, 1_001, 3_600_000, SPAN_MS - 1] {
        let mut line = marked();
        assert_eq!(line.take(at(MARK + ahead)), at(MARK + ahead));
        assert_eq!(line.mark(), Some(at(MARK + ahead)));
    }
}

#[test]
fn m3_time_stands_still_at_an_outlier() {
    for outlier in [0, MARK - 1_001, MARK - 1_000, MARK + SPAN_MS, LAST] {
        let mut line = marked();
        assert_eq!(line.take(at(MARK + 5)), at(MARK + 5));
        assert_eq!(line.take(at(outlier)), at(MARK));
        assert_eq!(line.mark(), Some(at(MARK)));
        assert_eq!(
            line.steady(at(MARK)),
            None,
            "which would forget the outlier"
        );
    }
}

#[test]
fn m3_a_clock_that_was_set_back_is_believed_after_10_s_of_its_own() {
    let mut line = marked();
    let times = take_all(&mut line, &[500, 10_499, 10_500, 10_501, 12_000, 500]);
    // The reading that makes it believed stands still, and time goes on from there.
    assert_eq!(
        times,
        [MARK, MARK, MARK, MARK + 1, MARK + 1_500, MARK + 1_500]
    );
}

#[test]
fn m3_a_jump_far_ahead_is_believed_after_10_s_of_its_own() {
    let far = MARK + SPAN_MS;
    let mut line = marked();
    let times = take_all(&mut line, &[far, far + 9_999, far + 10_000, far + 10_000]);
    assert_eq!(times, [MARK, MARK, MARK, far + 10_000]);
}

#[test]
fn m3_one_usual_reading_makes_the_outliers_be_forgotten() {
    let mut line = marked();
    let times = take_all(&mut line, &[500, 10_499, MARK, 10_501, 20_500, 20_501]);
    assert_eq!(times, [MARK; 6]);
    assert_eq!(line.take(at(20_502)), at(MARK + 1), "10 s after 10 501");
}

#[test]
fn m3_an_earlier_outlier_and_one_two_years_later_begin_anew() {
    let mut line = marked();
    assert_eq!(take_all(&mut line, &[5_000, 4_000, 13_999]), [MARK; 3]);
    assert_eq!(take_all(&mut line, &[14_000, 14_001]), [MARK, MARK + 1]);

    let far = MARK + SPAN_MS;
    let mut line = marked();
    assert_eq!(take_all(&mut line, &[0, far, far + 9_999]), [MARK; 3]);
    assert_eq!(
        take_all(&mut line, &[far + 10_000, far]),
        [MARK, far + 10_000]
    );
}

#[test]
fn keeps_within_monotonic_time_at_its_end_also_when_readings_are_shifted() {
    let mut line = TimeLine::new();
    let times = take_all(&mut line, &[LAST, 0, 10_000, 10_001, 50_000]);
    assert_eq!(times, [LAST; 5]);
    assert_eq!(
        line.steady(at(10_001)),
        None,
        "whose sum would have to be cut"
    );
    let mut line = TimeLine::new();
    let times = take_all(&mut line, &[LAST - 500, LAST, LAST - 1_000]);
    assert_eq!(times, [LAST - 500, LAST, LAST - 1_000]);
}

#[test]
fn is_the_same_after_packing_and_made_of_its_parts() {
    let mut line = TimeLine::new();
    for ms in [0, 5, 2_000, 0, 10_000, 10_001, LAST, 7, 0, SPAN_MS, 10_005] {
        line.take(at(ms));
        assert_eq!(TimeLine::from_words(line.to_words()), line);
        let outlier = line.outlier();
        assert_eq!(
            TimeLine::from_parts(line.mark(), line.shift_ms(), outlier),
            line
        );
    }
    assert_eq!(TimeLine::from_parts(None, 0, None), TimeLine::new());
}

#[test]
fn never_goes_back_by_two_seconds_whatever_is_read() {
    // A small generator of numbers: xorshift.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut line = TimeLine::new();
    let mut latest = 0;
    for _ in 0..200_000 {
        let far = [3, 2_000, 12_000, 100_000_000, SPAN_MS, LAST];
        let [center, spread] = [(); 2].map(|()| far[usize::try_from(random() % 6).unwrap()]);
        let time = line.take(at(center + random() % spread)).as_millis();
        assert!(time + 2_000 > latest, "{time} after {latest}");
        latest = latest.max(time);
    }
}

const MARK: u64 = 1_000_000;
const LAST: u64 = Instant::MAX.as_millis();
