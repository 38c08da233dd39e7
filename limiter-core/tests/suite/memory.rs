//! What a limiter takes, as documented: sizes, and that it can be a `static` (T1, T4).

use core::cell::RefCell;

use critical_section::Mutex;
use limiter_core::{
    Decision, HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy, Receipt, Registration,
    Request, TokenRow, UserRow,
};

/// The time line, the calendar, the policy, the counts and the tables' own fields.
const FIXED: usize = 864;

static LIMITER: Mutex<RefCell<Limiter<32, 16>>> =
    Mutex::new(RefCell::new(Limiter::new(Policy::pipedrive())));

#[test]
fn t1_a_limiter_in_a_static_decides() {
    let token = HashKey::new(*b"provisioned once").token(b"a1b2");
    let user = HashKey::new(*b"provisioned once").user(b"martin");
    let now = Now::new(Instant::from_millis(1), None);
    critical_section::with(|section| {
        let mut limiter = LIMITER.borrow(section).borrow_mut();
        let registration = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
        limiter.register(token, registration, now).unwrap();
        let decision = limiter.check(&Request::new(token, Method::Get), now);
        assert_eq!(decision.quota().map(|quota| quota.remaining), Some(39));
    });
}

#[test]
fn a_token_takes_32_bytes_and_a_user_24() {
    assert_eq!((TokenRow::SIZE, size_of::<TokenRow>()), (32, 32));
    assert_eq!((UserRow::SIZE, size_of::<UserRow>()), (24, 24));
}

#[cfg(target_pointer_width = "64")]
#[test]
fn a_limiter_takes_its_rows_and_a_fixed_rest() {
    assert_eq!(size_of::<Limiter<32, 16>>(), 32 * 32 + 24 * 16 + FIXED);
    assert_eq!(size_of::<Limiter<1, 1>>(), 32 + 24 + FIXED);
    assert_eq!(size_of::<Limiter<1000, 7>>(), 32 * 1000 + 24 * 7 + FIXED);
}

#[test]
fn decisions_and_what_comes_with_them_stay_small() {
    assert_eq!(size_of::<Receipt>(), 24);
    assert_eq!(size_of::<Decision>(), 56);
    assert_eq!(size_of::<Now>(), 16);
    assert_eq!(size_of::<Request>(), 16);
    assert!(size_of::<Policy>() <= 128);
}

#[test]
fn t4_a_limiter_shows_no_ids_and_nothing_shows_credentials_or_the_key() {
    let (token_text, user_text) = ("credential-a1b2", "account-martin");
    let key = HashKey::new(*b"provisioned once");
    let (token, user) = (
        key.token(token_text.as_bytes()),
        key.user(user_text.as_bytes()),
    );
    let mut limiter = Limiter::<4, 4>::new(Policy::pipedrive());
    let now = Now::new(Instant::from_millis(1), None);
    let registration = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
    limiter.register(token, registration, now).unwrap();
    let decision = limiter.check(&Request::new(token, Method::Post), now);
    let shown = format!("{limiter:?} {limiter:#?}");
    for id in [token.as_u64(), user.as_u64()] {
        for text in [id.to_string(), format!("{id:x}"), format!("{id:X}")] {
            assert!(!shown.contains(&text), "an id is in {shown}");
        }
    }
    // Of one decision the id may be told, as it is an operator's handle; the credential may not.
    let shown = format!("{shown} {decision:?} {key:?} {token:?} {user:?}");
    for text in [token_text, user_text, "provisioned"] {
        assert!(!shown.contains(text), "{text} is in {shown}");
    }
}
