//! SPEC 6: offences and the block.

use super::*;

fn blocking() -> Model {
    blocking_by(strict_block())
}

/// A model whose token 1 has spent its window at 0.
fn blocking_by(block: Block) -> Model {
    let mut model = model(Policy {
        block: Some(block),
        ..Policy::pipedrive()
    });
    model.update(1, Limit::Own(1));
    model
}

/// Offends at each moment; the window is kept spent on the way.
fn offend(model: &mut Model, moments: &[u64]) {
    for &t_ms in moments {
        if model.used_in_window(1, at(t_ms)) == 0 {
            assert!(admits(model, &get(1, 1), at(t_ms)));
        }
        let decision = model.check(&get(1, 1), at(t_ms));
        assert!(
            matches!(refused(&decision), Some((Reason::Window, _))),
            "at {t_ms}"
        );
    }
}

#[test]
fn b1_offences_within_a_period_add_up() {
    let mut model = blocking();
    offend(&mut model, &[100, 1_099]);
    assert_eq!(model.offence_period(1), Some((100, 2)));
}

#[test]
fn b1_an_offence_at_or_after_the_periods_end_opens_a_new_one() {
    for late in [1_100, 1_101, 50_000] {
        let mut model = blocking();
        offend(&mut model, &[100, 200, late]);
        assert_eq!(model.offence_period(1), Some((late.into(), 1)));
        assert_eq!(model.blocked_until_ms(1), None);
    }
}

#[test]
fn b1_offences_are_counted_per_token() {
    let mut model = blocking();
    offend(&mut model, &[0, 1]);
    model.update(2, Limit::Own(1));
    assert!(admits(&mut model, &get(2, 1), at(1)));
    assert!(!admits(&mut model, &get(2, 1), at(1)));
    assert_eq!(
        (model.offence_period(1), model.offence_period(2)),
        (Some((0, 2)), Some((1, 1)))
    );
}

#[test]
fn b2_the_offence_that_starts_the_block_is_refused_for_its_own_reason() {
    let mut model = blocking();
    offend(&mut model, &[0, 1]);
    let decision = model.check(&get(1, 1), at(2));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_998))));
    assert_eq!(quota(&decision), (Some(1), Some(0), Some(1_998), None));
    assert_eq!(model.blocked_until_ms(1), Some(10_002));
}

#[test]
fn b2_the_preset_blocks_for_300_s_after_100_offences() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t_ms in 0..99 {
        assert!(!admits(&mut model, &get(1, 1), at(t_ms)));
    }
    assert_eq!(model.blocked_until_ms(1), None);
    assert!(!admits(&mut model, &get(1, 1), at(99)));
    assert_eq!(model.blocked_until_ms(1), Some(300_099));
}

#[test]
fn b3_everything_is_refused_until_the_blocks_end_and_nothing_is_counted() {
    let mut model = blocking();
    offend(&mut model, &[0, 1, 2]);
    let ui = Request {
        origin: Origin::Ui,
        ..get(1, 1)
    };
    for (t_ms, wait) in [(3, 9_999), (5_000, 5_002), (10_001, 1)] {
        for request in [get(1, 1), post(1, 1), ui] {
            let decision = model.check(&request, at(t_ms));
            assert_eq!(refused(&decision), Some((Reason::Blocked, Some(wait))));
            assert_eq!(quota(&decision), (None, None, None, None));
        }
    }
    assert_eq!((model.offence_period(1), model.used_today(1)), (None, 0));
    assert!(admits(&mut model, &get(1, 1), at(10_002)));
}

#[test]
fn b3_a_hit_extends_the_block_if_the_policy_says_so() {
    let mut model = blocking_by(Block {
        extend_on_hit: true,
        ..strict_block()
    });
    offend(&mut model, &[0, 1, 2]);
    let decision = model.check(&get(1, 1), at(10_001));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(10_000))));
    assert_eq!(model.blocked_until_ms(1), Some(20_001));
    assert!(!admits(&mut model, &get(1, 1), at(20_000)));
    assert!(admits(&mut model, &get(1, 1), at(30_000)));
}

#[test]
fn b4_when_the_block_ends_there_are_no_offences_and_the_window_is_as_it_was() {
    let block = Block {
        duration_ms: 500,
        ..strict_block()
    };
    let mut model = blocking_by(block);
    assert!(admits(&mut model, &post(1, 1), at(0)));
    offend(&mut model, &[0, 1, 2]);
    // The block is over, the window of 0 is still spent.
    let decision = model.check(&post(1, 1), at(502));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_498))));
    assert_eq!(
        (model.offence_period(1), decision.daily_left),
        (Some((502, 1)), Some(9_999))
    );
}

#[test]
fn b5_only_api_tokens_are_ever_blocked() {
    let mut model = blocking();
    assert!(admits(&mut model, &get(3, 160), at(0)));
    for t_ms in 0..500 {
        let decision = model.check(&get(3, 1), at(t_ms));
        assert!(matches!(refused(&decision), Some((Reason::Window, _))));
    }
    assert_eq!(
        (model.offence_period(3), model.blocked_until_ms(3)),
        (None, None)
    );
}

#[test]
fn b1_an_offence_at_a_time_behind_the_periods_start_is_one_of_it() {
    let mut model = blocking();
    offend(&mut model, &[5_000, 5_001, 4_001]);
    assert_eq!(model.blocked_until_ms(1), Some(14_001));
    let mut model = blocking_by(Block {
        offences: 9,
        ..strict_block()
    });
    offend(&mut model, &[5_000, 5_001, 4_001]);
    assert_eq!(model.offence_period(1), Some((5_000, 3)));
}

#[test]
fn b5_a_block_stays_with_a_row_that_is_an_access_token_meanwhile_and_does_not_hold_it() {
    let mut model = blocking();
    offend(&mut model, &[0, 1, 2]);
    assert!(model.revoke(1, at(3)));
    model.register(1, 1, Kind::AccessToken, Limit::Own(1));
    let decision = model.check(&get(1, 1), at(3));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_997))));
    assert_eq!(model.blocked_until_ms(1), Some(10_002));
    assert!(model.revoke(1, at(4)));
    model.register(1, 1, Kind::ApiToken, Limit::Own(1));
    let decision = model.check(&get(1, 1), at(4));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(9_998))));
}

#[test]
fn b6_a_block_that_has_ended_is_forgotten_and_does_not_come_back_with_the_time() {
    let mut model = blocking();
    offend(&mut model, &[0, 1, 2]);
    assert!(
        !admits(&mut model, &get(1, 2), at(10_002)),
        "it can never fit, and is past O2"
    );
    assert_eq!(model.blocked_until_ms(1), None);
    assert!(admits(&mut model, &get(1, 1), at(9_100)));
}

#[test]
fn without_block_parameters_nothing_offends() {
    let mut model = model(Policy {
        block: None,
        ..Policy::pipedrive()
    });
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t_ms in 0..500 {
        assert!(!admits(&mut model, &get(1, 1), at(t_ms)));
    }
    assert_eq!(
        (model.offence_period(1), model.blocked_until_ms(1)),
        (None, None)
    );
}
