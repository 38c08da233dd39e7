use super::*;
use std::vec::Vec;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 86_400;

fn at(ms: u64, utc: impl Into<Option<u64>>) -> Now {
    Now::new(
        Instant::from_millis(ms),
        utc.into().and_then(UnixTime::from_secs),
    )
}

/// Feeds each reading and says on which ones the day advanced.
fn feed_all(calendar: &mut Calendar, readings: &[(u64, Option<u64>)]) -> Vec<bool> {
    readings
        .iter()
        .map(|&(ms, utc)| calendar.feed(at(ms, utc)))
        .collect()
}

fn on_day(day: u64) -> Calendar {
    let mut calendar = Calendar::new();
    assert!(!calendar.feed(at(0, day * DAY)));
    calendar
}

#[test]
fn d7_adopts_the_first_known_day_without_a_refill() {
    let mut calendar = Calendar::new();
    let advanced = feed_all(&mut calendar, &[(0, None), (5, None), (9, Some(3 * DAY))]);
    assert_eq!(advanced, [false; 3]);
    assert_eq!((calendar.day(), calendar.refills()), (Some(3), 0));
}

#[test]
fn d8_advances_at_midnight_and_over_many_days_once() {
    let mut calendar = on_day(10);
    let readings = [
        (1, Some(11 * DAY - 1)),
        (2, Some(11 * DAY)),
        (HOUR * 24, Some(500 * DAY)),
    ];
    assert_eq!(feed_all(&mut calendar, &readings), [false, true, true]);
    assert_eq!((calendar.day(), calendar.refills()), (Some(500), 2));
}

#[test]
fn d9_stays_when_utc_steps_back_and_gives_in_after_24_hours() {
    let mut calendar = on_day(100);
    let readings = [
        (1_000, Some(90 * DAY)),
        (24 * HOUR - 1, Some(91 * DAY)),
        (24 * HOUR, Some(91 * DAY)),
    ];
    assert_eq!(feed_all(&mut calendar, &readings), [false, false, true]);
    assert_eq!(calendar.day(), Some(91));
}

#[test]
fn d10_advances_by_one_after_24_hours_without_utc() {
    let mut calendar = Calendar::new();
    let readings = [
        (HOUR, None),
        (25 * HOUR - 1, None),
        (25 * HOUR, None),
        (49 * HOUR, None),
    ];
    assert_eq!(
        feed_all(&mut calendar, &readings),
        [false, false, true, true]
    );
    assert_eq!(
        calendar.day(),
        None,
        "a day that was never known stays unknown"
    );
    let mut known = on_day(7);
    assert!(known.feed(at(24 * HOUR, None)));
    assert_eq!(known.day(), Some(8));
}

#[test]
fn d10b_a_racing_wall_clock_mints_at_most_two_refills_and_one_per_23_hours() {
    for span_hours in [1, 22, 23, 24, 46, 100, 240] {
        let mut calendar = on_day(0);
        let mut refills = 0;
        for minute in 0..=span_hours * 60 {
            // A day further with every minute.
            refills += u64::from(calendar.feed(at(minute * 60_000, (minute + 1) * DAY)));
        }
        let bound = 2 + span_hours.div_ceil(23);
        assert!(refills <= bound, "{refills} refills in {span_hours} h");
    }
}

#[test]
fn d10b_holds_an_early_advance_until_its_time() {
    let mut calendar = on_day(0);
    assert!(calendar.feed(at(0, DAY)));
    assert!(
        calendar.feed(at(0, 2 * DAY)),
        "the first advance bounds nothing yet"
    );
    assert!(!calendar.feed(at(23 * HOUR - 1, 3 * DAY)));
    assert_eq!(calendar.wait_ms(at(23 * HOUR - 1, 3 * DAY)), 1);
    assert!(calendar.feed(at(23 * HOUR, 3 * DAY)));
}

