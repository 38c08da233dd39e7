//! The byte image of what must survive a restart (SPEC R1, R3): calendar, daily counts, strikes and
//! blocks. Windows are too short to matter.
//!
//! This file knows bytes and no limiter: [`encode`] writes an image, [`Image::verify`] reads one
//! and believes nothing that is not whole. [`LimiterIn::snapshot`](crate::LimiterIn::snapshot) and
//! [`LimiterIn::restore`](crate::LimiterIn::restore) are the way to use it for a limiter;
//! [`ReservedIn`](crate::ReservedIn) says when an image has to be written.
//!
//! # What an image is safe from
//!
//! The checksum is a CRC: it tells accidents, a torn or damaged image, from a whole one. It is no MAC.
//! A person or program that can write the storage can write an image with other counts and a right
//! checksum, or put an older image back; the check value tells which key the ids were made under, and
//! proves nothing else. Storage that others can write needs protection of its own.
//!
//! # The format, version 2.0
//!
//! All numbers are little-endian. The size is fixed by the two capacities: [`size`]. What is not
//! used is 0.
//!
//! | at | bytes | holds |
//! |---|---|---|
//! | 0 | 4 | `LIMI` |
//! | 4 | 1 | major version, 2: a reader refuses any other |
//! | 5 | 1 | minor version, 0: a reader skips what a newer one appended to header and records, or put before the end |
//! | 6 | 2 | bytes of the header, *H* = 68 |
//! | 8 | 4 | bytes of the image, the checksum included |
//! | 12 | 4 | room for users, *U* |
//! | 16 | 4 | room for tokens, *T* |
//! | 20 | 2 | bytes of a user's record, 16 |
//! | 22 | 2 | bytes of a token's record, 16 |
//! | 24 | 8 | check value of the hash key: [`HashKey::check_value`](crate::HashKey::check_value) |
//! | 32 | 8 | the image's number: of two whole images the greater is the newer |
//! | 40 | 4 | UTC day of the accounting day, 2^32 - 1 if unknown |
//! | 44 | 4 | the calendar's number of refills |
//! | 48 | 8 | milliseconds since the last advance, adoption or first reading, signed |
//! | 56 | 8 | milliseconds until `earliest_next` (D10b), signed |
//! | 64 | 4 | flags: 1 the calendar was ever fed, 2 it ever advanced, 4 the counts of its day are lost (R5) |
//! | *H* | 16 *U* | users: id 8, permits used in the accounting day 4, strikes 4 ([`Strikes::to_bits`](crate::daily::Strikes::to_bits)) |
//! | … | 16 *T* | blocked tokens: id 8, milliseconds that the block still lasts 4, nothing 4 |
//! | … | 4 | the low half of the image's number again, by which a torn image is told |
//! | … | 4 | CRC-32 (IEEE 802.3) of all before it |
//!
//! A record whose id is 0 is empty. Ids are keyed hashes; no credential is in an image.
//!
//! # An example
//!
//! One user, who has used 3 permits, and room for one blocked token:
//!
//! ```
//! use limiter_core::snapshot::{self, Header, UserRecord};
//! use limiter_core::calendar::SavedCalendar;
//! use limiter_core::daily::Strikes;
//!
//! let header = Header {
//!     tokens: 1,
//!     users: 1,
//!     key_check: 0x1122_3344_5566_7788,
//!     number: 7,
//!     calendar: SavedCalendar {
//!         day: Some(20_000),
//!         refills: 2,
//!         age_ms: Some(1_000),
//!         left_ms: Some(-1),
//!         lost: false,
//!     },
//! };
//! let user = UserRecord { id: 0xaa, used: 3, strikes: Strikes::NONE };
//! let mut image = [0; snapshot::size(1, 1)];
//! snapshot::encode(&mut image, &header, [user].into_iter(), [].into_iter())?;
//! let rows: Vec<String> = image.chunks(16).map(|row| {
//!     row.iter().map(|byte| format!("{byte:02x}")).collect()
//! }).collect();
//! assert_eq!(rows, [
//!     "4c494d49020044006c00000001000000", // LIMI, 2.0, 68, 108 bytes, one user,
//!     "01000000100010008877665544332211", // one token, 16, 16, the key's check value,
//!     "0700000000000000204e000002000000", // number 7, day 20 000, 2 refills,
//!     "e803000000000000ffffffffffffffff", // 1 s ago, 1 ms past,
//!     "03000000aa0000000000000003000000", // fed and advanced; the user's id, 3 used,
//!     "00000000000000000000000000000000", // no strikes; nobody is blocked,
//!     "00000000070000001ec2fd69",         // number 7, the checksum
//! ]);
//! # Ok::<(), snapshot::EncodeError>(())
//! ```

