//! What the owner of a durable limiter chooses.

use limiter_core::{OffTime, OnLostState, Reserve};
use std::io;

/// What is chosen once, at the start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How far ahead permits are reserved, and what happens while writes fail. By default 100, with
    /// a write when 25 are left, and refusals.
    pub reserve: Reserve,
    /// What the first known UTC may do (R4); trusted by default.
    pub off_time: OffTime,
    /// What happens if nothing whole is found (R5); refusals by default.
    pub on_lost_state: OnLostState,
    /// Requests that may wait for the disk at once; more are refused `store_failed`. 0: nobody
    /// waits. By default 10 000.
    pub most_waiting: usize,
    /// Is told, by the writer's thread, when writes begin to fail and when they succeed again. By
    /// default nothing is.
    pub report: fn(Result<(), &io::Error>),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reserve: Reserve {
                early: 25,
                ..Reserve::DEFAULT
            },
            off_time: OffTime::Trust,
            on_lost_state: OnLostState::Refuse,
            most_waiting: 10_000,
            report: |_| {},
        }
    }
}