#[test]
fn d10b_holds_also_at_a_time_that_is_a_little_behind_a_mark() {
    let mut calendar = on_day(0);
    assert!(calendar.feed(at(5_000, DAY)));
    assert!(!calendar.feed(at(3_001, 2 * DAY)));
    assert_eq!(calendar.wait_ms(at(3_001, 2 * DAY - 1)), 1_999);
    assert_eq!(
        calendar.wait_ms(at(3_001, None)),
        86_400_000,
        "at most 24 h"
    );
    assert!(calendar.feed(at(5_000, 2 * DAY)));
}

#[test]
fn d5_waits_for_the_end_of_the_day_or_what_is_left_of_24_hours() {
    let calendar = on_day(10);
    assert_eq!(calendar.wait_ms(at(0, 10 * DAY + 1)), 86_399_000);
    assert_eq!(calendar.wait_ms(at(0, 11 * DAY - 1)), 1_000);
    assert_eq!(
        calendar.wait_ms(at(0, 9 * DAY)),
        86_400_000,
        "never more than 24 h"
    );
    assert_eq!(calendar.wait_ms(at(HOUR, None)), 23 * 3_600_000);
}

#[test]
fn d10_goes_on_past_the_last_day_that_utc_can_name() {
    let last = (1 << 39) - 1;
    let mut calendar = Calendar::new();
    assert!(!calendar.feed(at(0, last)));
    assert_eq!(calendar.day(), Some(6_362_914));
    assert!(
        !calendar.is_steady(at(0, last)),
        "its end would wrap around"
    );
    for (hours, day) in [(24, 6_362_915), (48, 6_362_916)] {
        assert!(calendar.feed(at(hours * HOUR, None)));
        assert_eq!(calendar.day(), Some(day));
        assert_eq!(Calendar::from_words(calendar.to_words()), calendar);
    }
    // UTC is smaller then: it stays (D9), and waits for no midnight that could be told.
    for utc in [0, 329 * 128, last] {
        assert!(!calendar.is_steady(at(48 * HOUR + 1, utc)));
        assert!(!calendar.feed(at(48 * HOUR + 1, utc)));
        assert_eq!(calendar.wait_ms(at(48 * HOUR + 1, utc)), 86_400_000);
    }
    let saved = calendar.save(Instant::from_millis(48 * HOUR));
    let restored = Calendar::restore(&saved, OffTime::Ignore, Instant::ZERO);
    assert_eq!(restored.day(), Some(6_362_916));
    assert!(calendar.feed(at(72 * HOUR, last)));
    assert_eq!(calendar.day(), Some(6_362_914));
    let mut fresh = Calendar::new();
    assert!(!fresh.feed(at(0, last - 86_400)));
    assert!(fresh.feed(at(1, last)));
}

#[test]
fn is_the_same_after_packing_and_says_truly_that_a_reading_changes_nothing() {
    let mut calendar = Calendar::new();
    let readings = [
        (5, None),
        (9, Some(3 * DAY)),
        (10, Some(4 * DAY)),
        (10, Some(4 * DAY)),
        (10, Some(5 * DAY - 1)),
        (30 * HOUR, Some(2 * DAY)),
        (60 * HOUR, None),
        (61 * HOUR, Some(5 * DAY)),
    ];
    let mut steady = Vec::new();
    for (ms, utc) in readings {
        assert_eq!(Calendar::from_words(calendar.to_words()), calendar);
        let before = calendar;
        steady.push(calendar.is_steady(at(ms, utc)));
        calendar.feed(at(ms, utc));
        assert!(!steady[steady.len() - 1] || calendar == before);
    }
    assert_eq!(steady.iter().filter(|&&steady| steady).count(), 2);
}

/// A store's record was read as if the mark were the last instant, so a further day was granted.
#[test]
fn d10b_a_mark_beyond_the_last_instant_is_not_cut_off() {
    let mark = Instant::MAX.as_millis() + 23 * 3_600_000;
    let mut calendar = Calendar::from_parts(Instant::MAX, Some(mark), Some(20_000), 1);
    let tomorrow = UnixTime::from_secs(20_001 * 86_400);
    calendar.feed(Now::new(Instant::MAX, tomorrow));
    assert_eq!(calendar.refills(), 1);
}
