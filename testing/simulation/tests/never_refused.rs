//! Whatever the network, the clocks and the others do within what the pacer is told of them, no
//! request is refused.
//!
//! `SEEDS=50` makes each test try 50 times as many scenarios.

use limiter_core::{Kind, Method, Plan, Policy};
use limiter_pacer::PacerPolicy;
use limiter_simulation::random::Random;
use limiter_simulation::{Lane, Outcome, Paced, PlanChange, Scenario, simulate};

const PLANS: [Plan; 4] = [
    Plan::ESSENTIAL,
    Plan::ADVANCED,
    Plan::PROFESSIONAL,
    Plan::ENTERPRISE,
];

/// Seeds that no other test uses.
fn seeds(test: u64, count: u64) -> std::ops::Range<u64> {
    let times = std::env::var("SEEDS").map_or(1, |times| times.parse().expect("a number"));
    test * 1_000_000..test * 1_000_000 + count * times
}

fn told(scenario: &Scenario) -> PacerPolicy {
    PacerPolicy::of(&Policy::pipedrive(), scenario.plan, scenario.kind)
        .unwrap()
        .reserve_for_others(u32::try_from(scenario.others).unwrap())
        .reserve_daily_for_others(u32::try_from(scenario.daily_others).unwrap())
        .with_lost_after(12_000)
}

/// A network and clocks as bad as they are said to be at worst.
fn anything(seed: u64) -> Scenario {
    let mut random = Random::new(seed ^ 0x5eed);
    let mut scenario = Scenario::new(seed);
    scenario.duration_ms = 50_000;
    scenario.plan = PLANS[usize::try_from(random.between(0, 3)).unwrap()];
    if random.chance(300) {
        scenario.kind = Kind::AccessToken;
    }
    scenario.latency_ms = [0, 1, 5, 20, 50, 100, 300, 1_000, 2_500, 5_000]
        [usize::try_from(random.between(0, 9)).unwrap()];
    scenario.jitter_ms = random.between(0, scenario.latency_ms.max(20));
    scenario.loss_permille = random.between(0, 50);
    // A thousandth: what the preset's margin covers.
    scenario.clock_ppm = i64::try_from(random.between(0, 2_000)).unwrap() - 1_000;
    scenario.utc_skew_ms = if random.chance(200) {
        None
    } else {
        Some(i64::try_from(random.between(0, 4_000)).unwrap() - 2_000)
    };
    scenario.sends_date = random.chance(500);
    scenario.others = random.between(0, u64::from(scenario.limit()) / 4);
    scenario
}

#[track_caller]
fn assert_unrefused(scenario: &Scenario, outcome: &Outcome) {
    assert_eq!(outcome.refused(), 0, "{outcome:?} of {scenario:?}");
    assert!(outcome.admitted > 0, "{outcome:?} of {scenario:?}");
}

#[test]
fn over_any_network_with_nothing_assumed_of_it() {
    for seed in seeds(0, 25) {
        let scenario = anything(seed);
        let outcome = simulate(&scenario, &mut Paced::new(told(&scenario)));
        assert_unrefused(&scenario, &outcome);
    }
}

#[test]
fn over_any_network_whose_spread_is_bounded() {
    for seed in seeds(1, 25) {
        let scenario = anything(seed);
        let spread = u32::try_from(scenario.jitter_ms).unwrap();
        let policy = told(&scenario).with_transit_spread(Some(spread));
        let outcome = simulate(&scenario, &mut Paced::new(policy));
        assert_unrefused(&scenario, &outcome);
    }
}

#[test]
fn when_it_has_to_learn_the_limits() {
    for seed in seeds(2, 20) {
        let scenario = anything(seed);
        let policy = PacerPolicy::ADAPTIVE
            .reserve_for_others(u32::try_from(scenario.others).unwrap())
            .with_lost_after(12_000);
        let outcome = simulate(&scenario, &mut Paced::new(policy));
        assert_unrefused(&scenario, &outcome);
    }
}

#[test]
fn over_midnight_with_the_days_writes_running_out_on_both_sides() {
    let (mut ran_out, mut went_on) = (0, 0);
    let seeds = seeds(3, 30);
    let half = (seeds.end - seeds.start) / 2;
    for seed in seeds {
        let mut scenario = anything(seed);
        scenario.kind = Kind::ApiToken;
        scenario.others = scenario.others.min(u64::from(scenario.limit()) / 4);
        scenario.duration_ms = 90_000;
        scenario.start_utc = 1_795_564_800 - 40;
        scenario.daily_used = 9_960;
        scenario.daily_others = seed % 20;
        scenario.lanes = vec![
            Lane {
                method: Method::Get,
                every_ms: 400,
            },
            Lane::without_end(Method::Post),
        ];
        let outcome = simulate(&scenario, &mut Paced::new(told(&scenario)));
        assert_unrefused(&scenario, &outcome);
        ran_out += u64::from(outcome.stopped > 0);
        // More writes than the first day had left.
        went_on += u64::from(outcome.writes > 40);
    }
    // Not all: some ways are too long, some devices do not know when it is midnight.
    assert!(ran_out > half, "{ran_out}");
    assert!(went_on > half, "{went_on}");
}

#[test]
fn when_the_plan_is_raised_unannounced_and_lowered_with_a_word_before() {
    for seed in seeds(4, 15) {
        let mut scenario = anything(seed);
        scenario.plan = Plan::ADVANCED;
        scenario.others = scenario.others.min(5);
        scenario.plan_changes = vec![
            PlanChange {
                at_ms: 20_000,
                plan: Plan::ENTERPRISE,
                announced_ms: None,
            },
            PlanChange {
                at_ms: 35_000,
                plan: Plan::ESSENTIAL,
                // The longest way there, and a window.
                announced_ms: Some(scenario.latency_ms + scenario.jitter_ms + 2_100),
            },
        ];
        let outcome = simulate(&scenario, &mut Paced::new(told(&scenario)));
        assert_unrefused(&scenario, &outcome);
    }
}

#[test]
fn but_for_what_is_under_way_when_the_plan_is_lowered_without_a_word() {
    for seed in seeds(5, 10) {
        let mut scenario = anything(seed);
        scenario.plan = Plan::ENTERPRISE;
        scenario.kind = Kind::ApiToken;
        scenario.others = 0;
        scenario.plan_changes = vec![PlanChange {
            at_ms: 20_000,
            plan: Plan::ESSENTIAL,
            announced_ms: None,
        }];
        let outcome = simulate(&scenario, &mut Paced::new(told(&scenario)));
        // At most what a window of the old plan holds, and what the next one is sent before the
        // first answer.
        assert!(outcome.refused_window <= 240, "{outcome:?} of {scenario:?}");
        // A whole burst that was under way may be a hundred offences, which earn a block.
        let many = outcome.refused_window >= 100;
        assert!(many || outcome.blocked == 0, "{outcome:?} of {scenario:?}");
    }
}

#[test]
fn and_few_when_others_take_far_more_than_it_was_told() {
    for seed in seeds(6, 10) {
        let mut scenario = Scenario::new(seed);
        scenario.latency_ms = seed % 60;
        scenario.others = 25;
        let outcome = simulate(
            &scenario,
            &mut Paced::new(told(&scenario).reserve_for_others(0)),
        );
        // It corrects itself: 60 windows, of which each could have refused 25.
        assert!(outcome.refused() < 150, "{outcome:?} of {scenario:?}");
        assert_eq!(outcome.blocked, 0, "{outcome:?} of {scenario:?}");
        assert!(outcome.throughput() > 5_000, "{outcome:?} of {scenario:?}");
    }
}
