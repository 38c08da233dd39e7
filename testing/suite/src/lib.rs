//! One suite for every implementation of the limiter, in virtual time.
//!
//! - [`Subject`] is what an implementation has to offer.
//! - [`suite!`] runs every rule of the specification over one, each a named test.
//! - [`vectors`] replays recorded traces through one.
//! - [`Pair`] runs one beside the model and compares every answer; [`Choices`] are what a
//!   property test feeds it.
#![forbid(unsafe_code)]

pub mod crowded;
mod decode;
mod macros;
mod pair;
pub mod rules;
mod seen;
mod subject;
mod turnover;
mod twin;
pub mod vectors;
#[cfg(doctest)]
mod wrong_policies;

pub use decode::{Choices, decode_policy};
pub use pair::{Failure, Pair};
pub use seen::Seen;
pub use subject::{LosesState, Restarts, Subject, TellsRows};
pub use turnover::{Turned, Turnover};
pub use twin::{core_request, model_policy, now, token, user};
