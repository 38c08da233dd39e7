//! Reserve-ahead (SPEC R2): when a write is due, what it holds, and what happens if it fails.

use core::num::NonZeroU32;

use limiter_core::daily::DailyMode;
use limiter_core::snapshot::Image;
use limiter_core::{
    Decision, Instant, Kind, Method, Now, OffTime, OnFailedWrite, OnLostState, Plan, Policy,
    Reason, Registration, Request, Reserve, Reserved, TokenId, UnixTime, Verdict,
};

use crate::metered::KEY;

const DAY_S: u64 = 86_400;
const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;
type Device = Reserved<4, 4>;

fn token(name: &str) -> TokenId {
    KEY.token(name.as_bytes())
}

fn now(ms: u64, utc: impl Into<Option<u64>>) -> Now {
    Now::new(
        Instant::from_millis(ms),
        utc.into().and_then(UnixTime::from_secs),
    )
}

fn policy(limit: u32) -> Policy {
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 1_000, 1_000);
    builder.daily_limit(limit).build().unwrap()
}

fn ahead(permits: u32) -> Reserve {
    Reserve {
        ahead: NonZeroU32::new(permits).unwrap(),
        ..Reserve::DEFAULT
    }
}

fn device(limit: u32, reserve: Reserve) -> Device {
    let mut device = Device::new(policy(limit), reserve);
    for name in ["a", "b", "c"] {
        let user = KEY.user(name.as_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        device
            .register(token(name), registration, now(0, None))
            .unwrap();
    }
    device
}

fn post(name: &str, cost: u32) -> Request {
    Request::new(token(name), Method::Post).with_cost(NonZeroU32::new(cost).unwrap())
}

/// What a check comes to: admitted or not, and whether a write is due beside it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Decided { reason: Option<Reason>, due: bool },
    WriteFirst,
}

const ADMITTED: Seen = Seen::Decided {
    reason: None,
    due: false,
};
const LAST_RESERVED: Seen = Seen::Decided {
    reason: None,
    due: true,
};

fn check(device: &mut Device, request: &Request, at: Now) -> Seen {
    match device.check(request, at) {
        Verdict::WriteFirst(due) => {
            assert_eq!(due.bytes, device.limiter().snapshot_size());
            Seen::WriteFirst
        }
        Verdict::Decided { decision, due } => Seen::Decided {
            reason: decision.reason(),
            due: due.is_some(),
        },
    }
}

/// The decision of a second check, which needs no other write.
fn check_again<const T: usize, const U: usize>(
    device: &mut Reserved<T, U>,
    request: &Request,
    at: Now,
) -> Decision {
    match device.check_again(request, at) {
        Verdict::Decided { decision, .. } => decision,
        Verdict::WriteFirst(_) => panic!("another write"),
    }
}

/// Stores an image; says how far each user of it may go.
fn store(device: &mut Device, at: Now) -> Vec<u8> {
    let buffer = vec![0; device.limiter().snapshot_size()];
    let draft = device.draft(&KEY, buffer, at.monotonic()).unwrap();
    let image = draft.bytes().to_vec();
    device.stored(draft);
    image
}

fn bound(image: &[u8], name: &str) -> Option<u32> {
    let id = KEY.user(name.as_bytes()).as_u64();
    let image = Image::verify(image, &KEY).unwrap();
    image
        .users()
        .find(|user| user.id == id)
        .map(|user| user.used)
}

#[test]
fn r2_permits_are_handed_out_only_after_their_write() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    assert_eq!(
        check(&mut device, &post("a", 1), at),
        Seen::WriteFirst,
        "not without it"
    );
    assert_eq!(bound(&store(&mut device, at), "a"), Some(4));
    for _ in 0..3 {
        assert_eq!(check(&mut device, &post("a", 1), at), ADMITTED);
    }
    assert_eq!(check(&mut device, &post("a", 1), at), LAST_RESERVED);
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    assert_eq!(bound(&store(&mut device, at), "a"), Some(8));
}

