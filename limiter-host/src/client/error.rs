//! Errors of paced calls.

use limiter_core::clock::ClockError;
use limiter_pacer::{Stop, StopReason};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An error of the pacer: nothing was sent, and nothing is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaceError {
    /// The wait would pass the deadline.
    PastDeadline {
        /// The least time that the request would have to wait from then on.
        wait: Duration,
    },
    /// Nothing is to be sent: the day's writes are spent, access is denied, the request can never
    /// fit.
    Stopped(Stop),
    /// The clock could not be read.
    Clock(ClockError),
}

impl fmt::Display for PaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PastDeadline { wait } => {
                write!(
                    f,
                    "the wait of {} ms would pass the deadline",
                    wait.as_millis()
                )
            }
            Self::Stopped(stop) => match stop.retry_ms {
                Some(millis) => write!(f, "{}; request again in {millis} ms", stop.reason),
                None => write!(f, "{}", stop.reason),
            },
            Self::Clock(error) => write!(f, "{error}"),
        }
    }
}

impl Error for PaceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Clock(error) => Some(error),
            Self::PastDeadline { .. } | Self::Stopped(_) => None,
        }
    }
}

impl PaceError {
    /// Returns `true` if access is denied, which a person should look into.
    #[must_use]
    pub const fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::Stopped(Stop {
                reason: StopReason::Denied,
                ..
            })
        )
    }
}

/// An error of a call through a paced client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The request was not sent.
    Pace(PaceError),
    /// The client below failed.
    Call(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pace(error) => write!(f, "the request was not sent: {error}"),
            Self::Call(error) => write!(f, "the request failed: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Pace(error) => Some(error),
            Self::Call(error) => Some(error),
        }
    }
}

impl<E> From<PaceError> for CallError<E> {
    fn from(error: PaceError) -> Self {
        Self::Pace(error)
    }
}
