//! What a limiter that reserves ahead answers, and what it asks to be written.

use crate::decision::Decision;

/// The answer of [`ReservedIn::check`](super::ReservedIn::check).
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a verdict that is not looked at limits nobody"]
pub enum Verdict {
    /// The request is decided.
    Decided {
        /// The decision.
        decision: Decision,
        /// A write that is due, at leisure: until it is made, a request may have to wait for it.
        due: Option<WriteDue>,
    },
    /// The request fits all limits, but its permits are not reserved yet. Nothing is charged.
    WriteFirst(WriteDue),
}

/// What a limiter does whose storage holds something, but nothing whole (R5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnLostState {
    /// Refuse what counts daily until the calendar's next advance.
    #[default]
    Refuse,
    /// Begin like a new device. Whoever can break the image can so mint a day's quota.
    Fresh,
}

/// A write that is due: take a [`ReservedIn::draft`](super::ReservedIn::draft).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WriteDue {
    /// Bytes of the image.
    pub bytes: usize,
}

/// An image on its way to storage, in a buffer of yours.
#[derive(Debug)]
#[must_use = "say how the write went: `stored` or `failed`"]
pub struct Draft<M> {
    pub(super) buffer: M,
    pub(super) length: usize,
    pub(super) number: u64,
    pub(super) day: (Option<u32>, u32),
}

impl<M: AsRef<[u8]>> Draft<M> {
    /// The image, to be stored as a whole.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().get(..self.length).unwrap_or(&[])
    }

    /// The image's number: of two whole images the greater is the newer.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// How the writes of a [`ReservedIn`](super::ReservedIn) went, since construction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct ReserveCounts {
    /// Drafts that were stored.
    pub stored: u64,
    /// Drafts that could not be stored.
    pub failed: u64,
    /// Permits reserved without protection, after failed writes ([`OnFailedWrite::GoOn`](crate::OnFailedWrite::GoOn)).
    pub unprotected_permits: u64,
}

impl ReserveCounts {
    pub(super) const ZERO: Self = Self {
        stored: 0,
        failed: 0,
        unprotected_permits: 0,
    };
}
