//! A limiter over a restart, rule by rule (SPEC 10).

use limiter_core::snapshot::{self, Image};
use limiter_core::{
    Decision, HashKey, Instant, Kind, Limiter, Method, Now, OffTime, Plan, Policy, Reason,
    Registered, Registration, Request, RestoreError, TokenId, UnixTime,
};

const DAY_S: u64 = 86_400;
const HOUR_MS: u64 = 3_600_000;
/// A Monday, at noon.
const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;

type Device = Limiter<4, 4>;

fn key() -> HashKey {
    HashKey::new(*b"provisioned once")
}

fn token(name: &str) -> TokenId {
    key().token(name.as_bytes())
}

fn of_user(name: &str) -> Registration {
    Registration::new(key().user(name.as_bytes()), Kind::ApiToken, Plan::new(0))
}

fn policy() -> Policy {
    let second = core::time::Duration::from_secs(1);
    Policy::builder()
        .window(second)
        .plan(Plan::new(0), 3, 30)
        .daily_limit(10)
        .block(2, second * 60, second * 300)
        .build()
        .unwrap()
}

fn fair_use() -> Policy {
    let mode = limiter_core::daily::DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 3,
    };
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 100, 100);
    builder.daily_limit(2).daily_mode(mode).build().unwrap()
}

fn now(ms: u64, utc: impl Into<Option<u64>>) -> Now {
    let utc = utc.into().and_then(UnixTime::from_secs);
    Now::new(Instant::from_millis(ms), utc)
}

fn image_of(limiter: &Device, ms: u64) -> Vec<u8> {
    let mut image = vec![0; limiter.snapshot_size()];
    let at = Instant::from_millis(ms);
    assert_eq!(limiter.snapshot(&key(), 1, &mut image, at), Ok(image.len()));
    image
}

fn restored(image: &[u8], policy: Policy, off_time: OffTime, ms: u64) -> Device {
    let mut limiter = Device::new(policy);
    let at = Instant::from_millis(ms);
    limiter.restore(&key(), image, off_time, at).unwrap();
    limiter
}

fn post(limiter: &mut Device, name: &str, at: Now) -> Decision {
    limiter.check(&Request::new(token(name), Method::Post), at)
}

fn left(decision: &Decision) -> Option<u32> {
    decision.quota().and_then(|quota| quota.daily_left)
}

/// One user, `a`, who has posted `posts` times, each in a window of its own, from second 1 on.
fn used(policy: Policy, posts: u64) -> Device {
    let mut limiter = Device::new(policy);
    limiter
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    for i in 1..=posts {
        assert!(post(&mut limiter, "a", now(i * 1_000, NOON + i)).is_admitted());
    }
    limiter
}

#[test]
fn r1_the_count_and_the_calendar_are_as_they_were() {
    let limiter = used(policy(), 7);
    let mut after = restored(&image_of(&limiter, 7_000), policy(), OffTime::Trust, 50);
    assert_eq!(after.calendar().day(), Some(20_000));
    assert_eq!(after.calendar().refills(), limiter.calendar().refills());
    assert_eq!(
        after.register(token("a"), of_user("a"), now(60, None)),
        Ok(Registered::New)
    );
    let decision = post(&mut after, "a", now(100, NOON + 60));
    assert_eq!(left(&decision), Some(2));
}

#[test]
fn r1_registering_before_or_after_the_restore_is_the_same() {
    let image = image_of(&used(policy(), 7), 7_000);
    let mut after = Device::new(policy());
    after
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    after
        .restore(&key(), &image, OffTime::Trust, Instant::ZERO)
        .unwrap();
    assert_eq!(left(&post(&mut after, "a", now(1, NOON + 60))), Some(2));
    assert_eq!(after.statistics().users, 1);
}

#[test]
fn r1_strikes_stand() {
    let mut limiter = used(fair_use(), 3); // the third is beyond: a strike, tolerated
    assert!(post(&mut limiter, "a", now(4_000, NOON + 4)).is_admitted());
    let mut after = restored(&image_of(&limiter, 5_000), fair_use(), OffTime::Trust, 0);
    after
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    // The next day's is one too many.
    for i in 0..2 {
        let at = now(10 + i, NOON + DAY_S);
        assert!(post(&mut after, "a", at).is_admitted());
    }
    let decision = post(&mut after, "a", now(20, NOON + DAY_S));
    assert_eq!(decision.reason(), Some(Reason::Daily));
}

