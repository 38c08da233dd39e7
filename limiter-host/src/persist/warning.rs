//! What may be wrong when a durable limiter starts.

use super::directory::Flaw;
use limiter_core::RestoreError;
use limiter_core::clock::ClockError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Something that was not as it should be when the limiter started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// One generation is not whole or gone; the other one was taken over.
    Older {
        /// What is wrong.
        flaw: Flaw,
        /// The number of the image that was taken over.
        number: u64,
        /// Permits that each user may get once more, if the other one was newer: what one write
        /// reserves. It was more if more were reserved before this start, or if requests of one user
        /// that cost more together had waited for that write.
        permits: u32,
    },
    /// There is no image, though the directory was used before: they were removed.
    NoImages {
        /// The directory.
        path: PathBuf,
    },
    /// Others had permissions that only the owner should have.
    Permissions {
        /// The directory, or the key in it.
        path: PathBuf,
        /// Its mode, as it was found.
        mode: u32,
        /// True if it is the owner's alone now.
        is_closed: bool,
    },
    /// Nothing whole was found.
    Lost {
        /// What is wrong.
        flaw: Flaw,
        /// Whether what counts daily is refused until the next day (R5).
        refuses: bool,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older {
                flaw,
                number,
                permits,
            } => write!(
                f,
                "{flaw}; going on from image {number}: if the other one was newer, each user may \
                 get up to {permits} permits a second time, or what waited for one write"
            ),
            Self::NoImages { path } => write!(
                f,
                "{}: there is a key, and no image: every count begins at 0",
                path.display()
            ),
            Self::Permissions {
                path,
                mode,
                is_closed,
            } => {
                let what = if *is_closed {
                    "that is taken from them"
                } else {
                    "and that cannot be taken from them"
                };
                let path = path.display();
                write!(f, "{path}: others had access to it (mode {mode:o}); {what}")
            }
            Self::Lost {
                flaw,
                refuses: true,
            } => write!(
                f,
                "{flaw}; no image is whole: requests that count daily are refused until the next day"
            ),
            Self::Lost { flaw, .. } => {
                write!(f, "{flaw}; no image is whole: every count begins at 0")
            }
        }
    }
}

/// Why a durable limiter did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The clock could not be read.
    Clock(ClockError),
    /// An image was made under another hash key (R1). No crash leads to that: a key or a directory
    /// was mixed up.
    Foreign(Flaw),
    /// The image does not fit the limiter, or that has decided already.
    Restore(RestoreError),
    /// The writer's thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(error) => error.fmt(f),
            Self::Foreign(flaw) => write!(
                f,
                "{flaw}; put back the key that it was made under, or remove the images, and every \
                 count begins at 0"
            ),
            Self::Restore(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "the writer cannot be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
