//! A naive executable reading of the specification (`SPEC.md`, sections 2 to 11).
//!
//! Every rule is written from the specification's text, one after the other, over unbounded maps
//! and wide integers: obviously right rather than fast. The limiters of this project are tested
//! against it, so it shares no code with them.
//!
//! - [`Model`] decides; [`Policy`], [`Request`], [`Now`] go in, a [`Decision`] comes out.
//! - [`trace`] reads and writes the interchange format and replays it.
//! - [`generate`] makes traces that live on the edges of the rules.
//!
//! ```
//! use limiter_model::{Kind, Limit, Method, Model, Now, Origin, Outcome, Policy, Request};
//!
//! let mut model = Model::new(Policy::pipedrive());
//! model.register(1, 7, Kind::ApiToken, Limit::Plan(1)); // user 7, the Advanced plan
//! let post = Request { token: Some(1), method: Method::Post, origin: Origin::Api, cost: 1 };
//! let decision = model.check(&post, Now { t_ms: 1_000, utc: Some(1_716_000_000) });
//! assert_eq!(decision.outcome, Outcome::Admitted);
//! assert_eq!((decision.limit, decision.remaining), (Some(40), Some(39)));
//! assert_eq!((decision.reset_s(), decision.daily_left), (Some(2), Some(9_999)));
//! ```
#![forbid(unsafe_code)]

mod abuse;
mod calendar;
mod daily;
mod decision;
pub mod generate;
mod inspect;
mod model;
mod policy;
mod restart;
mod timeline;
pub mod trace;
mod window;

pub use calendar::Calendar;
pub use decision::{Decision, Outcome, Reason, Receipt, Refunded};
pub use model::Model;
pub use policy::{Block, Kind, Limit, Method, Mode, Now, Origin, Policy, Request};
pub use restart::{OffTime, Saved};
pub use timeline::TimeLine;
