//! A rate limiter for API callers that fits a microcontroller.
//!
//! It enforces so many requests per short window for each token, by plan and by kind of
//! credential; a daily quota of writes per user, reset at UTC midnight; and a block for those who
//! keep hammering. It allocates nothing, panics nowhere, holds no lock, reads no clock, and uses
//! neither floating point nor 64-bit division. All its memory is one value, sized by two numbers.
//!
//! ```
//! use limiter_core::{HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy};
//! use limiter_core::{Registration, Request, UnixTime};
//!
//! let key = HashKey::new(*b"provisioned once");
//! let token = key.token(b"a1b2c3");
//! let mut limiter = Limiter::<32, 16>::new(Policy::pipedrive());
//! let now = Now::new(Instant::from_millis(5_000), UnixTime::from_secs(1_716_000_000));
//! let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
//! limiter.register(token, martin, now)?;
//!
//! let decision = limiter.check(&Request::new(token, Method::Post), now);
//! let quota = decision.quota().expect("reported for every admission");
//! assert_eq!((quota.limit, quota.remaining, quota.daily_left), (40, 39, Some(9_999)));
//! # Ok::<(), limiter_core::RegisterError>(())
//! ```
//!
//! # The journey of a request
//!
//! 1. [`token`]: the credential becomes a [`TokenId`], a keyed hash, before anything is locked.
//! 2. [`limiter`]: [`Limiter::check`] takes the [`Request`] and a [`Now`]. Webhooks are let
//!    through; an unknown token is refused. The row is found in a fixed table.
//! 3. [`timeline`]: the monotonic reading becomes the time of the decision, which a late reading, a
//!    step back or another clock does not move; [`calendar`]: that and UTC become an accounting day,
//!    and a new day refills every user.
//! 4. [`rules`]: the token's block ([`abuse`]), its window ([`window`]) and its user's day
//!    ([`daily`]) are judged together. Either all are charged, or none.
//! 5. [`decision`]: the answer, with everything a response reports.
//! 6. [`http`]: on request, the answer as headers and a body in a fixed buffer.
//!
//! What must survive a restart is a byte image ([`snapshot`]). Where the power may fail at any
//! moment, [`Reserved`] hands out only what was written beforehand ([`reserve`]).
//!
//! The caller's side is a crate of its own: `limiter-pacer` says when a request may be sent, so
//! that it is never refused.
//!
//! Around it: [`policy`] holds the numbers, [`time`] the readings, [`clock`] turns a device's
//! clocks into such readings.
//!
//! The rules have names, such as W2 or D8; comments and tests cite them. They are explained where
//! they are decided.
//!
//! # Cost
//!
//! 32 bytes a token, 24 bytes a user, and a fixed part that does not depend on either; see
//! [`TokenRow::SIZE`] and [`UserRow::SIZE`]. A decision is *O*(1) but for one look-up, which
//! visits at most [`Statistics::longest_probe`] rows. In a full table that is some ten to fifty where
//! half of a thousand rows are idle, whatever the table has been through, and the square root of
//! the number of rows, a few times, where none was ever replaced.
//!
//! # Features
//!
//! None is on by default, and none changes a type's shape.
//!
//! | feature | adds |
//! |---|---|
//! | `critical-section` | `Shared`: one limiter and its clock for interrupts and threads of one device |
//! | `defmt` | `defmt::Format` on all public types; three log points |
//! | `embassy-time` | `EmbassyClock`: embassy's time driver as a [`clock::MonotonicClock`] |
//! | `embedded-time` | `EmbeddedTimeClock`: any `embedded_time::Clock` as one |
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::integer_division,
    clippy::as_conversions
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::integer_division,
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "a test that overflows or divides by zero fails, as it should"
    )
)]

#[cfg(test)]
extern crate std;

/// The README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

mod fmt;
mod table;

pub mod abuse;
pub mod calendar;
pub mod clock;
pub mod daily;
pub mod decision;
pub mod http;
pub mod limiter;
#[doc(hidden)]
pub mod math;
pub mod policy;
pub mod request;
pub mod reserve;
pub mod rules;
#[cfg(feature = "critical-section")]
pub mod shared;
pub mod snapshot;
pub mod time;
pub mod timeline;
pub mod token;
pub mod window;

pub use calendar::OffTime;
pub use decision::{Decision, Outcome, Quota, Reason, Receipt};
pub use limiter::{
    Draft, Limiter, LimiterIn, OnLostState, Outage, Refunded, RegisterError, Registered,
    ReserveCounts, Reserved, ReservedIn, Restored, Statistics, TokenRow, UpdateError, UserRow,
    Verdict, WriteDue,
};
pub use policy::{Methods, Plan, Policy, PolicyError};
pub use request::{Kind, Method, Origin, Registration, Request, TokenLimit};
pub use reserve::{Bound, OnFailedWrite, Reserve};
#[cfg(feature = "critical-section")]
pub use shared::{Busy, Shared, SharedError, StartError};
pub use snapshot::{EncodeError, RestoreError};
pub use time::{Instant, Now, UnixTime};
pub use token::{HashKey, TokenId, UserId};