#[test]
fn r2_a_write_that_was_due_in_time_makes_nobody_wait() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    for expected in [4, 8, 10] {
        assert_eq!(bound(&store(&mut device, at), "a"), Some(expected));
        for _ in 0..u32::min(4, expected - 4 * ((expected - 1) / 4)) {
            assert!(matches!(
                check(&mut device, &post("a", 1), at),
                Seen::Decided { reason: None, .. }
            ));
        }
    }
    let refused = Seen::Decided {
        reason: Some(Reason::Daily),
        due: false,
    };
    assert_eq!(check(&mut device, &post("a", 1), at), refused);
}

#[test]
fn r2_the_bound_never_passes_the_daily_limit_that_is_enforced() {
    let (mut device, at) = (device(3, ahead(100)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    assert_eq!(bound(&store(&mut device, at), "a"), Some(3));
}

#[test]
fn r2_a_cost_beyond_the_reserve_is_reserved_for_itself() {
    let (mut device, at) = (device(1_000, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 50), at), Seen::WriteFirst);
    assert_eq!(bound(&store(&mut device, at), "a"), Some(50));
    assert_eq!(check(&mut device, &post("a", 50), at), LAST_RESERVED);
}

#[test]
fn r2_one_write_serves_all_who_are_due_and_nobody_else() {
    let (mut device, at) = (device(100, ahead(10)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    assert_eq!(check(&mut device, &post("b", 2), at), Seen::WriteFirst);
    let image = store(&mut device, at);
    assert_eq!(
        [bound(&image, "a"), bound(&image, "b"), bound(&image, "c")],
        [Some(10), Some(10), None]
    );
    // `a` has used all, `b` half: both are renewed. With less used, none would be.
    assert_eq!(check(&mut device, &post("a", 10), at), LAST_RESERVED);
    assert_eq!(check(&mut device, &post("b", 4), at), ADMITTED);
    let image = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
    assert_eq!(
        [bound(image.bytes(), "a"), bound(image.bytes(), "b")],
        [Some(20), Some(10)]
    );
    assert_eq!(check(&mut device, &post("b", 1), at), ADMITTED);
    let image = store(&mut device, at);
    assert_eq!(
        [bound(&image, "a"), bound(&image, "b")],
        [Some(20), Some(15)]
    );
}

#[test]
fn r2_what_does_not_count_daily_or_is_refused_waits_for_no_write() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(
        check(&mut device, &Request::new(token("a"), Method::Get), at),
        ADMITTED
    );
    let refused = |reason| Seen::Decided {
        reason: Some(reason),
        due: true,
    };
    assert_eq!(
        check(&mut device, &post("a", 11), at),
        refused(Reason::CostExceedsLimit)
    );
    let unknown = Seen::Decided {
        reason: Some(Reason::Unauthenticated),
        due: false,
    };
    assert_eq!(check(&mut device, &post("x", 1), at), unknown);
}

#[test]
fn r2_after_a_restart_the_count_resumes_at_the_bound_and_the_next_are_stored_first() {
    let (mut before, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut before, &post("a", 1), at), Seen::WriteFirst);
    let image = store(&mut before, at);
    assert_eq!(check(&mut before, &post("a", 1), at), ADMITTED);

    let mut after = device(10, ahead(4));
    after
        .restore(&KEY, &image, OffTime::Trust, Instant::ZERO)
        .unwrap();
    let left = after
        .peek(&post("a", 1), at)
        .quota()
        .and_then(|quota| quota.daily_left);
    assert_eq!(
        left,
        Some(5),
        "one less than 6, as the peeked one is admitted"
    );
    assert_eq!(check(&mut after, &post("a", 1), at), Seen::WriteFirst);
    let image = store(&mut after, at);
    assert_eq!((bound(&image, "a"), bound(&image, "b")), (Some(8), None));
    let image = Image::verify(&image, &KEY).map(|image| image.header().number);
    assert_eq!(image, Ok(2), "the numbers go on");
}

#[test]
fn r2_an_idle_user_is_reserved_nothing_after_a_restart() {
    let (mut before, at) = (device(100, ahead(10)), now(0, NOON));
    for name in ["a", "b"] {
        assert_eq!(check(&mut before, &post(name, 1), at), Seen::WriteFirst);
    }
    let image = store(&mut before, at);
    let mut after = device(100, ahead(10));
    after
        .restore(&KEY, &image, OffTime::Trust, Instant::ZERO)
        .unwrap();
    assert_eq!(check(&mut after, &post("a", 1), at), Seen::WriteFirst);
    for _ in 0..2 {
        let image = store(&mut after, at);
        assert_eq!(
            (bound(&image, "a"), bound(&image, "b")),
            (Some(20), Some(10))
        );
    }
}

#[test]
fn r4_an_advance_is_stored_before_the_first_daily_permit_after_it() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    let _ = store(&mut device, at);
    assert_eq!(check(&mut device, &post("a", 1), at), ADMITTED);
    let next = now(1, NOON + DAY_S);
    assert_eq!(check(&mut device, &post("a", 1), next), Seen::WriteFirst);
    let image = store(&mut device, next);
    let calendar = Image::verify(&image, &KEY).unwrap().header().calendar;
    assert_eq!((calendar.day, calendar.refills), (Some(20_001), 1));
    assert_eq!(bound(&image, "a"), Some(4));
    assert_eq!(check(&mut device, &post("a", 1), next), ADMITTED);
}

