//! What would this policy have done to that log?
//!
//! 1. [`input`] reads a trace (SPEC 11) or an access log, line by line, into a [`log`].
//! 2. [`run`] hands the log to a [`backend`], which answers each request with a [`verdict`].
//! 3. [`tally`] counts the verdicts; [`summary`] shows the counts to a person.
//!
//! The binary adds the command line ([`args`]), what it means ([`setup`]), the files and a progress bar ([`progress`]).
#![forbid(unsafe_code)]

pub mod args;
pub mod backend;
pub mod input;
pub mod log;
pub mod progress;
pub mod run;
pub mod setup;
pub mod summary;
pub mod tally;
pub mod verdict;