mod bytes;
mod crc;
mod error;
mod read;
mod steps;
mod write;

pub use self::error::{EncodeError, RestoreError};
pub use self::read::Image;
pub(crate) use self::read::drafted_users;
pub use self::steps::SnapshotWriter;
pub use self::write::encode;

use crate::calendar::SavedCalendar;
use crate::daily::{DailyRule, Day, Strikes};
use crate::math;

/// Bytes of an image of a limiter with room for so many tokens and users:
/// `76 + 16 * (tokens + users)`. Of each kind at most 2^24 rows count.
///
/// ```
/// use limiter_core::snapshot;
/// static BUFFER: [u8; snapshot::size(32, 16)] = [0; snapshot::size(32, 16)];
/// assert_eq!(BUFFER.len(), 844);
/// ```
#[must_use]
pub const fn size(tokens: usize, users: usize) -> usize {
    let rows = at_most(tokens).wrapping_add(at_most(users));
    // OK because 76 + 16 * 2^25 is below 2^32.
    FRAME.wrapping_add(rows.wrapping_mul(RECORD))
}

/// What an image says of itself and of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// Room for tokens, at most 2^24.
    pub tokens: u32,
    /// Room for users, at most 2^24.
    pub users: u32,
    /// [`HashKey::check_value`](crate::HashKey::check_value) of the key that made the ids.
    pub key_check: u64,
    /// Of two whole images the one with the greater number is the newer.
    pub number: u64,
    /// The calendar.
    pub calendar: SavedCalendar,
}

/// What an image holds of a user. One without an id is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UserRecord {
    /// The keyed id, or 0.
    pub id: u64,
    /// Permits used in the image's accounting day, or the bound up to which they may be handed out.
    pub used: u32,
    /// The strikes.
    pub strikes: Strikes,
}

impl UserRecord {
    /// Nobody's.
    pub const EMPTY: Self = Self {
        id: 0,
        used: 0,
        strikes: Strikes::NONE,
    };

    /// The record, or [`UserRecord::EMPTY`] if there is nothing in it to keep.
    pub(crate) const fn or_empty(self) -> Self {
        if self.used == 0 && self.strikes.is_none() {
            Self::EMPTY
        } else {
            self
        }
    }

    /// The record of a user who may go to `bound` on the accounting day `refills` once the image is
    /// stored (R2).
    ///
    /// If that is beyond the daily limit the day is a strike (D3), for the image has to hold what may
    /// be handed out. If nothing is handed out beyond what is used the strikes are as they are: what
    /// is used was judged when it was used, maybe by another policy.
    #[must_use]
    pub const fn reserved_to(self, bound: u32, rule: &DailyRule, refills: u32) -> Self {
        let strikes = if bound > self.used {
            // No cost: it is beyond the limit if what is used is.
            rule.judge(Day::new(refills, bound), self.strikes, refills, 0)
                .1
        } else {
            self.strikes
        };
        Self {
            used: bound,
            strikes,
            ..self
        }
    }
}

/// What an image holds of a blocked token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BlockRecord {
    /// The keyed id.
    pub id: u64,
    /// How long the block still lasts, at least 1.
    pub left_ms: u32,
}

const fn at_most(rows: usize) -> usize {
    if rows > math::to_index(MAX_ROWS) {
        math::to_index(MAX_ROWS)
    } else {
        rows
    }
}

const MAGIC: [u8; 4] = *b"LIMI";
const MAJOR: u8 = 2;
const MINOR: u8 = 0;
/// Bytes of a header.
const HEADER: usize = 68;
const HEADER_U16: u16 = 68;
/// Bytes of a record.
const RECORD: usize = 16;
const RECORD_U16: u16 = 16;
/// Bytes of the number's low half and the checksum.
const END: usize = 8;
const FRAME: usize = HEADER + END;
/// Rows of a kind that count.
pub(crate) const MAX_ROWS: u32 = 1 << 24;
const UNKNOWN_DAY: u32 = u32::MAX;
const STARTED: u32 = 1;
const PACED: u32 = 2;
const LOST: u32 = 4;

#[cfg(test)]
mod tests;