#[test]
fn r4_a_draft_of_the_day_before_reserves_nothing() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    let draft = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
    let next = now(1, NOON + DAY_S);
    assert_eq!(check(&mut device, &post("a", 1), next), Seen::WriteFirst);
    device.stored(draft);
    assert_eq!(check(&mut device, &post("a", 1), next), Seen::WriteFirst);
}

#[test]
fn o8_a_failed_write_refuses_and_charges_nothing() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    for _ in 0..2 {
        assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
        let draft = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
        device.failed(draft);
        let decision = check_again(&mut device, &post("a", 1), at);
        assert_eq!(decision.reason(), Some(Reason::StoreFailed));
        assert_eq!(
            (decision.status(), decision.retry_after_ms()),
            (Some(503), Some(1_000))
        );
    }
    assert_eq!(
        check(&mut device, &Request::new(token("a"), Method::Get), at),
        ADMITTED
    );
    assert_eq!(
        device.limiter().statistics().refused(Reason::StoreFailed),
        2
    );
    assert_eq!(device.reserve_counts().failed, 2);
    // The storage works again.
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    let _ = store(&mut device, at);
    let decision = check_again(&mut device, &post("a", 1), at);
    assert_eq!(
        decision
            .quota()
            .map(|quota| (quota.remaining, quota.daily_left)),
        Some((998, Some(9)))
    );
}

#[test]
fn o8_what_a_failed_write_leaves_is_settled() {
    let mut device = device(10, ahead(4));
    let get = Request::new(token("a"), Method::Get);
    assert_eq!(check(&mut device, &get, now(10_000, NOON)), ADMITTED);
    // That the window has ended is stored (W6), though nothing is charged.
    assert_eq!(
        check(&mut device, &post("a", 1), now(12_000, NOON)),
        Seen::WriteFirst
    );
    let reset = device
        .limiter()
        .next_reset(token("a"), Instant::from_millis(11_500));
    assert_eq!(reset, None);
}

#[test]
fn r2_going_on_unprotected_is_counted() {
    let reserve = Reserve {
        on_failed_write: OnFailedWrite::GoOn,
        ..ahead(4)
    };
    let (mut device, at) = (device(10, reserve), now(0, NOON));
    let mut asked = 0;
    for _ in 0..10 {
        if check(&mut device, &post("a", 1), at) == Seen::WriteFirst {
            asked += 1;
            let draft = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
            device.failed(draft);
            assert!(check_again(&mut device, &post("a", 1), at).is_admitted());
        }
    }
    assert_eq!(asked, 3, "once for each four permits");
    let counts = device.reserve_counts();
    assert_eq!(
        (counts.stored, counts.failed, counts.unprotected_permits),
        (0, 3, 10)
    );
}

