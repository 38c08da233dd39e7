//! Reads an image, and believes nothing that is not whole.

use super::bytes::Reader;
use super::crc::crc32;
use super::{
    BlockRecord, END, FRAME, HEADER, Header, LOST, MAGIC, MAJOR, MAX_ROWS, MINOR, PACED, RECORD,
    RestoreError, STARTED, UNKNOWN_DAY, UserRecord,
};
use crate::calendar::SavedCalendar;
use crate::daily::Strikes;
use crate::math;
use crate::token::HashKey;

/// An image that was found whole, and made under the key at hand.
///
/// ```
/// use limiter_core::snapshot::{Image, RestoreError};
/// use limiter_core::{HashKey, Instant, Limiter, Policy};
///
/// let key = HashKey::new(*b"provisioned once");
/// let limiter = Limiter::<4, 4>::new(Policy::pipedrive());
/// let mut bytes = [0; 204];
/// limiter.snapshot(&key, 9, &mut bytes, Instant::ZERO).unwrap();
/// assert_eq!(Image::verify(&bytes, &key).map(|image| image.header().number), Ok(9));
/// bytes[100] ^= 1;
/// assert_eq!(Image::verify(&bytes, &key).err(), Some(RestoreError::Corrupt));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    header: Header,
    users: Records<'a>,
    tokens: Records<'a>,
}

impl<'a> Image<'a> {
    /// Verifies the image that `bytes` begin with; what follows it is not looked at, so that it may
    /// lie in a larger region. *O*(bytes).
    ///
    /// # Errors
    ///
    /// [`RestoreError`], but for its last three, which are about a limiter.
    pub fn verify(bytes: &'a [u8], key: &HashKey) -> Result<Self, RestoreError> {
        if is_erased(bytes) {
            return Err(RestoreError::Blank);
        }
        let frame = Frame::read(bytes)?;
        if frame.key_check != key.check_value() {
            return Err(RestoreError::Foreign);
        }
        let image = Self {
            header: Header {
                tokens: frame.tokens.count,
                users: frame.users.count,
                key_check: frame.key_check,
                number: frame.number,
                calendar: frame.calendar().ok_or(RestoreError::Corrupt)?,
            },
            users: frame.users,
            tokens: frame.tokens,
        };
        image.check_values(frame.minor)?;
        Ok(image)
    }

    /// What the image says of itself and of the calendar.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The users it holds.
    pub fn users(&self) -> impl Iterator<Item = UserRecord> + use<'a> {
        self.users.filter_map(user).filter(|user| user.id != 0)
    }

    /// The blocked tokens it holds.
    pub fn blocks(&self) -> impl Iterator<Item = BlockRecord> + use<'a> {
        self.tokens.filter_map(block).filter(|block| block.id != 0)
    }

    /// Whether every number is one that [`encode`](super::encode) can have written.
    fn check_values(&self, minor: u8) -> Result<(), RestoreError> {
        let users = self.users.map(|record| {
            user(record).is_some_and(|user| {
                // As packed, and nothing for nobody.
                let [.., a, b, c, d] = record.head;
                let as_packed = user.strikes.to_bits() == u32::from_le_bytes([a, b, c, d]);
                as_packed && (user.id != 0 || user == UserRecord::EMPTY)
            })
        });
        let tokens = self.tokens.map(|record| {
            block(record).is_some_and(|block| {
                let [.., a, b, c, d] = record.head;
                let unused = u32::from_le_bytes([a, b, c, d]);
                (block.id != 0) == (block.left_ms != 0) && (unused == 0 || minor > MINOR)
            })
        });
        let mut all = users.chain(tokens);
        if all.all(|sane| sane) {
            Ok(())
        } else {
            Err(RestoreError::Corrupt)
        }
    }
}

/// The users' records of an image that was just encoded, in the order of the limiter's rows.
pub(crate) fn drafted_users(image: &[u8]) -> impl Iterator<Item = UserRecord> {
    let users = Frame::take_apart(image, HEADER, MINOR).map(|frame| frame.users);
    users.into_iter().flatten().filter_map(user)
}

/// An image taken apart.
struct Frame<'a> {
    minor: u8,
    key_check: u64,
    number: u64,
    day: u32,
    refills: u32,
    age_ms: i64,
    left_ms: i64,
    flags: u32,
    users: Records<'a>,
    tokens: Records<'a>,
}

