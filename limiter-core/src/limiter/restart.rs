//! A limiter over a restart: its image, and what it makes of one (SPEC R1, R3 to R5).

use super::LimiterIn;
use super::rows::{TokenRow, UserRow};
use crate::abuse::Abuse;
use crate::calendar::{Calendar, OffTime};
use crate::daily::Day;
use crate::math;
use crate::rules;
use crate::snapshot::{self, EncodeError, Header, Image, RestoreError, UserRecord};
use crate::time::Instant;
use crate::timeline::TimeLine;
use crate::token::HashKey;

impl<T, U> LimiterIn<T, U>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// Bytes of this limiter's image: [`snapshot::size`] of its rows.
    #[must_use]
    pub fn snapshot_size(&self) -> usize {
        snapshot::size(
            self.tokens.rows::<TokenRow>().len(),
            self.users.rows().len(),
        )
    }

    /// Writes the calendar, the daily counts, the strikes and the blocks into the beginning of
    /// `image` as they are at `now`, and says how many bytes that took. Windows are too short to
    /// matter, and who is registered is for the host to know.
    ///
    /// `number` is the image's own: count up, so that of two images the newer is known. The counts
    /// are exact, so what is admitted after this and before a power cut is lost to the image: it is
    /// for shutting down in order. [`ReservedIn`](super::ReservedIn) is for power that may fail.
    ///
    /// *O*(bytes); does not allocate.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`].
    pub fn snapshot(
        &self,
        key: &HashKey,
        number: u64,
        image: &mut [u8],
        now: Instant,
    ) -> Result<usize, EncodeError> {
        self.write_image(key, number, image, now, |_, record| record)
    }

    /// Takes over what an image holds: restore before the first decision. Tokens may be registered
    /// before or after. A user of the image resumes its count, and a token its block, when
    /// registered; until then their rows stay like those of revoked tokens (P4), and are not evicted
    /// while anything in them counts (T2).
    ///
    /// Marks and blocks go on from `now`, the first reading of a time line that starts anew, as if no
    /// time had passed since the image was made. What
    /// time did pass while the power was off only UTC can tell: `off_time` says whether it is
    /// trusted (R4). *O*(rows + bytes), and one search of the table for each record.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; nothing is changed. An image of lost counts (R5) is for
    /// [`ReservedIn`](super::ReservedIn) alone.
    pub fn restore(
        &mut self,
        key: &HashKey,
        image: &[u8],
        off_time: OffTime,
        now: Instant,
    ) -> Result<Restored, RestoreError> {
        let image = Image::verify(image, key)?;
        if image.header().calendar.lost {
            return Err(RestoreError::CountsLost);
        }
        self.take_over(&image, off_time, now)
    }

    /// Takes over what a whole image holds, if there is room for it.
    pub(super) fn take_over(
        &mut self,
        image: &Image<'_>,
        off_time: OffTime,
        now: Instant,
    ) -> Result<Restored, RestoreError> {
        if self.calendar.is_started() || self.calendar.is_lost() {
            return Err(RestoreError::InUse);
        }
        let restored = self.measure(image)?;
        self.line = TimeLine::new();
        let now = self.line.take(now);
        self.calendar = Calendar::restore(&image.header().calendar, off_time, now);
        let refills = self.calendar.refills();
        for record in image.users() {
            let place = self.users.position(record.id).or_else(|| {
                let place = self.users.vacant(record.id)?;
                self.users.take(place, record.id, refills);
                Some(place)
            });
            if let Some(row) = place.and_then(|place| self.users.get_mut(place)) {
                // Of two records of one user, which no limiter writes, the more counts.
                let used = record.used.max(row.day.settle(refills).used());
                row.day = Day::new(refills, used);
                row.strikes = record.strikes;
            }
        }
        for record in image.blocks() {
            if self.tokens.position::<TokenRow>(record.id).is_none() {
                self.tokens.insert(TokenRow::unregistered(record.id));
            }
            if let Some(row) = self.tokens.find_mut::<TokenRow>(record.id) {
                row.abuse = Abuse::blocked_for(record.left_ms, now);
            }
        }
        self.idle.forget_all();
        Ok(restored)
    }

    /// The image, where `counted` may put other numbers into the record of the user at a place. It
    /// is asked for every row; a vacant one has the record [`UserRecord::EMPTY`].
    pub(super) fn write_image(
        &self,
        key: &HashKey,
        number: u64,
        image: &mut [u8],
        now: Instant,
        mut counted: impl FnMut(u32, UserRecord) -> UserRecord,
    ) -> Result<usize, EncodeError> {
        let now = self.line.peek(now);
        let header = self.header(key.check_value(), number, now);
        let users = (0..).zip(self.users.rows()).map(|(place, row)| {
            let record = counted(place, self.record(row));
            record.or_empty()
        });
        let tokens = self.tokens.rows::<TokenRow>().iter();
        let tokens = tokens.filter_map(|row| row.block(&self.policy, now));
        snapshot::encode(image, &header, users, tokens)
    }

    /// The header of an image that is written now.
    pub(super) fn header(&self, key_check: u64, number: u64, now: Instant) -> Header {
        Header {
            tokens: count(self.tokens.rows::<TokenRow>().len()),
            users: count(self.users.rows().len()),
            key_check,
            number,
            calendar: self.calendar.save(now),
        }
    }

    /// The record of a user's row, as of the accounting day.
    pub(super) fn record(&self, row: &UserRow) -> UserRecord {
        let refills = self.calendar.refills();
        UserRecord {
            id: row.id(),
            used: row.day.settle(refills).used(),
            strikes: rules::standing_strikes(&self.policy, row.strikes, refills),
        }
    }

    /// Whether the limiter has room for all that the image holds. Rows that are taken stay so.
    fn measure(&self, image: &Image<'_>) -> Result<Restored, RestoreError> {
        let (mut users, mut tokens) = (Tally::default(), Tally::default());
        for user in image.users() {
            users.count(self.users.position(user.id).is_some());
        }
        for block in image.blocks() {
            tokens.count(self.tokens.position::<TokenRow>(block.id).is_some());
        }
        let rows = count(self.tokens.rows::<TokenRow>().len());
        if users.new > count(self.users.rows().len()).saturating_sub(self.users.occupied())
            || tokens.new > rows.saturating_sub(self.tokens.occupied())
        {
            return Err(RestoreError::NoRoom {
                users: users.all,
                tokens: tokens.all,
            });
        }
        Ok(Restored {
            number: image.header().number,
            users: users.all,
            tokens: tokens.all,
        })
    }
}

/// What a restore took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Restored {
    /// The image's number.
    pub number: u64,
    /// Users with permits used or strikes.
    pub users: u32,
    /// Blocked tokens.
    pub tokens: u32,
}

/// Records, and those among them that need a row.
#[derive(Default)]
struct Tally {
    all: u32,
    new: u32,
}

impl Tally {
    fn count(&mut self, has_row: bool) {
        self.all = self.all.saturating_add(1);
        if !has_row {
            self.new = self.new.saturating_add(1);
        }
    }
}

/// Rows that count: what is beyond 2^24 is never used.
fn count(rows: usize) -> u32 {
    math::from_index(rows.min(math::to_index(snapshot::MAX_ROWS)))
}
