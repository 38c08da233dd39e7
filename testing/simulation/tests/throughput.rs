//! How much of what the limit allows gets through, and how the peers fare.

use limiter_core::{Kind, Plan, Policy};
use limiter_pacer::PacerPolicy;
use limiter_simulation::{Governed, Naive, Paced, Scenario, simulate};

const ALL: [(Plan, Kind); 8] = [
    (Plan::ESSENTIAL, Kind::ApiToken),
    (Plan::ADVANCED, Kind::ApiToken),
    (Plan::PROFESSIONAL, Kind::ApiToken),
    (Plan::ENTERPRISE, Kind::ApiToken),
    (Plan::ESSENTIAL, Kind::AccessToken),
    (Plan::ADVANCED, Kind::AccessToken),
    (Plan::PROFESSIONAL, Kind::AccessToken),
    (Plan::ENTERPRISE, Kind::AccessToken),
];

fn scenario(plan: Plan, kind: Kind, latency_ms: u64, jitter_ms: u64) -> Scenario {
    let mut scenario = Scenario::new(9);
    scenario.plan = plan;
    scenario.kind = kind;
    scenario.latency_ms = latency_ms;
    scenario.jitter_ms = jitter_ms;
    scenario.clock_ppm = 50;
    scenario
}

fn told(plan: Plan, kind: Kind) -> PacerPolicy {
    PacerPolicy::of(&Policy::pipedrive(), plan, kind).unwrap()
}

#[test]
fn is_at_least_95_percent_at_50_ms_each_way_with_nothing_assumed() {
    for (plan, kind) in ALL {
        let scenario = scenario(plan, kind, 50, 0);
        let outcome = simulate(&scenario, &mut Paced::new(told(plan, kind)));
        assert_eq!(outcome.refused(), 0, "{outcome:?}");
        assert!(
            outcome.throughput() >= 9_500,
            "{plan:?} {kind:?} {outcome:?}"
        );
    }
}

#[test]
fn is_at_least_98_percent_at_50_ms_each_way_where_the_spread_is_known() {
    for (plan, kind) in ALL {
        let scenario = scenario(plan, kind, 50, 20);
        let policy = told(plan, kind).with_transit_spread(Some(20));
        let outcome = simulate(&scenario, &mut Paced::new(policy));
        assert_eq!(outcome.refused(), 0, "{outcome:?}");
        assert!(
            outcome.throughput() >= 9_800,
            "{plan:?} {kind:?} {outcome:?}"
        );
    }
}

#[test]
fn stays_high_over_seconds_of_latency_where_the_spread_is_known() {
    for (latency_ms, least) in [(500, 9_500), (2_000, 9_400), (5_000, 9_000)] {
        let scenario = scenario(Plan::ADVANCED, Kind::ApiToken, latency_ms, 20);
        let policy = told(Plan::ADVANCED, Kind::ApiToken).with_transit_spread(Some(20));
        let outcome = simulate(&scenario, &mut Paced::new(policy));
        assert_eq!(outcome.refused(), 0, "{outcome:?}");
        assert!(
            outcome.throughput() >= least,
            "{latency_ms} ms: {outcome:?}"
        );
    }
}

#[test]
fn gains_from_the_last_permit_where_a_round_trip_is_long() {
    let scenario = scenario(Plan::ADVANCED, Kind::ApiToken, 500, 0);
    let told = told(Plan::ADVANCED, Kind::ApiToken);
    let outcome = simulate(&scenario, &mut Paced::new(told));
    // A window and a round trip for each window's permits would be two thirds.
    assert!(outcome.throughput() >= 9_000, "{outcome:?}");
    assert_eq!(outcome.refused(), 0, "{outcome:?}");
}

#[test]
fn leaves_the_peers_refused_where_the_pacer_is_not() {
    let scenario = scenario(Plan::ADVANCED, Kind::ApiToken, 50, 20);
    let told = told(Plan::ADVANCED, Kind::ApiToken);
    let paced = simulate(&scenario, &mut Paced::new(told));
    let governed = simulate(&scenario, &mut Governed::per_second(40));
    let evenly = simulate(&scenario, &mut Governed::evenly(40));
    let naive = simulate(&scenario, &mut Naive::new(16));
    assert_eq!(paced.refused(), 0, "{paced:?}");
    assert!(governed.refused_window > 0, "{governed:?}");
    assert!(evenly.refused_window > 0, "{evenly:?}");
    assert!(naive.blocked > 0, "hammering earns a block: {naive:?}");
}

#[test]
fn is_the_same_every_time() {
    let scenario = scenario(Plan::ADVANCED, Kind::ApiToken, 100, 90);
    let told = told(Plan::ADVANCED, Kind::ApiToken);
    let first = simulate(&scenario, &mut Paced::new(told));
    assert_eq!(first, simulate(&scenario, &mut Paced::new(told)));
}
