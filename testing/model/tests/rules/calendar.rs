//! SPEC 5, D6 to D10b: the calendar.

use super::*;

/// Feeds the calendar one reading; answers the number of refills.
fn feed(model: &mut Model, now: Now) -> u64 {
    model.check(&get(1, 1), now);
    model.refills()
}

#[test]
fn d6_a_user_of_another_accounting_day_starts_at_0() {
    let mut model = pipedrive();
    assert_eq!(model.check(&post(1, 30), at(0)).daily_left, Some(9_970));
    assert_eq!(
        model.check(&post(1, 30), on_day(DAY_MS, 1)).daily_left,
        Some(9_970)
    );
}

#[test]
fn d6_accounting_days_are_told_apart_by_refills_not_by_the_days_number() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 30), on_day(0, 0)));
    // Far ahead, and back to the very same UTC day: two refills, and two fresh days.
    assert_eq!(
        model.check(&post(1, 1), on_day(2_000, 9)).daily_left,
        Some(9_999)
    );
    let back = on_day(2_000 + DAY_MS, 0);
    assert_eq!(model.check(&post(1, 1), back).daily_left, Some(9_999));
    assert_eq!((model.calendar().day(), model.refills()), (Some(DAY), 2));
}

#[test]
fn d6_every_decision_past_o2_feeds_the_calendar_before_anything_is_evaluated() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..daily(4, Mode::Strict)
    });
    // A request that can never fit feeds it,
    assert!(!admits(&mut model, &post(1, 41), on_day(0, 0)));
    assert_eq!(model.calendar().day(), Some(DAY));
    // one that is refused feeds it first: it would not have fitted the day before,
    assert!(admits(&mut model, &post(1, 4), on_day(0, 0)));
    assert!(admits(&mut model, &post(1, 4), on_day(0, 1)));
    for _ in 0..3 {
        assert!(!admits(&mut model, &post(1, 4), on_day(0, 1)));
    }
    // and one that is blocked feeds it.
    assert!(!admits(&mut model, &get(1, 1), on_day(0, 2)));
    assert_eq!(
        (model.calendar().day(), model.refills()),
        (Some(DAY + 2), 2)
    );
}

#[test]
fn d7_the_first_known_utc_is_adopted_and_refills_nothing() {
    let mut model = pipedrive();
    assert_eq!(model.check(&post(1, 30), dark(0)).daily_left, Some(9_970));
    assert_eq!(model.check(&post(1, 10), at(1_000)).daily_left, Some(9_960));
    assert_eq!((model.calendar().day(), model.refills()), (Some(DAY), 0));
    // Below the floor and from 2^39 on it is not known.
    for utc in [i64::MIN, -1, 1_577_836_799, 1 << 39, i64::MAX] {
        let mut model = pipedrive();
        feed(
            &mut model,
            Now {
                t_ms: 0,
                utc: Some(utc),
            },
        );
        assert_eq!(model.calendar().day(), None, "{utc}");
    }
}

#[test]
fn d7_an_adoption_starts_the_24_h_anew() {
    let mut model = pipedrive();
    feed(&mut model, dark(0));
    feed(&mut model, at(HOUR_MS));
    assert_eq!(feed(&mut model, dark(HOUR_MS + DAY_MS - 1)), 0);
    assert_eq!(feed(&mut model, dark(HOUR_MS + DAY_MS)), 1);
}

#[test]
fn d8_a_greater_utc_day_advances_to_it_at_midnight_and_refills_once() {
    let mut model = pipedrive();
    let midnight = (DAY + 1) * 86_400;
    assert_eq!(
        feed(
            &mut model,
            Now {
                t_ms: 0,
                utc: Some(midnight - 1)
            }
        ),
        0
    );
    assert_eq!(
        feed(
            &mut model,
            Now {
                t_ms: 1,
                utc: Some(midnight)
            }
        ),
        1
    );
    assert_eq!(
        feed(
            &mut model,
            Now {
                t_ms: 2,
                utc: Some(midnight)
            }
        ),
        1
    );
    // A week ahead is one refill too.
    assert_eq!(feed(&mut model, on_day(3, 8)), 2);
    assert_eq!(model.calendar().day(), Some(DAY + 8));
}

#[test]
fn d9_a_step_back_over_midnight_refills_nothing() {
    let mut model = pipedrive();
    let midnight = (DAY + 1) * 86_400;
    feed(
        &mut model,
        Now {
            t_ms: 0,
            utc: Some(midnight - 1),
        },
    );
    for (t_ms, utc) in [
        (1, midnight),
        (2, midnight - 1),
        (3, midnight),
        (4, midnight - 5),
    ] {
        assert_eq!(
            feed(
                &mut model,
                Now {
                    t_ms,
                    utc: Some(utc)
                }
            ),
            1
        );
        assert_eq!(model.calendar().day(), Some(DAY + 1));
    }
}

#[test]
fn d9_a_day_that_is_still_smaller_after_24_h_is_advanced_to() {
    let mut model = pipedrive();
    feed(&mut model, on_day(1_000, 5));
    assert_eq!(feed(&mut model, on_day(2_000, 0)), 0);
    assert_eq!(feed(&mut model, on_day(1_000 + DAY_MS - 1, 1)), 0);
    assert_eq!(feed(&mut model, on_day(1_000 + DAY_MS, 1)), 1);
    assert_eq!(model.calendar().day(), Some(DAY + 1));
}

