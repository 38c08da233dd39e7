//! SPEC 5, D6 to D10b: the calendar.

use super::*;

/// Feeds the calendar one reading; answers the number of refills.
fn feed(subject: &mut impl Subject, now: Now) -> u32 {
    let _ = subject.check(&get(1, 1), now);
    refills(subject)
}

fn day(subject: &impl Subject) -> Option<i64> {
    subject.accounting_day().0.map(i64::from)
}

pub fn d6_a_user_of_another_accounting_day_starts_at_0<S: Subject>() {
    let mut subject = page::<S>();
    for now in [on_day(0, 0), on_day(DAY_MS, 1)] {
        let decision = subject.check(&post(1, 30), now);
        assert_eq!(daily_left(&decision), Some(9_970));
    }
}

pub fn d6_accounting_days_are_told_apart_by_refills_not_by_the_days_number<S: Subject>() {
    let mut subject = page::<S>();
    // Far ahead, and back to the very same UTC day: two refills, and two fresh days.
    for now in [on_day(0, 0), on_day(2_000, 9), on_day(2_000 + DAY_MS, 0)] {
        let decision = subject.check(&post(1, 1), now);
        assert_eq!(daily_left(&decision), Some(9_999));
    }
    assert_eq!((day(&subject), refills(&subject)), (Some(DAY), 2));
}

pub fn d6_every_decision_past_o2_feeds_the_calendar_before_anything_is_evaluated<S: Subject>() {
    let mut subject = subject::<S>(built(blocking().daily_limit(4)));
    // A request that can never fit feeds it,
    assert!(!admits(&mut subject, &post(1, 41), on_day(0, 0)));
    assert_eq!(day(&subject), Some(DAY));
    // an admitted one feeds it first: it would not have fitted the day before,
    assert!(admits(&mut subject, &post(1, 4), on_day(0, 0)));
    assert!(admits(&mut subject, &post(1, 4), on_day(0, 1)));
    for _ in 0..3 {
        assert!(!admits(&mut subject, &post(1, 4), on_day(0, 1)));
    }
    // and one that is blocked feeds it.
    let decision = subject.check(&get(1, 1), on_day(0, 2));
    assert_eq!(decision.reason(), Some(Reason::Blocked));
    assert_eq!(subject.accounting_day().1, 2);
}

pub fn d7_the_first_known_utc_is_adopted_and_refills_nothing<S: Subject>() {
    let mut subject = page::<S>();
    assert_eq!(
        daily_left(&subject.check(&post(1, 30), dark(0))),
        Some(9_970)
    );
    assert_eq!(
        daily_left(&subject.check(&post(1, 10), at(1_000))),
        Some(9_960)
    );
    assert_eq!((day(&subject), refills(&subject)), (Some(DAY), 0));
}

pub fn d7_utc_below_the_floor_and_from_2_to_the_39_on_is_unknown<S: Subject>() {
    for utc in [i64::MIN, -1, 0, 1_577_836_799, 1 << 39, i64::MAX] {
        let mut subject = page::<S>();
        feed(&mut subject, now(0, Some(utc)));
        assert_eq!(day(&subject), None, "{utc}");
    }
    for (utc, known) in [(1_577_836_800, 18_262), ((1 << 39) - 1, 6_362_914)] {
        let mut subject = page::<S>();
        feed(&mut subject, now(0, Some(utc)));
        assert_eq!(day(&subject), Some(known));
    }
}

pub fn d7_an_adoption_starts_the_24_h_anew<S: Subject>() {
    let mut subject = page::<S>();
    feed(&mut subject, dark(0));
    feed(&mut subject, at(HOUR_MS));
    assert_eq!(feed(&mut subject, dark(HOUR_MS + DAY_MS - 1)), 0);
    assert_eq!(feed(&mut subject, dark(HOUR_MS + DAY_MS)), 1);
}

pub fn d8_a_greater_utc_day_advances_to_it_at_midnight_and_refills_once<S: Subject>() {
    let mut subject = page::<S>();
    assert_eq!(feed(&mut subject, after_midnight(0, -1)), 0);
    assert_eq!(feed(&mut subject, after_midnight(1, 0)), 1);
    assert_eq!(feed(&mut subject, after_midnight(2, 0)), 1);
    // A week ahead is one refill too.
    assert_eq!(feed(&mut subject, on_day(3, 8)), 2);
    assert_eq!(day(&subject), Some(DAY + 8));
}

pub fn d9_a_step_back_over_midnight_refills_nothing<S: Subject>() {
    let mut subject = page::<S>();
    feed(&mut subject, after_midnight(0, -1));
    for (t_ms, seconds) in [(1, 0), (2, -1), (3, 0), (4, -5)] {
        assert_eq!(feed(&mut subject, after_midnight(t_ms, seconds)), 1);
        assert_eq!(day(&subject), Some(DAY + 1));
    }
}

pub fn d9_a_day_that_is_still_smaller_after_24_h_is_advanced_to<S: Subject>() {
    let mut subject = page::<S>();
    feed(&mut subject, on_day(1_000, 5));
    assert_eq!(feed(&mut subject, on_day(2_000, 0)), 0);
    assert_eq!(feed(&mut subject, on_day(1_000 + DAY_MS - 1, 1)), 0);
    assert_eq!(feed(&mut subject, on_day(1_000 + DAY_MS, 1)), 1);
    assert_eq!(day(&subject), Some(DAY + 1));
}