#[test]
fn r2_the_last_image_is_exact_and_ends_every_reserve() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    let in_flight = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
    let _ = store(&mut device, at);
    assert_eq!(check(&mut device, &post("a", 1), at), ADMITTED);
    let last = device
        .last_draft(&KEY, vec![0; 204], at.monotonic())
        .unwrap();
    assert_eq!(bound(last.bytes(), "a"), Some(1));
    device.stored(last);
    device.stored(in_flight);
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
}

#[test]
fn r2_a_row_that_is_taken_over_brings_no_reserve() {
    let mut device = Reserved::<2, 1>::new(policy(10), ahead(4));
    let register = |device: &mut Reserved<2, 1>, name: &str, ms| {
        let registration =
            Registration::new(KEY.user(name.as_bytes()), Kind::ApiToken, Plan::new(0));
        device
            .register(token(name), registration, now(ms, None))
            .unwrap();
    };
    register(&mut device, "a", 0);
    assert!(matches!(
        device.check(&post("a", 1), now(0, NOON)),
        Verdict::WriteFirst(_)
    ));
    let draft = device.draft(&KEY, vec![0; 124], Instant::ZERO).unwrap();
    device.stored(draft);
    let receipt = check_again(&mut device, &post("a", 1), now(0, NOON)).into_receipt();
    device.refund(receipt.unwrap(), now(0, NOON));
    // Nothing is used any more, but 4 permits are reserved.
    register(&mut device, "b", 60_000);
    assert!(matches!(
        device.check(&post("b", 1), now(60_000, NOON)),
        Verdict::WriteFirst(_)
    ));
}

#[test]
fn r2_early_asks_for_a_write_while_some_are_left() {
    let reserve = Reserve {
        early: 3,
        ..ahead(10)
    };
    let (mut device, at) = (device(100, reserve), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    let _ = store(&mut device, at);
    for _ in 0..6 {
        assert_eq!(check(&mut device, &post("a", 1), at), ADMITTED);
    }
    assert_eq!(check(&mut device, &post("a", 1), at), LAST_RESERVED);
    assert_eq!(bound(&store(&mut device, at), "a"), Some(17));
    assert_eq!(check(&mut device, &post("a", 1), at), ADMITTED);
}

#[test]
fn r5_lost_state_is_stored_before_it_can_be_lost_again() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    device.lose_state(OnLostState::Refuse);
    let refused = |due| Seen::Decided {
        reason: Some(Reason::Daily),
        due,
    };
    assert_eq!(check(&mut device, &post("a", 1), at), refused(true));
    let image = store(&mut device, at);
    assert_eq!(check(&mut device, &post("a", 1), at), refused(false));
    let calendar = Image::verify(&image, &KEY).unwrap().header().calendar;
    assert_eq!((calendar.lost, calendar.day), (true, Some(20_000)));
}

#[test]
fn d3_a_day_that_may_go_beyond_the_limit_is_a_strike_in_the_image() {
    let mode = DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 9,
    };
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 100, 100);
    let fair = builder.daily_limit(2).daily_mode(mode).build().unwrap();
    let mut device = Reserved::<1, 1>::new(fair, ahead(1));
    let registration = Registration::new(KEY.user(b"a"), Kind::ApiToken, Plan::new(0));
    device
        .register(token("a"), registration, now(0, None))
        .unwrap();
    let mut strikes = Vec::new();
    for _ in 0..3 {
        assert!(matches!(
            device.check(&post("a", 1), now(0, NOON)),
            Verdict::WriteFirst(_)
        ));
        let draft = device.draft(&KEY, vec![0; 108], Instant::ZERO).unwrap();
        let image = Image::verify(draft.bytes(), &KEY).unwrap();
        strikes.extend(image.users().map(|user| user.strikes.count()));
        device.stored(draft);
        assert!(check_again(&mut device, &post("a", 1), now(0, NOON)).is_admitted());
    }
    assert_eq!(strikes, [0, 0, 1]);
}

