//! An image that is written in steps, a few rows at a time.

use super::bytes::Writer;
use super::crc::crc32;
use super::write::{block_bytes, put_header, user_bytes};
use super::{BlockRecord, EncodeError, HEADER, Header, RECORD, UserRecord, size};
use crate::math;
use crate::token::HashKey;
use core::fmt;

/// An image under way: the buffer, and how far it is written.
///
/// [`LimiterIn::snapshot_step`](crate::LimiterIn::snapshot_step) copies a few rows into it at a
/// time, so that a critical section around each step is short; what takes long, the key's check
/// value and the checksum, is calculated here, outside of any.
///
/// ```
/// use limiter_core::{HashKey, Instant, Limiter, Policy, snapshot::{self, SnapshotWriter}};
///
/// let key = HashKey::new(*b"provisioned once");
/// let limiter = Limiter::<32, 16>::new(Policy::pipedrive());
/// let now = Instant::from_millis(5_000);
///
/// let mut image = [0; snapshot::size(32, 16)];
/// let mut writer = SnapshotWriter::new(&key, 1, &mut image);
/// let mut steps = 1;
/// while !limiter.snapshot_step(&mut writer, now)? {
///     steps += 1; // with `Shared`, each step is a `with` of its own
/// }
/// assert_eq!((writer.finish(), steps), (Some(image.len()), 7));
///
/// let mut at_once = [0; snapshot::size(32, 16)];
/// limiter.snapshot(&key, 1, &mut at_once, now)?;
/// assert_eq!(image, at_once);
/// # Ok::<(), limiter_core::EncodeError>(())
/// ```
pub struct SnapshotWriter<'a> {
    image: &'a mut [u8],
    key_check: u64,
    number: u64,
    stage: Stage,
    /// The number of refills that the users' records are of, and the table's state that the
    /// tokens' are of.
    pub(crate) refills: u32,
    pub(crate) changes: u32,
    /// The next rows to copy.
    pub(crate) user: u32,
    pub(crate) token: u32,
    /// Blocks that were copied.
    blocks: u32,
    restarts: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Rows,
    /// The rows and the header are there.
    Written {
        users: u32,
        bytes: usize,
    },
}

impl SnapshotWriter<'_> {
    /// Rows that one step copies.
    pub const ROWS_A_STEP: usize = 8;

    /// Restarts of the tokens' part after which one step copies all tokens.
    pub const MOST_RESTARTS: u8 = 3;
}

impl<'a> SnapshotWriter<'a> {
    /// An image of which nothing is written; `number` is as for
    /// [`LimiterIn::snapshot`](crate::LimiterIn::snapshot).
    #[must_use]
    pub fn new(key: &HashKey, number: u64, image: &'a mut [u8]) -> Self {
        Self {
            image,
            key_check: key.check_value(),
            number,
            stage: Stage::New,
            refills: 0,
            changes: 0,
            user: 0,
            token: 0,
            blocks: 0,
            restarts: 0,
        }
    }

    /// Writes number and checksum, and returns how many bytes the image has. `None` if a step is
    /// missing; the buffer then holds no image. *O*(bytes).
    #[must_use]
    pub fn finish(self) -> Option<usize> {
        let Stage::Written { users, bytes } = self.stage else {
            return None;
        };
        let (body, sum) = self.image.get_mut(..bytes)?.split_last_chunk_mut()?;
        let (records, end) = body.split_last_chunk_mut()?;
        // The room for blocks that are not there.
        records.get_mut(blocks_at(users, self.blocks)..)?.fill(0);
        *end = math::low32(self.number).to_le_bytes();
        *sum = crc32(body).to_le_bytes();
        Some(bytes)
    }

    /// Whether all is copied.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self.stage, Stage::Written { .. })
    }

    /// Whether this is the first step; then checks the buffer's size for such a header.
    pub(crate) fn begin(&mut self, tokens: u32, users: u32) -> Result<bool, EncodeError> {
        let needed = size(math::to_index(tokens), math::to_index(users));
        let too_small = EncodeError::BufferTooSmall { needed };
        let image = self.image.get_mut(..needed).ok_or(too_small)?;
        if self.stage != Stage::New {
            return Ok(false);
        }
        // No earlier image shows through a writing that stops half-way.
        let (_, sum) = image.split_last_chunk_mut::<4>().ok_or(too_small)?;
        *sum = [0; 4];
        self.stage = Stage::Rows;
        Ok(true)
    }

    /// Begins the tokens' part anew.
    pub(crate) fn forget_tokens(&mut self, changes: u32) {
        self.changes = changes;
        self.token = 0;
        self.blocks = 0;
    }

    /// Counts a restart, and returns whether there may be more.
    pub(crate) fn may_restart(&mut self) -> bool {
        self.restarts = self.restarts.saturating_add(1);
        self.restarts <= Self::MOST_RESTARTS
    }

    /// Puts the record of the next user.
    pub(crate) fn put_user(&mut self, record: UserRecord) {
        let at = HEADER.wrapping_add(math::to_index(self.user).wrapping_mul(RECORD));
        self.put_at(at, user_bytes(record));
        self.user = self.user.wrapping_add(1);
    }

    /// Puts the next block, behind the records of so many users.
    pub(crate) fn put_block(&mut self, users: u32, block: BlockRecord) {
        self.put_at(blocks_at(users, self.blocks), block_bytes(block));
        self.blocks = self.blocks.wrapping_add(1);
    }

    /// Puts the header, which is the last to be written.
    pub(crate) fn put_header(&mut self, mut header: Header) {
        header.key_check = self.key_check;
        header.number = self.number;
        let bytes = size(math::to_index(header.tokens), math::to_index(header.users));
        let mut writer = Writer { rest: self.image };
        put_header(&mut writer, &header, bytes);
        self.stage = Stage::Written {
            users: header.users,
            bytes,
        };
    }

    fn put_at(&mut self, at: usize, record: [u8; RECORD]) {
        // There always is room: the size was checked at the beginning.
        if let Some(room) = self
            .image
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            *room = record;
        }
    }
}

impl fmt::Debug for SnapshotWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotWriter(..)")
    }
}

/// The place of a block's record.
///
/// OK because an image is below 2^32 bytes.
const fn blocks_at(users: u32, blocks: u32) -> usize {
    let records = math::to_index(users).wrapping_add(math::to_index(blocks));
    HEADER.wrapping_add(records.wrapping_mul(RECORD))
}