pub fn d9_a_wall_clock_that_stands_still_refills_nothing<S: Subject>() {
    // On any day, and on the last of all.
    for utc in [NOON, (1 << 39) - 1] {
        let mut subject = page::<S>();
        for t_ms in [0, DAY_MS, 1_000, 3 * DAY_MS, DAY_MS, 2 * DAY_MS] {
            assert_eq!(feed(&mut subject, now(t_ms, Some(utc))), 0, "{t_ms}");
        }
    }
}

pub fn d10_utc_unknown_for_24_h_advances_by_one<S: Subject>() {
    // A calendar that has adopted nothing counts from its first reading.
    let mut subject = page::<S>();
    assert_eq!(feed(&mut subject, dark(7)), 0);
    assert_eq!(feed(&mut subject, dark(7 + DAY_MS - 1)), 0);
    assert_eq!(feed(&mut subject, dark(7 + DAY_MS)), 1);
    assert_eq!(day(&subject), None);
    // However long it was, it is one; the next is counted from here.
    assert_eq!(feed(&mut subject, dark(10 * DAY_MS)), 2);
    assert_eq!(feed(&mut subject, dark(11 * DAY_MS - 1)), 2);
    assert_eq!(feed(&mut subject, dark(11 * DAY_MS)), 3);
    // One that knows its day knows the next one.
    let mut subject = page::<S>();
    feed(&mut subject, at(0));
    assert_eq!(feed(&mut subject, dark(DAY_MS)), 1);
    assert_eq!(day(&subject), Some(DAY + 1));
    assert_eq!(feed(&mut subject, on_day(DAY_MS + 1, 1)), 1);
}

pub fn d10_an_unknown_reading_in_between_changes_nothing<S: Subject>() {
    let mut subject = page::<S>();
    feed(&mut subject, at(0));
    feed(&mut subject, dark(HOUR_MS));
    assert_eq!(feed(&mut subject, at(2 * HOUR_MS)), 0);
}

pub fn d10_goes_on_past_the_last_day_that_utc_can_name<S: Subject>() {
    let mut subject = page::<S>();
    let last = (1 << 39) - 1;
    feed(&mut subject, now(0, Some(last)));
    assert_eq!(feed(&mut subject, dark(DAY_MS)), 1);
    assert_eq!(day(&subject), Some(6_362_915));
    // UTC is behind now: it stays, and waits as long as D5 lets it, until 24 h have passed (D9).
    assert_eq!(feed(&mut subject, now(DAY_MS + 1, Some(last))), 1);
    assert_eq!(feed(&mut subject, now(2 * DAY_MS, Some(last))), 2);
    assert_eq!(day(&subject), Some(6_362_914));
}

pub fn d10b_the_first_advance_has_no_bound_the_next_ones_are_23_h_apart<S: Subject>() {
    let mut subject = page::<S>();
    feed(&mut subject, on_day(5, 0));
    assert_eq!(feed(&mut subject, on_day(10, 1)), 1);
    assert_eq!(feed(&mut subject, on_day(20, 2)), 2);
    let bound = 10 + 23 * HOUR_MS;
    assert_eq!(feed(&mut subject, on_day(bound - 1, 3)), 2);
    assert_eq!(day(&subject), Some(DAY + 2), "the day waits as well");
    assert_eq!(feed(&mut subject, on_day(bound, 3)), 3);
    // After a long pause no more than one is saved up.
    assert_eq!(feed(&mut subject, on_day(90 * DAY_MS, 90)), 4);
    assert_eq!(feed(&mut subject, on_day(90 * DAY_MS, 91)), 5);
    assert_eq!(feed(&mut subject, on_day(90 * DAY_MS, 92)), 5);
}

pub fn d10b_a_sane_clock_is_never_delayed_also_when_midnight_is_met_late<S: Subject>() {
    let mut subject = page::<S>();
    for (days, minute) in [
        (0, 700),
        (1, 59),
        (2, 0),
        (3, 59),
        (4, 1),
        (5, 1_439),
        (6, 0),
    ] {
        let seconds = u64::from(days) * 86_400 + minute * 60;
        let utc = DAY * 86_400 + seconds.cast_signed();
        assert_eq!(feed(&mut subject, now(seconds * 1_000, Some(utc))), days);
    }
}

pub fn d10b_a_hostile_wall_clock_mints_no_more_than_its_bound_in_any_span<S: Subject>() {
    for step_ms in [
        1_000,
        30 * 60_000,
        HOUR_MS,
        7 * HOUR_MS,
        23 * HOUR_MS,
        25 * HOUR_MS,
    ] {
        let mut subject = page::<S>();
        let mut refilled_at = Vec::new();
        for step in 0..(10 * DAY_MS / step_ms).min(3_000) {
            let before = refills(&subject);
            // Every reading claims the next day; some are unknown.
            let utc = (step % 5 != 4).then(|| NOON + step.cast_signed() * 86_400);
            if feed(&mut subject, now(step * step_ms, utc)) > before {
                refilled_at.push(step * step_ms);
            }
        }
        for (i, from) in refilled_at.iter().enumerate() {
            for (count, to) in (1_u64..).zip(&refilled_at[i..]) {
                let most = 2 + (to - from).div_ceil(23 * HOUR_MS);
                assert!(count <= most, "{from} to {to}");
            }
        }
        assert!(refilled_at.len() >= 2, "{step_ms}: it met the bound");
    }
}