/// Was a strike, made by the last image of a policy that had judged no request.
#[test]
fn d3_what_was_used_in_advisory_mode_is_no_strike_in_the_last_image() {
    let mut device = device(1, Reserve::DEFAULT);
    let in_mode = |mode| {
        let builder = Policy::builder()
            .window(std::time::Duration::from_secs(2))
            .plan(Plan::new(0), 1_000, 1_000);
        builder.daily_limit(1).daily_mode(mode).build().unwrap()
    };
    device.set_policy(in_mode(DailyMode::Advisory)).unwrap();
    let at = now(0, NOON);
    for _ in 0..2 {
        if check(&mut device, &post("a", 1), at) == Seen::WriteFirst {
            store(&mut device, at);
            assert!(check_again(&mut device, &post("a", 1), at).is_admitted());
        }
    }
    let fair_use = DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 3,
    };
    device.set_policy(in_mode(fair_use)).unwrap();
    let size = device.limiter().snapshot_size();
    let draft = device.last_draft(&KEY, vec![0; size], at.monotonic());
    let draft = draft.unwrap();
    assert_eq!(bound(draft.bytes(), "a"), Some(2));
    let image = Image::verify(draft.bytes(), &KEY).unwrap();
    assert!(image.users().all(|user| user.strikes.is_none()));
}

#[test]
fn a_reserve_takes_16_bytes_a_user_and_a_fixed_rest() {
    let rest = size_of::<Reserved<1, 1>>() - size_of::<limiter_core::Limiter<1, 1>>() - 16;
    assert!(rest <= 128, "{rest}");
    let all = size_of::<Reserved<32, 16>>() - size_of::<limiter_core::Limiter<32, 16>>();
    assert!(all <= 16 * 16 + rest);
}

/// A second draft had a lower bound than one under way, after a refund, and became the newest image.
#[test]
fn r2_a_draft_is_never_below_the_bound_of_one_still_under_way() {
    let (mut device, at) = (device(10_000, ahead(100)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 100), at), Seen::WriteFirst);
    let _ = store(&mut device, at);
    let used = check_again(&mut device, &post("a", 100), at);
    let first = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
    assert_eq!(bound(first.bytes(), "a"), Some(200));
    let back = device.refund(used.into_receipt().unwrap(), at);
    assert_eq!(back.daily, 100);
    let second = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
    let newest = second.bytes().to_vec();
    device.stored(first);
    device.stored(second);
    let mut handed_out = 0;
    while check(&mut device, &post("a", 1), at) != Seen::WriteFirst {
        handed_out += 1;
    }
    assert_eq!(handed_out, 200);
    // The power fails: what was handed out is used.
    let mut after = self::device(10_000, ahead(100));
    after
        .restore(&KEY, &newest, OffTime::Trust, Instant::ZERO)
        .unwrap();
    let quota = after.peek(&post("a", 1), at).quota();
    assert_eq!(quota.and_then(|quota| quota.daily_left), Some(9_799));
}

/// A user whose row went to another one and who came back to it got the reserve of a draft from
/// before, which the newest image did not hold any more.
#[test]
fn r2_a_draft_from_before_a_row_was_another_users_raises_no_bound() {
    let mut device = Reserved::<2, 1>::new(policy(1_000), ahead(100));
    let at = |ms| now(ms, NOON);
    let register = |device: &mut Reserved<2, 1>, name: &str, ms| {
        let user = Registration::new(KEY.user(name.as_bytes()), Kind::ApiToken, Plan::new(0));
        device.register(token(name), user, at(ms)).unwrap();
    };
    register(&mut device, "a", 0);
    let verdict = device.check(&post("a", 100), at(0));
    assert!(matches!(verdict, Verdict::WriteFirst(_)));
    let draft = device.draft(&KEY, vec![0; 124], Instant::ZERO).unwrap();
    device.stored(draft);
    let used = check_again(&mut device, &post("a", 100), at(0));
    let first = device.draft(&KEY, vec![0; 124], Instant::ZERO).unwrap();
    device.refund(used.into_receipt().unwrap(), at(0));
    register(&mut device, "b", 60_000);
    register(&mut device, "a", 120_000);
    let verdict = device.check(&post("a", 1), at(120_000));
    assert!(matches!(verdict, Verdict::WriteFirst(_)));
    let second = device.draft(&KEY, vec![0; 124], Instant::ZERO).unwrap();
    let reserved = bound(second.bytes(), "a");
    device.stored(first);
    // The image that is stored does hold 200 for it. The next one will not.
    let verdict = device.check_again(&post("a", 1), at(120_000));
    assert!(matches!(verdict, Verdict::WriteFirst(_)));
    device.stored(second);
    let mut handed_out = 0;
    while let Verdict::Decided { .. } = device.check(&post("a", 1), at(120_000)) {
        handed_out += 1;
    }
    assert_eq!(Some(handed_out), reserved);
}

