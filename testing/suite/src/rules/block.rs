//! SPEC 6: offences and the block.

use super::*;

fn is_blocked(subject: &impl Subject, t_ms: u64) -> bool {
    subject.peek(&get(1, 1), at(t_ms)).reason() == Some(Reason::Blocked)
}

pub fn b1_offences_within_a_period_add_up_to_a_block<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[100, 200]);
    assert!(!is_blocked(&subject, 1_099));
    offend(&mut subject, 1_099);
    assert!(is_blocked(&subject, 1_099));
}

pub fn b1_an_offence_at_or_after_the_periods_end_opens_a_new_one<S: Subject>() {
    for late in [1_100, 1_101, 50_000] {
        let mut subject = one_permit::<S>(built(blocking()));
        offend_at(&mut subject, &[100, 200, late, late + 1]);
        assert!(!is_blocked(&subject, late + 1), "two in the new one");
        offend(&mut subject, late + 2);
        assert!(is_blocked(&subject, late + 2));
    }
}

pub fn b1_offences_are_counted_per_token<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1]);
    assert!(admits(&mut subject, &get(2, 40), at(1)));
    for _ in 0..2 {
        assert!(!admits(&mut subject, &get(2, 1), at(1)));
    }
    let decision = subject.check(&get(2, 1), at(1));
    assert_eq!(decision.reason(), Some(Reason::Window));
    assert!(!is_blocked(&subject, 1));
    assert!(
        !admits(&mut subject, &get(2, 1), at(1)),
        "it is blocked now"
    );
}

pub fn b2_the_offence_that_starts_the_block_is_refused_for_its_own_reason<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1]);
    let decision = subject.check(&get(1, 1), at(2));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_998))));
    assert_eq!(quota(&decision), Some((1, 0, 1_998, None)));
    let decision = subject.check(&get(1, 1), at(2));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(10_000))));
}

pub fn b2_the_preset_blocks_for_300_s_after_100_offences<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 40), at(0)));
    for t_ms in 0..100 {
        let decision = subject.check(&get(1, 1), at(t_ms));
        assert_eq!(decision.reason(), Some(Reason::Window), "{t_ms}");
    }
    let decision = subject.check(&get(1, 1), at(100));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(299_999))));
}

pub fn b3_everything_is_refused_until_the_blocks_end_and_nothing_is_counted<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1, 2]);
    for (t_ms, wait) in [(3, 9_999), (5_000, 5_002), (10_001, 1)] {
        for request in [get(1, 1), post(1, 1), ui(1, 1)] {
            let decision = subject.check(&request, at(t_ms));
            assert_eq!(refused(&decision), Some((Reason::Blocked, Some(wait))));
            assert_eq!((quota(&decision), decision.status()), (None, Some(403)));
        }
    }
    let decision = subject.check(&post(1, 1), at(10_002));
    assert_eq!(quota(&decision), Some((1, 0, 2_000, Some(9_999))));
}

pub fn b3_a_hit_extends_the_block_if_the_policy_says_so<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking().extend_block_on_hit(true)));
    offend_at(&mut subject, &[0, 1, 2]);
    let duration = Some((Reason::Blocked, Some(10_000)));
    assert_eq!(refused(&subject.peek(&get(1, 1), at(10_001))), duration);
    assert_eq!(refused(&subject.check(&get(1, 1), at(10_001))), duration);
    assert_eq!(refused(&subject.check(&get(1, 1), at(20_000))), duration);
    assert!(admits(&mut subject, &get(1, 1), at(30_000)));
}

pub fn b4_when_the_block_ends_there_are_no_offences_and_window_and_day_are_as_they_were<
    S: Subject,
>() {
    let short = plans().block(3, Duration::from_secs(1), Duration::from_millis(500));
    let mut subject = one_permit::<S>(built(short));
    assert!(admits(&mut subject, &post(1, 1), at(0)));
    offend_at(&mut subject, &[0, 1, 2]);
    for t_ms in [502, 503] {
        // The block is over, the window of 0 is still spent; these are the first offences again.
        let decision = subject.check(&post(1, 1), at(t_ms));
        assert_eq!(decision.reason(), Some(Reason::Window));
        assert_eq!(daily_left(&decision), Some(9_999));
    }
    assert!(!is_blocked(&subject, 504));
}

pub fn b5_only_api_tokens_are_ever_blocked<S: Subject>() {
    let mut subject = subject::<S>(built(blocking()));
    assert!(admits(&mut subject, &get(3, 160), at(0)));
    for t_ms in 0..500 {
        let decision = subject.check(&get(3, 1), at(t_ms));
        assert_eq!(decision.reason(), Some(Reason::Window));
    }
}

/// It was answered `blocked`.
pub fn b5_a_block_stays_with_a_row_that_is_an_access_token_meanwhile_and_does_not_hold_it<
    S: Subject,
>() {
    let mut subject = one_permit::<S>(built(blocking()));
    let api_token = Registration::new(user(1), Kind::ApiToken, Plan::ADVANCED).with_own_limit(1);
    let access_token = Registration::new(user(1), Kind::AccessToken, Plan::ADVANCED);
    offend_at(&mut subject, &[0, 1, 2]);
    assert!(is_blocked(&subject, 3));
    assert!(subject.revoke(token(1), at(3)));
    let resumed = subject.register(token(1), access_token, at(3));
    assert_eq!(resumed, Ok(Registered::Resumed));
    assert!(!is_blocked(&subject, 3));
    assert!(admits(&mut subject, &get(1, 1), at(3)));
    let reset = subject.next_reset(token(1), at(3).monotonic());
    assert_eq!(reset, Some(at(2_000).monotonic()), "the window's");
    assert!(subject.revoke(token(1), at(4)));
    let resumed = subject.register(token(1), api_token, at(4));
    assert_eq!(resumed, Ok(Registered::Resumed));
    let decision = subject.check(&get(1, 1), at(4));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(9_998))));
}

pub fn b1_an_offence_at_a_time_behind_the_periods_start_is_one_of_it<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[5_000, 5_001, 4_001]);
    assert!(is_blocked(&subject, 5_000));

    // The period ends where it always did.
    let four = plans().block(4, Duration::from_secs(1), Duration::from_secs(10));
    for (fourth, blocked) in [(5_999, true), (6_000, false)] {
        let mut subject = one_permit::<S>(built(four));
        offend_at(&mut subject, &[5_000, 5_001, 4_001, fourth]);
        assert_eq!(is_blocked(&subject, fourth), blocked, "{fourth}");
    }
}

pub fn b6_a_block_that_has_ended_is_forgotten_and_does_not_come_back_with_the_time<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1, 2]);
    let decision = subject.check(&get(1, 2), at(10_002));
    assert_eq!(decision.reason(), Some(Reason::CostExceedsLimit));
    assert!(admits(&mut subject, &get(1, 1), at(9_100)));
}

pub fn a_policy_without_a_block_blocks_nobody<S: Subject>() {
    let mut subject = one_permit::<S>(built(plans().no_block()));
    for t_ms in 0..500 {
        offend(&mut subject, t_ms);
    }
}
