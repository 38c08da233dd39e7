use super::*;
use crate::window::Window;
use std::string::ToString;

fn one_plan() -> PolicyBuilder {
    Policy::builder()
        .window(Duration::from_secs(2))
        .plan(Plan::new(0), 1, 1)
}

fn error_of(builder: PolicyBuilder) -> (PolicyError, std::string::String) {
    let error = builder.build().expect_err("a wrong policy");
    (error, error.to_string())
}

#[test]
fn holds_the_numbers_of_the_page() {
    let page = Policy::pipedrive();
    let limits = [
        Plan::ESSENTIAL,
        Plan::ADVANCED,
        Plan::PROFESSIONAL,
        Plan::ENTERPRISE,
    ]
    .map(|plan| [Kind::ApiToken, Kind::AccessToken].map(|kind| page.window_limit(plan, kind)));
    assert_eq!(
        limits,
        [[20, 80], [40, 160], [80, 320], [120, 480]].map(|pair: [u32; 2]| pair.map(Some))
    );
    assert_eq!(page.window_limit(Plan::new(4), Kind::ApiToken), None);
    assert_eq!(page.window_limit(Plan::new(255), Kind::ApiToken), None);
    assert_eq!((page.window_ms(), page.daily().limit), (2_000, 10_000));
    assert_eq!(page.daily().mode, DailyMode::Strict);
    assert!(page.writes().contains(Method::Put) && !page.writes().contains(Method::Patch));
    let block = page.block().expect("a block");
    assert_eq!(
        (block.offences(), block.within_ms(), block.duration_ms()),
        (100, 60_000, 300_000)
    );
    assert!(!block.extend_on_hit());
}

#[test]
fn refuses_each_wrong_number_of_the_daily_rule_and_says_which() {
    let cases = [
        (
            one_plan().daily_limit(0),
            "the daily limit must be at least 1",
        ),
        (
            one_plan().daily_mode(DailyMode::FairUse {
                tolerated_days: 1,
                forgiven_after_days: 0,
            }),
            "strikes must be forgiven after at least 1 day",
        ),
        (
            one_plan().daily_mode(DailyMode::FairUse {
                tolerated_days: 255,
                forgiven_after_days: 1,
            }),
            "at most 254 days over the limit can be tolerated",
        ),
        (
            one_plan().daily_mode(DailyMode::Strict),
            "a policy without a daily limit has neither writes nor a mode",
        ),
        (
            one_plan().writes(Methods::POST_PUT),
            "a policy without a daily limit has neither writes nor a mode",
        ),
    ];
    for (builder, message) in cases {
        assert_eq!(error_of(builder).1, message);
    }
}

#[test]
fn refuses_each_wrong_number_and_says_which() {
    let secs = Duration::from_secs;
    let cases = [
        (
            one_plan().window(secs(0)),
            "the window must be longer than 0",
        ),
        (
            one_plan().window(Duration::from_micros(1_500)),
            "the window must be a whole number of milliseconds, at most 24 hours",
        ),
        (
            one_plan().window(secs(86_400) + Duration::from_millis(1)),
            "the window must be a whole number of milliseconds, at most 24 hours",
        ),
        (
            one_plan().window(Duration::MAX),
            "the window must be a whole number of milliseconds, at most 24 hours",
        ),
        (
            one_plan().plan(Plan::new(1), 0, 1),
            "a window limit must be at least 1",
        ),
        (
            one_plan().plan(Plan::new(1), 1, 0),
            "a window limit must be at least 1",
        ),
        (
            one_plan().plan(Plan::new(1), 1 << 20, 1),
            "a window limit must be at most 1048575, not 1048576",
        ),
        (
            one_plan().plan(Plan::new(8), 1, 1),
            "a policy holds plans 0 to 7, not 8",
        ),
        (Policy::builder(), "a policy needs at least one plan"),
        (
            Policy::builder().plan(Plan::new(0), 1, 1),
            "a policy needs a window",
        ),
        (
            one_plan().block(0, secs(1), secs(1)),
            "a block must take at least 1 offence",
        ),
        (
            one_plan().block(1 << 19, secs(1), secs(1)),
            "a block must take at most 524287 offences, not 524288",
        ),
        (
            one_plan().block(1, secs(0), secs(1)),
            "the offence period must be a whole number of milliseconds, from 1 to 4294967295",
        ),
        (
            one_plan().block(1, secs(1), Duration::from_millis(1 << 32)),
            "the block must last a whole number of milliseconds, from 1 to 4294965295",
        ),
        (
            one_plan().extend_block_on_hit(true),
            "a policy without a block cannot extend one",
        ),
    ];
    for (builder, message) in cases {
        assert_eq!(error_of(builder).1, message);
    }
}