/// The bound took the larger demand of two that waited, and the second one got `store_failed`.
#[test]
fn o8_two_tokens_of_one_user_that_wait_for_one_write_are_both_served_by_it() {
    for cost in [60, 1] {
        let (mut device, at) = (device(1_000, ahead(cost)), now(0, NOON));
        let user = Registration::new(KEY.user(b"a"), Kind::ApiToken, Plan::new(0));
        device.register(token("a2"), user, at).unwrap();
        let requests = ["a", "a2"].map(|name| post(name, cost));
        for request in &requests {
            assert_eq!(check(&mut device, request, at), Seen::WriteFirst);
        }
        assert_eq!(bound(&store(&mut device, at), "a"), Some(2 * cost));
        for request in &requests {
            assert!(check_again(&mut device, request, at).is_admitted());
        }
    }
}

#[test]
fn o8_requests_that_were_refused_leave_the_line() {
    let (mut device, at) = (device(1_000, ahead(10)), now(0, NOON));
    for _ in 0..100 {
        assert_eq!(check(&mut device, &post("a", 7), at), Seen::WriteFirst);
        let draft = device.draft(&KEY, vec![0; 204], at.monotonic()).unwrap();
        device.failed(draft);
        let decision = check_again(&mut device, &post("a", 7), at);
        assert_eq!(decision.reason(), Some(Reason::StoreFailed));
    }
    assert_eq!(check(&mut device, &post("a", 7), at), Seen::WriteFirst);
    assert_eq!(bound(&store(&mut device, at), "a"), Some(10));
}

#[test]
fn r2_a_line_of_requests_ends_at_the_daily_limit() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    for _ in 0..3 {
        assert_eq!(check(&mut device, &post("a", 4), at), Seen::WriteFirst);
    }
    assert_eq!(bound(&store(&mut device, at), "a"), Some(10));
}

/// It was refused `store_failed`, though the image was stored.
#[test]
fn o8_midnight_between_a_draft_and_the_second_check_takes_another_write_and_refuses_nobody() {
    let (mut device, at) = (device(10, ahead(4)), now(0, NOON));
    assert_eq!(check(&mut device, &post("a", 1), at), Seen::WriteFirst);
    let _ = store(&mut device, at);
    let next = now(1, NOON + DAY_S);
    let verdict = device.check_again(&post("a", 1), next);
    assert!(matches!(verdict, Verdict::WriteFirst(_)));
    let _ = store(&mut device, next);
    let decision = check_again(&mut device, &post("a", 1), next);
    assert_eq!(decision.quota().and_then(|quota| quota.daily_left), Some(9));
}

/// It got `WriteFirst` again and again.
#[test]
fn a_user_without_a_bound_is_refused_without_a_write() {
    use limiter_core::{ReservedIn, TokenRow, UserRow};
    let (mut tokens, mut users) = ([TokenRow::VACANT; 1], [UserRow::VACANT; 1]);
    let (policy, reserve) = (policy(10), ahead(4));
    let mut device = ReservedIn::with_rows(policy, reserve, &mut tokens[..], &mut users[..], []);
    let user = Registration::new(KEY.user(b"a"), Kind::ApiToken, Plan::new(0));
    device.register(token("a"), user, now(0, NOON)).unwrap();
    let Verdict::Decided {
        decision,
        due: None,
    } = device.check(&post("a", 1), now(0, NOON))
    else {
        panic!("a write would not help");
    };
    assert_eq!(decision.reason(), Some(Reason::StoreFailed));
}

