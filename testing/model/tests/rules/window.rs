//! SPEC 4: the window.

use super::*;

#[test]
fn w1_a_window_opens_at_the_first_admitted_request() {
    let mut model = pipedrive();
    assert!(!admits(&mut model, &get(1, 41), at(100)));
    assert_eq!(model.window_start_ms(1), None);
    assert!(admits(&mut model, &get(1, 1), at(700)));
    assert_eq!(model.window_start_ms(1), Some(700));
    assert!(admits(&mut model, &get(1, 1), at(900)));
    assert_eq!(model.window_start_ms(1), Some(700));
}

#[test]
fn w1_a_window_is_half_open() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 40), at(1_000)));
    assert!(!admits(&mut model, &get(1, 1), at(2_999)));
    let decision = model.check(&get(1, 1), at(3_000));
    assert_eq!(quota(&decision), (Some(40), Some(39), Some(2_000), None));
    assert_eq!(model.window_start_ms(1), Some(3_000));
}

#[test]
fn w1_a_window_belongs_to_one_token() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 40), at(0)));
    assert!(admits(&mut model, &get(2, 40), at(0)));
    assert!(!admits(&mut model, &get(1, 1), at(0)));
}

#[test]
fn w2_a_cost_fits_up_to_the_limit_and_not_beyond() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 38), at(0)));
    assert!(!admits(&mut model, &get(1, 3), at(0)));
    assert!(admits(&mut model, &get(1, 2), at(0)));
    assert!(!admits(&mut model, &get(1, 1), at(0)));
}

#[test]
fn w3_the_quota_is_that_after_the_decision() {
    let mut model = pipedrive();
    let first = model.check(&get(1, 10), at(0));
    assert_eq!(quota(&first), (Some(40), Some(30), Some(2_000), None));
    let second = model.check(&get(1, 10), at(1_999));
    assert_eq!(quota(&second), (Some(40), Some(20), Some(1), None));
    assert_eq!(second.reset_s(), Some(1), "H2: 1 ms left says 1");
    let none_open = model.check(&get(1, 41), at(2_000));
    assert_eq!(quota(&none_open), (Some(40), Some(40), Some(2_000), None));
}

#[test]
fn w3_remaining_is_never_below_0_also_when_the_limit_was_lowered() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 30), at(0)));
    assert!(model.update(1, Limit::Plan(0)));
    let decision = model.check(&get(1, 1), at(500));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_500))));
    assert_eq!(quota(&decision), (Some(20), Some(0), Some(1_500), None));
}

#[test]
fn w4_the_wait_is_the_reset_and_is_exact() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 40), at(0)));
    let decision = model.check(&get(1, 40), at(1));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_999))));
    assert!(!admits(&mut model, &get(1, 40), at(1 + 1_998)));
    assert!(admits(&mut model, &get(1, 40), at(1 + 1_999)));
}

#[test]
fn w5_an_idle_token_has_its_whole_allowance_however_long_it_was_idle() {
    for idle in [2_000, 2_001, DAY_MS, (1 << 36) - 1] {
        let mut model = pipedrive();
        assert!(admits(&mut model, &get(1, 40), at(0)));
        assert!(admits(&mut model, &get(1, 40), at(idle)), "{idle}");
    }
}

#[test]
fn w6_behind_its_start_the_window_stands_as_it_is() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 30), at(10_000)));
    let decision = model.check(&get(1, 1), at(9_001));
    assert_eq!(quota(&decision), (Some(40), Some(9), Some(2_999), None));
    assert_eq!(model.window_start_ms(1), Some(10_000));
    let decision = model.check(&get(1, 10), at(9_001));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(2_999))));
}

#[test]
fn w6_expiry_is_stored_also_by_what_can_never_fit() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &get(1, 30), at(10_000)));
    assert!(!admits(&mut model, &get(1, 41), at(12_000)));
    assert_eq!(model.window_start_ms(1), None);
    // Having expired it does not come back with the time.
    assert!(admits(&mut model, &get(1, 40), at(11_500)));
}

#[test]
fn w6_a_blocked_token_stores_no_expiry() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..Policy::pipedrive()
    });
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t in 0..3 {
        assert!(!admits(&mut model, &get(1, 1), at(t)));
    }
    assert!(
        !admits(&mut model, &get(1, 1), at(5_000)),
        "blocked, after the window's end"
    );
    assert_eq!(model.window_start_ms(1), Some(0));
}

#[test]
fn w8_the_user_interface_is_charged_like_the_api() {
    let mut model = pipedrive();
    let ui = Request {
        origin: Origin::Ui,
        ..post(1, 25)
    };
    let decision = model.check(&ui, at(0));
    assert_eq!(quota(&decision), (Some(40), Some(15), Some(2_000), None));
    assert!(!admits(&mut model, &get(1, 16), at(0)));
    assert!(!admits(&mut model, &ui, at(0)));
}
