use super::*;
use std::cell::Cell;

/// Three clocks under the test's control.
#[derive(Debug, Default)]
struct Fake {
    ticks: Cell<u64>,
    monotonic_ns: Cell<u64>,
    utc_ms: Cell<Option<u64>>,
    /// What a look takes, by the counter.
    look_ns: Cell<u64>,
    looks: Cell<u32>,
}

impl Fake {
    fn advance(&self, ns: u64) {
        self.ticks.set(self.ticks.get().wrapping_add(ns));
        self.monotonic_ns.set(self.monotonic_ns.get() + ns);
        self.utc_ms
            .set(self.utc_ms.get().map(|utc| utc + ns / NS_PER_MS));
    }
}

impl Source for Fake {
    fn ticks(&self) -> u64 {
        self.ticks.get()
    }

    fn ns_per_2_pow_32_ticks(&self) -> u64 {
        1 << 32
    }

    fn monotonic_ns(&self) -> u64 {
        self.looks.set(self.looks.get() + 1);
        let read = self.monotonic_ns.get();
        self.advance(self.look_ns.get());
        read
    }

    fn utc_ms(&self) -> Option<u64> {
        self.utc_ms.get()
    }
}

fn clock(utc_ms: Option<u64>) -> Disciplined<Fake> {
    Disciplined::new(Fake {
        // Just below the wrap, so that every test crosses it.
        ticks: Cell::new(u64::MAX - 700_000_000),
        utc_ms: Cell::new(utc_ms),
        ..Fake::default()
    })
}

fn at(millis: u64, secs: u64) -> Now {
    Now::new(Instant::from_millis(millis), UnixTime::from_secs(secs))
}

#[test]
fn counts_on_between_looks_and_looks_every_half_second() {
    let clock = clock(Some(1_716_000_000_999));
    assert_eq!(clock.now(), at(0, 1_716_000_000));
    clock.source.advance(NS_PER_MS);
    assert_eq!(clock.now(), at(1, 1_716_000_001));
    clock.source.advance(LOOK_NS - NS_PER_MS - 1);
    assert_eq!(clock.now(), at(499, 1_716_000_001));
    assert_eq!(clock.source.looks.get(), 1);
    clock.source.advance(1);
    assert_eq!(clock.now(), at(500, 1_716_000_001));
    assert_eq!(clock.source.looks.get(), 2);
}

#[test]
fn sees_a_step_of_utc_within_half_a_second() {
    let clock = clock(Some(1_716_000_000_000));
    clock.source.utc_ms.set(Some(1_600_000_000_000));
    clock.source.advance(LOOK_NS - 1);
    assert_eq!(clock.now(), at(499, 1_716_000_000));
    clock.source.advance(1);
    assert_eq!(clock.now(), at(500, 1_600_000_000));
}

#[test]
fn stops_knowing_utc_and_knows_it_again() {
    let clock = clock(None);
    assert_eq!(clock.now(), Now::new(Instant::ZERO, None));
    clock.source.utc_ms.set(Some(1_716_000_000_000));
    clock.source.advance(LOOK_NS);
    assert_eq!(clock.now(), at(500, 1_716_000_000));
    clock.source.utc_ms.set(None);
    clock.source.advance(LOOK_NS);
    assert_eq!(clock.now(), Now::new(Instant::from_millis(1_000), None));
}

#[test]
fn never_believes_a_counter_that_jumped_over_a_suspension() {
    let clock = clock(Some(1_716_000_000_000));
    let source = &clock.source;
    // An hour asleep: the counter ran on, the monotonic clock stood still, UTC did not.
    source
        .ticks
        .set(source.ticks.get().wrapping_add(3_600_000_000_000));
    source.utc_ms.set(Some(1_716_003_600_000));
    assert_eq!(clock.now(), at(0, 1_716_003_600));
    // Another, in which the counter lost its value.
    source.ticks.set(0);
    source.utc_ms.set(Some(1_716_007_200_000));
    assert_eq!(clock.now(), at(0, 1_716_007_200));
    source.advance(2 * NS_PER_MS);
    assert_eq!(clock.now(), at(2, 1_716_007_200));
}

#[test]
fn follows_the_trusted_clock_when_the_counter_drifts() {
    let clock = clock(Some(1_716_000_000_000));
    for quarter in 1..=400 {
        // 500 ppm too fast.
        clock.source.advance(NS_PER_MS * 250);
        let fast = clock.source.ticks.get().wrapping_add(125_000);
        clock.source.ticks.set(fast);
        assert_eq!(clock.now().monotonic().as_millis(), quarter * 250);
    }
}

#[test]
fn makes_milliseconds_of_ticks_of_any_rate() {
    // Of 1 ns, of a counter of 2.4 GHz, of one of 24 MHz, of one of 10 GHz.
    for ns_per_2_pow_32_ticks in [1 << 32, 1_789_569_707, 178_956_970_667, 429_496_730] {
        let rate = Rate::new(ns_per_2_pow_32_ticks);
        // Up to ten years after the start.
        for millis in [0, 1, 2, 499, 500, 86_400_000, 315_360_000_000] {
            let first = rate.ticks(millis * NS_PER_MS);
            assert_eq!(rate.millis(first), millis);
            let last = rate.ticks((millis + 1) * NS_PER_MS) - 1;
            assert_eq!(rate.millis(last), millis);
        }
    }
}

#[test]
fn a_counter_that_seems_to_stand_still_is_no_division_by_zero() {
    let rate = Rate::new(0);
    assert_eq!(rate.millis(rate.ticks(0)), 0);
}

#[test]
fn does_not_keep_a_look_that_was_held_up() {
    let clock = clock(Some(1_716_000_000_000));
    clock.source.advance(LOOK_NS);
    clock.source.look_ns.set(HELD_UP_NS + 1);
    let _ = clock.now();
    clock.source.look_ns.set(0);
    let looks = clock.source.looks.get();
    let _ = clock.now();
    assert_eq!(clock.source.looks.get(), looks + 1, "it looks again");
    let _ = clock.now();
    assert_eq!(clock.source.looks.get(), looks + 1, "and then no more");
}

#[test]
fn reads_the_same_clock_through_every_trait() {
    fn both(clock: &mut impl Clock) -> Now {
        clock.read().unwrap()
    }
    let mut clock = SystemClock::new();
    let first = clock.now();
    let by_reference = both(&mut &clock);
    let by_value = both(&mut clock);
    let monotonic = MonotonicClock::now(&mut clock).unwrap();
    for later in [by_reference.monotonic(), by_value.monotonic(), monotonic] {
        // By at most a millisecond back, where the counter is set right between the readings.
        assert!(later.as_millis() + 1 >= first.monotonic().as_millis());
    }
    assert!(clock.unix_time().unwrap() >= UnixTime::Y2020);
}