#[test]
fn r1_an_image_made_under_another_key_is_foreign() {
    let image = image_of(&used(policy(), 1), 1_000);
    let other = HashKey::new(*b"provisioned anew");
    let mut after = Device::new(policy());
    let given = after.restore(&other, &image, OffTime::Trust, Instant::ZERO);
    assert_eq!(given, Err(RestoreError::Foreign));
}

#[test]
fn r1_what_is_refused_changes_nothing() {
    let image = image_of(&used(policy(), 7), 7_000);
    let mut torn = image.clone();
    let end = torn.len();
    torn[end - 8] ^= 0xff;
    let mut corrupt = image.clone();
    corrupt[70] ^= 1;
    let mut other = image.clone();
    other[4] = 3;
    let refusals = [
        (
            vec![],
            RestoreError::Truncated {
                needed: 68,
                found: 0,
            },
        ),
        (vec![0; 999], RestoreError::Blank),
        (vec![0xff; 999], RestoreError::Blank),
        (
            image[..40].to_vec(),
            RestoreError::Truncated {
                needed: 204,
                found: 40,
            },
        ),
        (
            image[..5].to_vec(),
            RestoreError::Truncated {
                needed: 68,
                found: 5,
            },
        ),
        (vec![1; 300], RestoreError::NoImage),
        (torn, RestoreError::Torn),
        (corrupt, RestoreError::Corrupt),
        (other, RestoreError::Version { major: 3, minor: 0 }),
    ];
    for (image, error) in refusals {
        let mut after = Device::new(policy());
        after
            .register(token("a"), of_user("a"), now(0, None))
            .unwrap();
        let given = after.restore(&key(), &image, OffTime::Trust, Instant::ZERO);
        assert_eq!(given, Err(error));
        assert!(!after.calendar().is_started());
        assert_eq!(left(&post(&mut after, "a", now(1, NOON))), Some(9));
    }
}

#[test]
fn r1_what_does_not_fit_is_refused_and_what_fits_a_smaller_table_is_not() {
    let mut limiter = used(policy(), 1);
    limiter
        .register(token("b"), of_user("b"), now(0, None))
        .unwrap();
    assert!(post(&mut limiter, "b", now(9_000, NOON + 9)).is_admitted());
    let image = image_of(&limiter, 9_000);
    let mut small = Limiter::<1, 1>::new(policy());
    let given = small.restore(&key(), &image, OffTime::Trust, Instant::ZERO);
    assert_eq!(
        given,
        Err(RestoreError::NoRoom {
            users: 2,
            tokens: 0
        })
    );
    assert_eq!(
        (small.statistics().users, small.calendar().is_started()),
        (0, false)
    );
    let mut enough = Limiter::<1, 2>::new(policy());
    let restored = enough
        .restore(&key(), &image, OffTime::Trust, Instant::ZERO)
        .unwrap();
    assert_eq!(
        (restored.number, restored.users, restored.tokens),
        (1, 2, 0)
    );
}

#[test]
fn r1_a_limiter_that_has_decided_takes_no_image() {
    let image = image_of(&used(policy(), 7), 7_000);
    let mut used = used(policy(), 1);
    let given = used.restore(&key(), &image, OffTime::Trust, Instant::ZERO);
    assert_eq!(given, Err(RestoreError::InUse));
    let mut twice = restored(&image, policy(), OffTime::Trust, 0);
    let given = twice.restore(&key(), &image, OffTime::Trust, Instant::ZERO);
    assert_eq!(given, Err(RestoreError::InUse));
}

#[test]
fn r1_a_buffer_too_small_holds_no_image() {
    let mut short = [0; 203];
    let given = used(policy(), 1).snapshot(&key(), 1, &mut short, Instant::ZERO);
    assert_eq!(
        given,
        Err(limiter_core::EncodeError::BufferTooSmall { needed: 204 })
    );
    assert_eq!(snapshot::size(4, 4), 204);
}

