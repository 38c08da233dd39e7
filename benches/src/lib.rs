//! The limiter beside its peers, on the same work, in one run: what people read to decide.
//!
//! `./ci.sh bench` runs the comparison; `cargo bench -p limiter-bench` runs criterion over the same
//! subjects. Times are for people and never gate anything; instruction counts do, in
//! `benches/counts`.
//!
//! | module | what it is about |
//! |---|---|
//! | [`clock`] | virtual time that all subjects read |
//! | [`steps`] | the requests: tokens, and walks over them |
//! | [`subjects`] | who is compared: ours, the peers, what people write by hand |
//! | [`measure`] | interleaved rounds, and what is made of their times |
//! | [`works`] | the work: one key, many, threads, memory, latency, HTTP, the floor, defects |
//! | [`report`] | `summary.json`, the aims, tables and plots |

pub mod allocator;
pub mod clock;
pub mod measure;
pub mod report;
pub mod steps;
pub mod subjects;
pub mod works;
