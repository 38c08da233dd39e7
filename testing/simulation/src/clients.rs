//! Callers: the pacer, and two that are written every day.

mod governed;
mod naive;
mod paced;

pub use governed::Governed;
pub use naive::Naive;
pub use paced::Paced;

use limiter_core::{Method, Now};
use limiter_pacer::ResponseInfo;

/// A caller. All times are its device's own.
pub trait Client {
    /// May a request of this method go now? If so it goes, by the name of `id`.
    fn poll(&mut self, method: Method, id: u64, now: Now) -> Poll;

    /// The answer to a request came.
    fn on_response(&mut self, id: u64, answer: &ResponseInfo, now: Now);

    /// A person announces that the limit will be `permits`.
    fn announce(&mut self, permits: u32);
}

/// What a caller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// It sends.
    Send,
    /// Not yet: wake it in so many milliseconds, or at the next answer.
    Wait(u32),
    /// Not today: wake it in so many milliseconds.
    Stop(u32),
    /// Wake it at the next answer.
    Answers,
}