/// `a` is blocked from second 1 to second 301.
fn blocked() -> Device {
    let mut limiter = used(policy(), 0);
    for _ in 0..3 {
        assert!(post(&mut limiter, "a", now(1_000, NOON)).is_admitted());
    }
    for _ in 0..2 {
        assert!(!post(&mut limiter, "a", now(1_000, NOON)).is_admitted());
    }
    assert_eq!(
        post(&mut limiter, "a", now(1_000, NOON)).reason(),
        Some(Reason::Blocked)
    );
    limiter
}

#[test]
fn r3_a_block_goes_on_for_the_time_it_had_left_and_a_window_does_not() {
    let image = image_of(&blocked(), 101_000);
    let mut after = restored(&image, policy(), OffTime::Trust, 5);
    let given = after.register(token("a"), of_user("a"), now(5, None));
    assert_eq!(given, Ok(Registered::Resumed));
    let decision = post(&mut after, "a", now(5, NOON));
    assert_eq!(decision.reason(), Some(Reason::Blocked));
    assert_eq!(decision.retry_after_ms(), Some(200_000));
    let decision = post(&mut after, "a", now(200_005, NOON));
    assert_eq!((decision.is_admitted(), left(&decision)), (true, Some(6)));
    assert_eq!(decision.quota().map(|quota| quota.remaining), Some(2));
}

#[test]
fn r3_an_ended_block_is_not_in_the_image() {
    let image = image_of(&blocked(), 301_000);
    assert_eq!(Image::verify(&image, &key()).unwrap().blocks().count(), 0);
}

#[test]
fn t2_rows_that_an_image_brought_stay_until_nothing_in_them_counts() {
    let image = image_of(&blocked(), 101_000);
    let mut after = Limiter::<1, 1>::new(policy());
    after
        .restore(&key(), &image, OffTime::Trust, Instant::ZERO)
        .unwrap();
    let full = Err(limiter_core::RegisterError::TableFull);
    assert_eq!(after.register(token("b"), of_user("b"), now(0, None)), full);
    // The block has ended; the user's count stands till the next day.
    assert_eq!(
        after.register(token("b"), of_user("b"), now(200_000, None)),
        full
    );
    after
        .register(token("c"), of_user("a"), now(200_000, None))
        .unwrap();
    let next_day = now(200_000, NOON + DAY_S);
    let decision = after.check(&Request::new(token("c"), Method::Get), next_day);
    assert!(decision.is_admitted());
    let later = now(300_000, NOON + DAY_S);
    assert_eq!(
        after.register(token("b"), of_user("b"), later),
        Ok(Registered::NewInPlaceOf {
            token: token("c"),
            others: 0
        })
    );
}

#[test]
fn r4_the_restored_day_is_not_adopted_again() {
    let image = image_of(&used(policy(), 7), 7_000);
    for off_time in [OffTime::Trust, OffTime::Ignore] {
        let mut after = restored(&image, policy(), off_time, 0);
        after
            .register(token("a"), of_user("a"), now(0, None))
            .unwrap();
        // The RTC was reset to 2000: unknown, below the floor.
        assert_eq!(left(&post(&mut after, "a", now(1, 946_684_800))), Some(2));
        // It is set to a day before: no refill until 24 h have passed since the adoption (D9).
        assert_eq!(
            left(&post(&mut after, "a", now(2_000, NOON - DAY_S))),
            Some(1)
        );
        assert_eq!(after.calendar().refills(), 0);
        assert_eq!(after.calendar().day(), Some(20_000));
    }
}

#[test]
fn r4_the_marks_are_rebased_signed() {
    // Adopted at second 1; 20 h later the image is made. The age goes on from there.
    let image = image_of(&used(policy(), 7), 1_000 + 20 * HOUR_MS);
    let mut after = restored(&image, policy(), OffTime::Trust, 500);
    after
        .register(token("a"), of_user("a"), now(500, None))
        .unwrap();
    let before = now(500 + 4 * HOUR_MS - 1, None);
    assert_eq!(left(&post(&mut after, "a", before)), Some(2));
    let at = now(500 + 4 * HOUR_MS, None);
    assert_eq!(
        left(&post(&mut after, "a", at)),
        Some(9),
        "D10: unknown for 24 h"
    );
    assert_eq!(after.calendar().day(), Some(20_001));
}