#[test]
fn d10_utc_unknown_for_24_h_advances_by_one() {
    // A calendar that has adopted nothing counts from its first reading.
    let mut model = pipedrive();
    assert_eq!(feed(&mut model, dark(7)), 0);
    assert_eq!(feed(&mut model, dark(7 + DAY_MS - 1)), 0);
    assert_eq!(feed(&mut model, dark(7 + DAY_MS)), 1);
    assert_eq!(model.calendar().day(), None);
    // However long it was, it is one; the next is counted from here.
    assert_eq!(feed(&mut model, dark(10 * DAY_MS)), 2);
    assert_eq!(feed(&mut model, dark(11 * DAY_MS - 1)), 2);
    assert_eq!(feed(&mut model, dark(11 * DAY_MS)), 3);
    // One that knows its day knows the next one.
    let mut model = pipedrive();
    feed(&mut model, at(0));
    assert_eq!(feed(&mut model, dark(DAY_MS)), 1);
    assert_eq!(model.calendar().day(), Some(DAY + 1));
    assert_eq!(feed(&mut model, on_day(DAY_MS + 1, 1)), 1);
}

#[test]
fn d10_an_unknown_reading_in_between_changes_nothing() {
    let mut model = pipedrive();
    feed(&mut model, at(0));
    feed(&mut model, dark(HOUR_MS));
    assert_eq!(feed(&mut model, at(2 * HOUR_MS)), 0);
}

#[test]
fn d10b_the_first_advance_has_no_bound_the_next_ones_are_23_h_apart() {
    let mut model = pipedrive();
    feed(&mut model, on_day(5, 0));
    assert_eq!(model.calendar().earliest_next_ms(), None);
    assert_eq!(feed(&mut model, on_day(10, 1)), 1);
    assert_eq!(model.calendar().earliest_next_ms(), Some(10));
    assert_eq!(feed(&mut model, on_day(20, 2)), 2);
    let bound = 10 + 23 * HOUR_MS;
    assert_eq!(model.calendar().earliest_next_ms(), Some(i128::from(bound)));
    assert_eq!(feed(&mut model, on_day(bound - 1, 3)), 2);
    assert_eq!(
        model.calendar().day(),
        Some(DAY + 2),
        "the day waits as well"
    );
    assert_eq!(feed(&mut model, on_day(bound, 3)), 3);
    // After a long pause the bound is the moment of the advance: no more than one is saved up.
    assert_eq!(feed(&mut model, on_day(90 * DAY_MS, 90)), 4);
    assert_eq!(
        model.calendar().earliest_next_ms(),
        Some(i128::from(90 * DAY_MS))
    );
}

#[test]
fn d10b_a_sane_clock_is_never_delayed_also_when_midnight_is_met_late() {
    let mut model = pipedrive();
    let start = DAY * 86_400;
    // Readings come at odd moments, up to 59 minutes after midnight and as late as before it.
    for (day, minute) in [
        (0, 700),
        (1, 59),
        (2, 0),
        (3, 59),
        (4, 1),
        (5, 1_439),
        (6, 0),
    ] {
        let seconds = day * 86_400 + minute * 60;
        let now = Now {
            t_ms: seconds * 1_000,
            utc: Some(start + i64::try_from(seconds).unwrap()),
        };
        assert_eq!(feed(&mut model, now), day);
    }
}

#[test]
fn d10b_a_hostile_wall_clock_mints_no_more_than_its_bound_in_any_span() {
    for step_ms in [
        1_000,
        30 * 60_000,
        HOUR_MS,
        7 * HOUR_MS,
        23 * HOUR_MS,
        25 * HOUR_MS,
    ] {
        let mut model = pipedrive();
        let mut refilled_at = Vec::new();
        let steps = (10 * DAY_MS / step_ms).min(3_000);
        for step in 0..=steps {
            let before = model.refills();
            // Every reading claims the next day; some are unknown.
            let utc = (step % 5 != 4).then(|| NOON + i64::try_from(step).unwrap() * 86_400);
            if feed(
                &mut model,
                Now {
                    t_ms: step * step_ms,
                    utc,
                },
            ) > before
            {
                refilled_at.push(step * step_ms);
            }
        }
        for (i, from) in refilled_at.iter().enumerate() {
            for (j, to) in refilled_at.iter().enumerate().skip(i) {
                let refills = u64::try_from(j - i + 1).unwrap();
                assert!(
                    refills <= 2 + (to - from).div_ceil(23 * HOUR_MS),
                    "{from} to {to}"
                );
            }
        }
        assert!(
            refilled_at.len() >= 2,
            "{step_ms}: the attack met the bound, not nothing"
        );
    }
}

#[test]
fn d10_goes_on_past_the_last_day_that_utc_can_name() {
    let mut model = pipedrive();
    let last = |t_ms| Now {
        t_ms,
        utc: Some((1 << 39) - 1),
    };
    feed(&mut model, last(0));
    assert_eq!(feed(&mut model, dark(DAY_MS)), 1);
    assert_eq!(model.calendar().day(), Some(6_362_915));
    assert_eq!(feed(&mut model, last(DAY_MS)), 1, "behind it now (D9)");
    assert_eq!(feed(&mut model, last(2 * DAY_MS)), 2);
    assert_eq!(model.calendar().day(), Some(6_362_914));
}
