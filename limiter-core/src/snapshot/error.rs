//! Why an image could not be written, or is not believed.

use super::MAJOR;
use core::fmt;

/// Why no image was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small.
    BufferTooSmall {
        /// Bytes of the image: [`size`](super::size).
        needed: usize,
    },
    /// More records were given than the header has room for; a limiter never does that.
    TooManyRecords,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed } => write!(f, "the image takes {needed} bytes"),
            Self::TooManyRecords => {
                f.write_str("there are more records than the image has room for")
            }
        }
    }
}

impl core::error::Error for EncodeError {}

/// Why an image was not restored; nothing was changed (R1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RestoreError {
    /// Erased storage: room for an image at least, and every byte is 0xff, or every byte is 0. The only
    /// error of a new device (R5). No bytes at all are [`RestoreError::Truncated`]: whether nothing
    /// was ever stored, or a file was emptied, is for the caller to know.
    Blank,
    /// It ends too early.
    Truncated {
        /// Bytes that it says it has, or that any image has at least.
        needed: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// It does not begin like an image.
    NoImage,
    /// Its format is another.
    Version {
        /// Its major version.
        major: u8,
        /// Its minor version.
        minor: u8,
    },
    /// Its beginning and its end are of different images: the write was cut off.
    Torn,
    /// Its checksum, or something that it says, is wrong.
    Corrupt,
    /// It was made under another hash key.
    Foreign,
    /// The limiter has too few rows for what it holds.
    NoRoom {
        /// Users that it holds.
        users: u32,
        /// Blocked tokens that it holds.
        tokens: u32,
    },
    /// It says that the counts of its day are lost (R5): only a
    /// [`ReservedIn`](crate::ReservedIn) refuses what that demands.
    CountsLost,
    /// The limiter has decided already, or was restored. Restore before the first decision.
    InUse,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("there is no image: the storage is blank"),
            Self::Truncated { needed, found } => {
                write!(f, "the image is truncated: {found} of {needed} bytes")
            }
            Self::NoImage => f.write_str("it does not begin like an image"),
            Self::Version { major, minor } => {
                write!(f, "the image has version {major}.{minor}, not {MAJOR}")
            }
            Self::Torn => f.write_str("the image is torn: it begins and ends as different ones"),
            Self::Corrupt => f.write_str("the image is corrupt"),
            Self::Foreign => f.write_str("the image was made under another hash key"),
            Self::NoRoom { users, tokens } => write!(
                f,
                "the image holds {users} users and {tokens} blocked tokens, more than there is room for"
            ),
            Self::CountsLost => f.write_str("the image says that the counts of its day are lost"),
            Self::InUse => f.write_str("the limiter has decided already"),
        }
    }
}

impl core::error::Error for RestoreError {}