/// A token with one permit a window, which two offences block.
fn blocking() -> Reserved<4, 4> {
    let second = std::time::Duration::from_secs(1);
    let builder = Policy::builder()
        .window(2 * second)
        .plan(Plan::new(0), 1, 1);
    let policy = builder.block(2, 60 * second, 300 * second).build().unwrap();
    let mut device = Reserved::new(policy, ahead(100));
    for name in ["a", "b"] {
        let user = Registration::new(KEY.user(name.as_bytes()), Kind::ApiToken, Plan::new(0));
        device.register(token(name), user, now(0, NOON)).unwrap();
    }
    device
}

/// Reads until the token is blocked; says at which of them a write was due.
fn earn_a_block(device: &mut Device, name: &str, ms: u64) -> Vec<bool> {
    let read = Request::new(token(name), Method::Get);
    let dues = (0..4).map(|_| match check(device, &read, now(ms, NOON)) {
        Seen::Decided { due, .. } => due,
        Seen::WriteFirst => panic!("it is a read"),
    });
    dues.collect()
}

/// It made no write due, so a power cut lifted a block that reads alone had earned.
#[test]
fn r3_a_block_that_reads_have_earned_makes_a_write_due_which_keeps_it_over_a_power_cut() {
    let mut device = blocking();
    assert_eq!(
        earn_a_block(&mut device, "a", 0),
        [false, false, true, true]
    );
    let image = store(&mut device, now(0, NOON));
    let read = Request::new(token("a"), Method::Get);
    let stored = Seen::Decided {
        reason: Some(Reason::Blocked),
        due: false,
    };
    assert_eq!(check(&mut device, &read, now(1, NOON)), stored);
    let mut after = blocking();
    after
        .restore(&KEY, &image, OffTime::Trust, Instant::ZERO)
        .unwrap();
    let decision = after.peek(&read, now(0, NOON));
    assert_eq!(decision.reason(), Some(Reason::Blocked));
}

#[test]
fn r3_blocks_make_one_write_due_in_ten_seconds_however_many_there_are() {
    let mut device = blocking();
    assert!(earn_a_block(&mut device, "a", 0).contains(&true));
    let _ = store(&mut device, now(0, NOON));
    assert!(!earn_a_block(&mut device, "b", 1).contains(&true));
    assert_eq!(device.due(Instant::from_millis(9_999)), None);
    assert!(device.due(Instant::from_millis(10_000)).is_some());
    let read = Request::new(token("b"), Method::Get);
    let due = Seen::Decided {
        reason: Some(Reason::Blocked),
        due: true,
    };
    assert_eq!(check(&mut device, &read, now(10_000, NOON)), due);
    // One that fails is due again, and one that was taken before the block does not hold it.
    let failed = device.draft(&KEY, vec![0; 204], Instant::from_millis(10_000));
    device.failed(failed.unwrap());
    assert_eq!(device.due(Instant::from_millis(19_999)), None);
    assert!(device.due(Instant::from_millis(20_000)).is_some());
    let _ = store(&mut device, now(20_000, NOON));
    assert_eq!(device.due(Instant::from_millis(99_000)), None);
}

#[test]
fn r3_a_block_that_begins_while_an_image_is_under_way_is_not_taken_for_stored() {
    let mut device = blocking();
    let draft = device.draft(&KEY, vec![0; 204], Instant::ZERO).unwrap();
    let _ = earn_a_block(&mut device, "a", 0);
    device.stored(draft);
    assert!(device.due(Instant::from_millis(10_000)).is_some());
    let _ = store(&mut device, now(10_000, NOON));
    device.unblock(token("a")).unwrap();
    assert!(device.due(Instant::from_millis(20_000)).is_some(), "lifted");
}
