//! Writes an image.

use super::bytes::Writer;
use super::crc::crc32;
use super::{
    BlockRecord, EncodeError, HEADER_U16, Header, LOST, MAGIC, MAJOR, MAX_ROWS, MINOR, PACED,
    RECORD, RECORD_U16, STARTED, UNKNOWN_DAY, UserRecord, size,
};
use crate::math;

/// Writes an image into the beginning of `image` and says how long it is: [`size`].
///
/// For homes of the state that keep it in their own way. Records come in any order; a user's record
/// may be [`UserRecord::EMPTY`]. *O*(bytes); does not allocate.
///
/// # Errors
///
/// [`EncodeError`]: the buffer is too small, or there are more records than the header has room
/// for. The buffer then holds no image.
pub fn encode(
    image: &mut [u8],
    header: &Header,
    users: impl Iterator<Item = UserRecord>,
    tokens: impl Iterator<Item = BlockRecord>,
) -> Result<usize, EncodeError> {
    let room = |rows: u32| math::to_index(rows.min(MAX_ROWS));
    let needed = size(room(header.tokens), room(header.users));
    let too_small = EncodeError::BufferTooSmall { needed };
    let (image, _) = image.split_at_mut_checked(needed).ok_or(too_small)?;
    let (body, sum) = image.split_last_chunk_mut().ok_or(too_small)?;
    // No earlier image shows through an error.
    *sum = [0; 4];

    let mut writer = Writer { rest: body };
    put_header(&mut writer, header, needed);
    let users = users.map(user_bytes);
    let tokens = tokens.map(block_bytes);
    put_records(&mut writer, room(header.users), users)?;
    put_records(&mut writer, room(header.tokens), tokens)?;
    writer.put(math::low32(header.number).to_le_bytes());
    *sum = crc32(body).to_le_bytes();
    Ok(needed)
}

pub(super) fn put_header(writer: &mut Writer<'_>, header: &Header, size: usize) {
    let calendar = &header.calendar;
    let flag = |set, flag| if set { flag } else { 0 };
    let flags = flag(calendar.age_ms.is_some(), STARTED)
        | flag(calendar.left_ms.is_some(), PACED)
        | flag(calendar.lost, LOST);
    writer.put(MAGIC);
    writer.put([MAJOR, MINOR]);
    writer.put(HEADER_U16.to_le_bytes());
    writer.put(math::from_index(size).to_le_bytes());
    writer.put(header.users.to_le_bytes());
    writer.put(header.tokens.to_le_bytes());
    writer.put(RECORD_U16.to_le_bytes());
    writer.put(RECORD_U16.to_le_bytes());
    writer.put(header.key_check.to_le_bytes());
    writer.put(header.number.to_le_bytes());
    writer.put(calendar.day.unwrap_or(UNKNOWN_DAY).to_le_bytes());
    writer.put(calendar.refills.to_le_bytes());
    writer.put(calendar.age_ms.unwrap_or(0).to_le_bytes());
    writer.put(calendar.left_ms.unwrap_or(0).to_le_bytes());
    writer.put(flags.to_le_bytes());
}

pub(super) fn user_bytes(user: UserRecord) -> [u8; RECORD] {
    let UserRecord { id, used, strikes } = user;
    record(id, used, strikes.to_bits())
}

pub(super) fn block_bytes(token: BlockRecord) -> [u8; RECORD] {
    record(token.id, token.left_ms, 0)
}

fn record(id: u64, first: u32, second: u32) -> [u8; RECORD] {
    (u128::from(id) | (u128::from(first) << 64) | (u128::from(second) << 96)).to_le_bytes()
}

/// Puts the records, and nothing into the rest of their room.
fn put_records(
    writer: &mut Writer<'_>,
    room: usize,
    mut records: impl Iterator<Item = [u8; RECORD]>,
) -> Result<(), EncodeError> {
    for _ in 0..room {
        writer.put(records.next().unwrap_or([0; RECORD]));
    }
    match records.next() {
        None => Ok(()),
        Some(_) => Err(EncodeError::TooManyRecords),
    }
}
