//! SPEC 8, T2: what an eviction may take, and that nobody sees that it did.

use super::*;

#[test]
fn t2_a_token_is_like_new_without_window_block_and_offences() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..Policy::pipedrive()
    });
    assert!(model.token_is_like_new(1, at(0)), "nothing has happened");
    assert!(model.token_is_like_new(99, at(0)), "there is no row");

    // An open window, also seen from behind.
    assert!(admits(&mut model, &get(1, 40), at(10_000)));
    assert!(!model.token_is_like_new(1, at(0)));
    assert!(!model.token_is_like_new(1, at(11_999)));
    assert!(model.token_is_like_new(1, at(12_000)));

    // A running offence period that outlasts the window, and then a block.
    assert!(!admits(&mut model, &get(1, 1), at(11_500)));
    assert!(!model.token_is_like_new(1, at(12_499)));
    assert!(model.token_is_like_new(1, at(12_500)));
    for t_ms in [11_600, 11_700] {
        assert!(!admits(&mut model, &get(1, 1), at(t_ms)));
    }
    assert!(!model.token_is_like_new(1, at(21_699)));
    assert!(model.token_is_like_new(1, at(21_700)));
}

#[test]
fn t2_a_user_is_like_new_without_tokens_counts_and_strikes() {
    let mode = Mode::FairUse {
        tolerated_days: 5,
        forgiven_after_days: 2,
    };
    let mut model = Model::new(daily(10, mode));
    assert!(model.user_is_like_new(1, on_day(0, 0)), "there is no row");
    model.register(1, 1, Kind::ApiToken, Limit::Plan(1));
    model.register(2, 2, Kind::ApiToken, Limit::Plan(1));
    assert!(
        !model.user_is_like_new(1, on_day(0, 0)),
        "a token refers to it"
    );
    assert!(admits(&mut model, &post(1, 11), on_day(0, 0)));
    assert!(model.revoke(1, on_day(1_999, 0)));
    assert!(
        !model.evict_token(1, on_day(1_999, 0)),
        "the row of a revoked token stays"
    );
    assert!(model.evict_token(1, on_day(2_000, 0)));
    assert!(
        !model.user_is_like_new(1, on_day(2_000, 0)),
        "used and a strike"
    );
    let mut later = model.clone();
    assert!(admits(&mut model, &get(2, 1), on_day(2_000, 1)));
    assert!(
        !model.user_is_like_new(1, on_day(2_000, 1)),
        "nothing used this day, a strike"
    );
    assert!(admits(&mut model, &get(2, 1), on_day(2_000, 2)));
    assert!(model.evict_user(1, on_day(2_000, 2)), "forgiven");

    // Strikes count under the mode fair use alone.
    assert!(admits(&mut later, &get(2, 1), on_day(2_000, 1)));
    later.set_policy(daily(10, Mode::Strict));
    assert!(later.evict_user(1, on_day(2_000, 1)), "no longer counted");
}

#[test]
fn t2_a_user_goes_with_its_idle_tokens_on_the_day_that_now_makes_it() {
    let mut model = Model::new(daily(10, Mode::Strict));
    for token in [1, 2] {
        model.register(token, 1, Kind::ApiToken, Limit::Plan(1));
    }
    assert!(admits(&mut model, &post(1, 1), on_day(0, 0)));
    assert!(!model.evict_user(1, on_day(2_000, 0)), "used today");
    assert!(!model.evict_user(1, on_day(1_999, 1)), "an open window");
    assert_eq!(model.refills(), 0, "no decision has seen the next day");
    assert!(model.evict_user(1, on_day(2_000, 1)));
    assert!(!model.is_known(1) && !model.is_known(2));
}

#[test]
fn t2_a_host_that_registers_before_it_decides_never_sees_an_eviction() {
    let block = Block {
        offences: 4,
        within_ms: 3_000,
        duration_ms: 5_000,
        extend_on_hit: true,
    };
    let mode = Mode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 1,
    };
    let policy = Policy {
        block: Some(block),
        ..daily(60, mode)
    };
    let (mut plain, mut evicting) = (Model::new(policy.clone()), Model::new(policy));
    let (mut t_ms, mut state, mut evicted) = (0, 1_u64, 0);
    for _ in 0..20_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963);
        let random = state >> 33;
        t_ms += [0, 1, 500, 1_999, 2_000, 3_000, 5_000, HOUR_MS][(random % 8) as usize];
        let seconds = i64::try_from(t_ms / 1_000).unwrap();
        let now = Now {
            t_ms,
            utc: Some(NOON + seconds),
        };
        for id in 0..4 {
            evicted += u32::from(evicting.evict_token(id, now));
            evicting.evict_user(id / 2, now);
        }
        let token = (random >> 3) % 4;
        let request = post(token, 1 + (random >> 5) % 21);
        for model in [&mut plain, &mut evicting] {
            model.register(token, token / 2, Kind::ApiToken, Limit::Plan(0));
        }
        assert_eq!(
            plain.check(&request, now),
            evicting.check(&request, now),
            "at {t_ms}"
        );
    }
    assert!(evicted > 1_000 && plain.refills() > 10);
}