#[test]
fn accepts_every_largest_number() {
    let policy = Policy::builder()
        .window(Policy::MAX_WINDOW)
        .plan(Plan::new(7), Window::MAX_LIMIT, Window::MAX_LIMIT)
        .daily_limit(u32::MAX)
        .block(
            524_287,
            Duration::from_millis(4_294_967_295),
            Duration::from_millis(4_294_965_295),
        )
        .extend_block_on_hit(true)
        .utc_floor(UnixTime::EPOCH)
        .writes(Methods::NONE)
        .build();
    assert!(policy.is_ok_and(|p| p.block().is_some_and(|b| b.extend_on_hit())));
}

#[test]
fn reports_the_first_of_several_errors() {
    let (error, _) = error_of(one_plan().daily_limit(0).window(Duration::ZERO));
    assert_eq!(error, PolicyError::ZeroDailyLimit);
}

#[test]
fn drops_a_block_that_is_taken_back() {
    let rule = Duration::from_secs(1);
    assert!(
        one_plan()
            .block(1, rule, rule)
            .no_block()
            .build()
            .is_ok_and(|p| p.block().is_none())
    );
    assert_eq!(
        BlockRule::new(0, rule, rule),
        Err(PolicyError::ZeroOffences)
    );
}

#[test]
fn changes_the_floor_and_nothing_else() {
    const LOW: Policy = Policy::pipedrive().with_utc_floor(UnixTime::EPOCH);
    assert_eq!(LOW.utc_floor(), UnixTime::EPOCH);
    assert_eq!(LOW.with_utc_floor(UnixTime::Y2020), Policy::pipedrive());
}

#[test]
fn twenty_thousand_a_second_without_a_daily_limit_admit_the_10_001st_post() {
    let policy = Policy::builder()
        .window(Duration::from_secs(1))
        .plan(Plan::new(0), 20_000, 20_000)
        .build()
        .expect("a policy");
    let key = crate::HashKey::new([1; 16]);
    let (token, user) = (key.token(b"t"), key.user(b"u"));
    let now = crate::Now::new(crate::Instant::ZERO, None);
    let mut limiter = crate::Limiter::<4, 4>::new(policy);
    let terms = crate::Registration::new(user, Kind::ApiToken, Plan::new(0));
    limiter.register(token, terms, now).expect("there is room");
    let post = crate::Request::new(token, Method::Post);
    for left in (0..20_000).rev() {
        let quota = limiter.check(&post, now).quota().expect("a quota");
        assert_eq!((quota.remaining, quota.daily_left), (left, None));
    }
    let refused = limiter.check(&post, now);
    assert_eq!(refused.reason(), Some(crate::Reason::Window));
}

#[test]
fn a_builder_holds_what_it_was_given_and_nothing_else() {
    let bare = one_plan().build().expect("a policy");
    assert!(!bare.has_daily_limit());
    assert_eq!((bare.writes(), bare.block()), (Methods::NONE, None));
    let plans = (0..8).filter(|&index| {
        bare.window_limit(Plan::new(index), Kind::ApiToken)
            .is_some()
    });
    assert_eq!(plans.count(), 1);

    let daily = one_plan().daily_limit(7).build().expect("a policy");
    assert_eq!(daily.writes(), Methods::POST_PUT, "unless others are named");
    assert_eq!(
        (daily.daily().limit, daily.daily().mode),
        (7, DailyMode::Strict)
    );
    let taken_back = one_plan().daily_limit(7).writes(Methods::POST_PUT);
    let taken_back = taken_back.daily_mode(DailyMode::Advisory).no_daily_limit();
    assert_eq!(taken_back.build(), Ok(bare));
    assert_eq!(one_plan().writes(Methods::NONE).build(), Ok(bare));
}

#[test]
fn a_preset_by_name_starts_from_all_its_numbers() {
    assert_eq!(Policy::pipedrive_builder().build(), Ok(Policy::pipedrive()));
}