/// Advanced twice within an hour of the adoption: the next advance is 23 h off.
fn paced() -> Vec<u8> {
    let mut limiter = used(policy(), 1);
    for day in 1..=2 {
        let at = now(day * HOUR_MS, NOON + day * DAY_S);
        assert!(post(&mut limiter, "a", at).is_admitted());
    }
    assert_eq!(limiter.calendar().refills(), 2);
    image_of(&limiter, 2 * HOUR_MS)
}

#[test]
fn r4_trust_lets_the_first_known_utc_advance_whatever_d10b_says() {
    let mut after = restored(&paced(), policy(), OffTime::Trust, 0);
    after
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    assert_eq!(
        left(&post(&mut after, "a", now(0, None))),
        Some(8),
        "unknown"
    );
    assert_eq!(
        left(&post(&mut after, "a", now(10_000, NOON + 9 * DAY_S))),
        Some(9)
    );
    // It set `earliest_next` to its moment, so that the next is allowed at once, and that one
    // bounds those after it again.
    assert_eq!(
        left(&post(&mut after, "a", now(20_000, NOON + 10 * DAY_S))),
        Some(9)
    );
    assert_eq!(
        left(&post(&mut after, "a", now(30_000, NOON + 11 * DAY_S))),
        Some(8)
    );
}

#[test]
fn r4_trust_is_for_the_first_known_utc_alone() {
    let mut after = restored(&paced(), policy(), OffTime::Trust, 0);
    after
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    assert_eq!(
        left(&post(&mut after, "a", now(0, NOON + 2 * DAY_S))),
        Some(8)
    );
    assert_eq!(
        left(&post(&mut after, "a", now(10_000, NOON + 3 * DAY_S))),
        Some(7)
    );
}

#[test]
fn r4_ignore_grants_no_exception() {
    let mut after = restored(&paced(), policy(), OffTime::Ignore, 0);
    after
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    assert_eq!(
        left(&post(&mut after, "a", now(0, NOON + 9 * DAY_S))),
        Some(8)
    );
    // `earliest_next` had 22 h left: it was set an hour before the image.
    let early = now(22 * HOUR_MS - 1, NOON + 9 * DAY_S);
    let allowed = now(22 * HOUR_MS, NOON + 9 * DAY_S);
    let first = post(&mut after, "a", early);
    let second = post(&mut after, "a", allowed);
    assert_eq!((left(&first), left(&second)), (Some(7), Some(9)));
}

#[test]
fn r4_a_day_that_was_unknown_is_adopted() {
    let mut limiter = used(policy(), 0);
    assert_eq!(left(&post(&mut limiter, "a", now(1_000, None))), Some(9));
    let mut after = restored(&image_of(&limiter, 1_000), policy(), OffTime::Trust, 0);
    after
        .register(token("a"), of_user("a"), now(0, None))
        .unwrap();
    assert_eq!(left(&post(&mut after, "a", now(0, NOON))), Some(8));
    assert_eq!(
        (after.calendar().day(), after.calendar().refills()),
        (Some(20_000), 0)
    );
}

#[test]
fn r5_an_image_of_lost_counts_is_for_a_limiter_that_refuses_them() {
    let mut lost = limiter_core::Reserved::<4, 4>::new(policy(), limiter_core::Reserve::DEFAULT);
    lost.lose_state(limiter_core::OnLostState::Refuse);
    let image = lost
        .last_draft(&key(), vec![0; 204], Instant::ZERO)
        .unwrap();
    let mut after = Device::new(policy());
    let given = after.restore(&key(), image.bytes(), OffTime::Trust, Instant::ZERO);
    assert_eq!(given, Err(RestoreError::CountsLost));
    assert!(!after.calendar().is_lost());
}
