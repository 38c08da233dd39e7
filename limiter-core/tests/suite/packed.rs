//! The packed forms: their documented layouts, which other homes of the state rely on, and that
//! they lose nothing.

use core::time::Duration;

use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::daily::{Day, Strikes};
use limiter_core::policy::BlockRule;
use limiter_core::window::Window;
use limiter_core::{Instant, Now, UnixTime};
use proptest::prelude::*;

fn rule() -> BlockRule {
    BlockRule::new(3, Duration::from_secs(60), Duration::from_secs(300)).unwrap()
}

#[test]
fn a_window_is_its_start_a_flag_and_what_is_used() {
    let window = Window::CLOSED.charge(Instant::from_millis(0x123_4567_89ab), 0xf_edcb);
    assert_eq!(window.to_bits(), 0xfedc_b923_4567_89ab);
    assert_eq!(Window::from_bits(window.to_bits()), window);
    assert_eq!(Window::CLOSED.to_bits(), 0);
    // Without the flag none was ever opened.
    assert_eq!(Window::from_bits(0xfedc_b123_4567_89ab), Window::CLOSED);
}

#[test]
fn an_offence_period_is_its_start_and_the_count() {
    let start = Instant::from_millis(0x123_4567_89ab);
    let twice = Abuse::CLEAN.offend(start, &rule()).offend(start, &rule());
    assert_eq!(twice.to_bits(), 0x0000_2123_4567_89ab);
    assert_eq!(Abuse::from_bits(twice.to_bits()), twice);
    assert_eq!(Abuse::from_bits(twice.to_bits()).offences(), 2);
    // A mark without offences marks nothing.
    assert_eq!(Abuse::from_bits(0x123_4567_89ab), Abuse::CLEAN);
    assert_eq!(Abuse::CLEAN.to_bits(), 0);
}

#[test]
fn a_block_is_its_end_and_a_flag() {
    let start = Instant::from_millis(0x123_4567_89ab);
    let blocked = (0..3).fold(Abuse::CLEAN, |abuse, _| abuse.offend(start, &rule()));
    assert_eq!(blocked.to_bits(), 0x8000_0123_4567_89ab + 300_000);
    assert_eq!(Abuse::from_bits(blocked.to_bits()), blocked);
    assert_eq!(
        (blocked.offences(), blocked.blocked_ms(start)),
        (0, 300_000)
    );
}

#[test]
fn a_blocked_state_needs_no_offences_to_be_one() {
    let blocked = Abuse::from_bits((1 << 63) | 7_000);
    assert!(blocked.is_blocked());
    assert_eq!(blocked.blocked_ms(Instant::from_millis(5_000)), 2_000);
    assert_eq!(Abuse::CLEAN.blocked_ms(Instant::from_millis(5_000)), 0);
}

#[test]
fn a_day_is_refills_above_what_is_used() {
    let day = Day::new(0x0123_4567, 0x89ab_cdef);
    assert_eq!(day.to_bits(), 0x0123_4567_89ab_cdef);
    assert_eq!((day.refills(), day.used()), (0x0123_4567, 0x89ab_cdef));
    assert_eq!(Day::from_bits(day.to_bits()), day);
}

#[test]
fn strikes_are_their_number_above_the_last_days_low_24_bits() {
    let strikes = Strikes::new(0xab, 0x0023_4567);
    assert_eq!(strikes.to_bits(), 0xab23_4567);
    assert_eq!(Strikes::from_bits(0xab23_4567), strikes);
    assert_eq!((strikes.count(), strikes.is_none()), (0xab, false));
    // A day without strikes is none.
    for bits in [0, 1, 0x00ff_ffff] {
        assert_eq!(Strikes::from_bits(bits), Strikes::NONE);
    }
    assert_eq!(Strikes::from_bits(0x0100_0000).count(), 1);
    assert_eq!(Strikes::new(0, 5), Strikes::NONE);
    assert!(Strikes::NONE.is_none());
}

#[test]
fn strikes_are_forgotten_by_a_day_that_is_ahead_of_them_alone() {
    let strikes = Strikes::new(2, 10);
    for (refills, kept) in [(10, true), (12, true), (13, false), (1 << 20, false)] {
        let standing = strikes.settle(refills, 3);
        assert_eq!(standing, if kept { strikes } else { Strikes::NONE });
    }
}

/// A calendar that has seen the readings.
fn calendar(readings: &[(u64, Option<u64>)]) -> Calendar {
    let mut calendar = Calendar::new();
    for &reading in readings {
        calendar.feed(at(reading));
    }
    calendar
}

fn at((t_ms, utc): (u64, Option<u64>)) -> Now {
    Now::new(
        Instant::from_millis(t_ms),
        utc.and_then(UnixTime::from_secs),
    )
}

fn readings() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    let utc = prop::option::of(prop_oneof![0_u64..900_000, Just((1 << 39) - 1)]);
    prop::collection::vec(
        (prop_oneof![0_u64..400_000_000, 0_u64..1 << 43], utc),
        0..12,
    )
}

proptest! {
    #[test]
    fn a_calendar_in_words_goes_on_as_it_would(before in readings(), after in readings()) {
        let mut plain = calendar(&before);
        let mut packed = Calendar::from_words(plain.to_words());
        prop_assert_eq!(packed, plain);
        for reading in after {
            prop_assert_eq!(packed.feed(at(reading)), plain.feed(at(reading)));
            packed = Calendar::from_words(packed.to_words());
            prop_assert_eq!(packed, plain);
        }
    }

    #[test]
    fn a_steady_reading_changes_nothing(before in readings(), reading in (0_u64..400_000_000, prop::option::of(0_u64..900_000))) {
        let plain = calendar(&before);
        if plain.is_steady(at(reading)) {
            let mut fed = plain;
            prop_assert!(!fed.feed(at(reading)));
            prop_assert_eq!(fed, plain);
        }
    }
}

#[test]
fn a_reading_of_the_same_day_later_is_steady() {
    let calendar = calendar(&[(0, Some(86_400)), (5_000, Some(86_405))]);
    assert!(calendar.is_steady(at((6_000, Some(172_799)))));
    for other in [(6_000, Some(172_800)), (6_000, Some(86_399)), (6_000, None)] {
        assert!(!calendar.is_steady(at(other)), "{other:?}");
    }
    assert!(!Calendar::new().is_steady(at((0, Some(0)))));
}

#[test]
fn a_calendar_is_steady_from_its_first_word_if_it_can_be() {
    let today = calendar(&[(0, Some(86_400)), (5_000, Some(172_800))]);
    assert!(today.can_be_steady());
    let [first_word, ..] = today.to_words();
    let refills = |utc| Calendar::steady_refills(first_word, at((9, utc)));
    assert_eq!(refills(Some(172_800)), Some(1));
    for other in [Some(172_799), Some(259_200), None] {
        assert_eq!(refills(other), None, "{other:?}");
    }
    for odd in [&[(0, None)], &[(0, Some((1 << 39) - 1))]] {
        assert!(!calendar(odd).can_be_steady());
    }
}