impl<'a> Frame<'a> {
    /// Version first: only that says where the rest is. Then size, wholeness and checksum.
    fn read(bytes: &'a [u8]) -> Result<Self, RestoreError> {
        let found = bytes.len();
        let truncated = |needed| RestoreError::Truncated { needed, found };
        let mut reader = Reader { rest: bytes };
        let too_short = truncated(HEADER);
        if reader.bytes().ok_or(too_short)? != MAGIC {
            return Err(RestoreError::NoImage);
        }
        let [major, minor] = reader.bytes().ok_or(too_short)?;
        if major != MAJOR {
            return Err(RestoreError::Version { major, minor });
        }
        let header_length = usize::from(reader.u16().ok_or(too_short)?);
        let length = math::to_index(reader.u32().ok_or(too_short)?);
        if header_length < HEADER || length < header_length {
            return Err(RestoreError::Corrupt);
        }
        let image = bytes.get(..length).ok_or(truncated(length))?;
        let (body, sum) = image.split_last_chunk().ok_or(RestoreError::Corrupt)?;
        let (_, number_again) = body.split_last_chunk().ok_or(RestoreError::Corrupt)?;
        let frame = Self::take_apart(image, header_length, minor).ok_or(RestoreError::Corrupt)?;
        if math::low32(frame.number) != u32::from_le_bytes(*number_again) {
            return Err(RestoreError::Torn);
        }
        if crc32(body) != u32::from_le_bytes(*sum) {
            return Err(RestoreError::Corrupt);
        }
        Ok(frame)
    }

    /// `None` if what the header says cannot be.
    fn take_apart(image: &'a [u8], header_length: usize, minor: u8) -> Option<Self> {
        let mut reader = Reader { rest: image };
        let mut fields = Reader {
            rest: reader.slice(header_length)?,
        };
        fields.bytes::<12>()?;
        let (users, tokens) = (fields.u32()?, fields.u32()?);
        let (user_length, token_length) = (fields.u16()?, fields.u16()?);
        let (key_check, number) = (fields.u64()?, fields.u64()?);
        let (day, refills) = (fields.u32()?, fields.u32()?);
        let (age_ms, left_ms, flags) = (fields.i64()?, fields.i64()?, fields.u32()?);
        let newer = minor > MINOR;
        let lengths = [user_length, token_length].map(usize::from);
        let exact = header_length == HEADER && lengths == [RECORD, RECORD];
        if users > MAX_ROWS || tokens > MAX_ROWS || !(newer || exact) {
            return None;
        }
        let users = Records::take(&mut reader, users, user_length)?;
        let tokens = Records::take(&mut reader, tokens, token_length)?;
        // A newer minor version may have put more before the end.
        if reader.rest.len() < END || (reader.rest.len() > END && !newer) {
            return None;
        }
        Some(Self {
            minor,
            key_check,
            number,
            day,
            refills,
            age_ms,
            left_ms,
            flags,
            users,
            tokens,
        })
    }

    /// `None` if it is not as [`encode`](super::encode) writes it.
    fn calendar(&self) -> Option<SavedCalendar> {
        let Self { day, flags, .. } = *self;
        if flags & !(STARTED | PACED | LOST) != 0 && self.minor == MINOR {
            return None;
        }
        let calendar = SavedCalendar {
            day: if day == UNKNOWN_DAY { None } else { Some(day) },
            refills: self.refills,
            age_ms: set(flags & STARTED != 0, self.age_ms, 0)?,
            left_ms: set(flags & PACED != 0, self.left_ms, 0)?,
            lost: flags & LOST != 0,
        };
        if calendar.is_sane() {
            Some(calendar)
        } else {
            None
        }
    }
}

/// An optional number: `None` as a whole if it is there although it must not be.
fn set<T: PartialEq>(flag: bool, value: T, nothing: T) -> Option<Option<T>> {
    match flag {
        true => Some(Some(value)),
        false if value == nothing => Some(None),
        false => None,
    }
}

/// Records of equal length, of which the first 16 bytes mean something.
#[derive(Clone, Copy, Debug)]
struct Records<'a> {
    reader: Reader<'a>,
    count: u32,
    length: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Record {
    head: [u8; RECORD],
}

impl<'a> Records<'a> {
    fn take(reader: &mut Reader<'a>, count: u32, length: u16) -> Option<Self> {
        let length = usize::from(length);
        if length < RECORD {
            return None;
        }
        let bytes = math::to_index(count).checked_mul(length)?;
        Some(Self {
            reader: Reader {
                rest: reader.slice(bytes)?,
            },
            count,
            length,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let record = self.reader.slice(self.length)?;
        let (head, _) = record.split_first_chunk()?;
        Some(Record { head: *head })
    }
}

fn user(record: Record) -> Option<UserRecord> {
    let mut reader = Reader { rest: &record.head };
    Some(UserRecord {
        id: reader.u64()?,
        used: reader.u32()?,
        strikes: Strikes::from_bits(reader.u32()?),
    })
}

fn block(record: Record) -> Option<BlockRecord> {
    let mut reader = Reader { rest: &record.head };
    Some(BlockRecord {
        id: reader.u64()?,
        left_ms: reader.u32()?,
    })
}

/// Whether storage was erased: room for an image at least, and nothing but what an erasure leaves.
fn is_erased(bytes: &[u8]) -> bool {
    let all = |erased| bytes.iter().all(|&byte| byte == erased);
    bytes.len() >= FRAME && (all(0xff) || all(0))
}
