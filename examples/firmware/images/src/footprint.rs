//! The decision path, with nothing the compiler could foresee: what the size images have in common.

use core::hint::black_box;
use core::num::NonZeroU64;

use limiter_core::{
    Decision, Instant, Kind, Limiter, Method, Now, Plan, Registration, Request, TokenId, UnixTime,
    UserId,
};

/// The limiter that is measured.
pub type Sample = Limiter<32, 16>;

/// Registers a token and decides a request of it.
#[inline(always)]
pub fn decide(limiter: &mut Sample, token: TokenId) -> Option<Decision> {
    let now = now();
    let user = UserId::from_hash(id());
    let registration = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
    limiter.register(token, black_box(registration), now).ok()?;
    Some(limiter.check(&black_box(Request::new(token, Method::Post)), now))
}

/// A reading that could be any.
#[inline(always)]
pub fn now() -> Now {
    Now::new(
        Instant::from_millis(black_box(1)),
        UnixTime::from_secs(black_box(1_800_000_000)),
    )
}

/// An id that could be any.
#[inline(always)]
pub fn id() -> NonZeroU64 {
    black_box(NonZeroU64::MIN)
}
