//! Callers and a limited service in virtual time.
//!
//! The service is this project's own limiter; its answers travel as header text. Callers send to
//! it over a network that delays, reorders and loses, by clocks that run at another rate and show
//! another time. Others use the same token and the same user's day; the plan changes; the day ends.
//! Everything follows from a [`Scenario`] and its seed: the same outcome every time, and no
//! sleeping.
//!
//! | file | what it is |
//! |---|---|
//! | [`scenario`] | what is simulated |
//! | [`world`] | the events, in the order of their times |
//! | [`server`] | the limiter behind a service's front |
//! | [`network`] | the way there and back, and a device's clocks |
//! | [`clients`] | the pacer, and the two peers it is held against |
//! | [`outcome`] | what came of it |
//! | [`plot`] | outcomes as a table and a picture |
#![forbid(unsafe_code)]

pub mod clients;
pub mod network;
pub mod outcome;
pub mod plot;
pub mod random;
pub mod scenario;
pub mod server;
pub mod world;

pub use clients::{Client, Governed, Naive, Paced, Poll};
pub use outcome::Outcome;
pub use scenario::{Lane, PlanChange, Scenario};
pub use world::simulate;
