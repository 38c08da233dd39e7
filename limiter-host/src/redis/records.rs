//! The records that the store holds, as bytes: of a token, of a user, and the calendar.

use super::packed::{Packer, Unpacker};
use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::daily::{Day, Strikes};
use limiter_core::timeline::TimeLine;
use limiter_core::window::Window;
use limiter_core::{Instant, Now, UnixTime};

/// A token's window and conduct, as its key holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenRecord {
    pub(super) window: Window,
    pub(super) abuse: Abuse,
    /// When the key ends, by the server's clock; 0 where the clock is the caller's.
    pub(super) ends_ms: u64,
}

impl TokenRecord {
    const BYTES: usize = 26;

    /// Reads the record; `None` if it is of another version.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut unpacker = versioned(bytes, Self::BYTES)?;
        let state = unpacker.take(1);
        let (start, used) = (unpacker.take(6), unpacker.take(3));
        let (mark, offences) = (unpacker.take(6), unpacker.take(3));
        let ends_ms = unpacker.take(6);
        let open = state & 1;
        Some(Self {
            window: Window::from_bits(used << 44 | open << 43 | start),
            abuse: Abuse::from_bits((state & 2) << 62 | offences << 44 | mark),
            ends_ms,
        })
    }
}

impl TokenRecord {
    /// The record as the scripts write it.
    pub(super) fn pack(&self) -> Vec<u8> {
        let open = u8::from(self.window.is_open());
        let blocked = u8::from(self.abuse.is_blocked());
        let packer = Packer::with_capacity(Self::BYTES)
            .put(1, VERSION)
            .put(1, open + 2 * blocked)
            .put(6, self.window.start().as_millis())
            .put(3, self.window.used());
        put_mark(packer, self.abuse)
            .put(6, self.ends_ms)
            .into_bytes()
    }
}

/// The mark of a conduct and its offences.
fn put_mark(packer: Packer, abuse: Abuse) -> Packer {
    let mark = abuse.to_bits() & ((1 << 44) - 1);
    packer.put(6, mark).put(3, abuse.offences())
}

/// The three numbers that the scripts keep of a conduct: blocked or not, the mark, the offences.
pub(super) fn put_abuse(packer: Packer, abuse: Abuse) -> Packer {
    put_mark(packer.put(1, abuse.is_blocked()), abuse)
}

/// A user's day and strikes, as their key holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UserRecord {
    pub(super) day: Day,
    pub(super) strikes: Strikes,
}

impl UserRecord {
    /// Its last 6 bytes, when the key ends, are for the scripts alone.
    const BYTES: usize = 19;

    /// Reads the record; `None` if it is of another version.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut unpacker = versioned(bytes, Self::BYTES)?;
        let (refills, used) = (unpacker.take_u32(4), unpacker.take_u32(4));
        let (count, last) = (unpacker.take(1), unpacker.take_u32(3));
        Some(Self {
            day: Day::new(refills, used),
            strikes: Strikes::new(u8::try_from(count).unwrap_or(u8::MAX), last),
        })
    }
}

/// Reads the calendar's record, in which the time line is; `None` if it is of another version.
pub(super) fn unpack_calendar(bytes: &[u8]) -> Option<(TimeLine, Calendar)> {
    const BYTES: usize = 46;
    let mut unpacker = versioned(bytes, BYTES)?;
    let fed = unpacker.take(1);
    let last_change = Instant::from_millis(unpacker.take(6));
    let earliest_next_ms = unpacker.take(6);
    let (day, refills) = (unpacker.take_u32(4), unpacker.take_u32(4));
    let calendar = if fed & FED == 0 {
        unfed(refills)
    } else {
        let earliest_next_ms = (fed & PACED != 0).then_some(earliest_next_ms);
        let day = (day != NO_DAY).then_some(day);
        Calendar::from_parts(last_change, earliest_next_ms, day, refills)
    };
    // The moment it was created is also in the answer itself.
    unpacker.take(6);
    let (mark, shift, outlier) = (unpacker.take(6), unpacker.take(6), unpacker.take(6));
    let line = TimeLine::from_parts(
        Some(Instant::from_millis(mark)),
        shift,
        outlier.checked_sub(1).map(Instant::from_millis),
    );
    Some((line, calendar))
}

fn versioned(bytes: &[u8], length: usize) -> Option<Unpacker<'_>> {
    let mut unpacker = Unpacker(bytes);
    (bytes.len() == length && unpacker.take(1) == u64::from(VERSION)).then_some(unpacker)
}

/// A calendar that the store does not have yet. By the server's clock its accounting days are numbered
/// from that of 1970 on.
pub(super) fn new_calendar(now: Now, server_clock: bool) -> Calendar {
    let number = now.utc().filter(|_| server_clock).map_or(0, UnixTime::day);
    unfed(number)
}

/// A calendar that has taken no reading, with a number for its accounting day.
fn unfed(refills: u32) -> Calendar {
    let [today, rest @ ..] = Calendar::new().to_words();
    let [last_change, earliest_next, day] = rest;
    Calendar::from_words([today | u64::from(refills), last_change, earliest_next, day])
}

/// The layout of all records. It stands in the name of every key too, so that instances of two builds
/// whose layouts differ read nothing of each other.
pub(super) const VERSION: u8 = 3;
/// The calendar has taken a reading...
const FED: u64 = 2;
/// ... and advanced.
const PACED: u64 = 1;
const NO_DAY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_numbers_are_where_the_scripts_put_them() {
        let mut bytes = vec![3, 3];
        bytes.extend([0, 0, 0, 0, 1, 2, 0, 0, 7]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 0, 0, 2, 0]);
        let record = TokenRecord::unpack(&bytes).unwrap();
        assert_eq!(record.pack(), bytes);
        assert_eq!(record.window.start(), Instant::from_millis(258));
        assert_eq!((record.window.used(), record.ends_ms), (7, 512));
        assert!(record.abuse.is_blocked());
        assert_eq!(record.abuse.blocked_ms(Instant::from_millis(0)), 1 << 16);

        let user = [3, 0, 0, 0, 5, 0, 0, 0, 9, 2, 0, 0, 4, 0, 0, 0, 0, 0, 0];
        let user = UserRecord::unpack(&user).unwrap();
        assert_eq!(
            (user.day, user.strikes),
            (Day::new(5, 9), Strikes::new(2, 4))
        );
    }

    #[test]
    fn the_calendars_record_has_the_time_line_behind_it() {
        let mut bytes = vec![3, 3];
        bytes.extend([0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0]);
        bytes.extend([0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 8]);
        let (line, calendar) = unpack_calendar(&bytes).unwrap();
        assert_eq!((calendar.day(), calendar.refills()), (Some(9), 4));
        assert_eq!(line.mark(), Some(Instant::from_millis(265)));
        let outlier = Some(Instant::from_millis(7));
        assert_eq!((line.shift_ms(), line.outlier()), (5, outlier));
        // One that only a reading was taken for has no day yet, but its number.
        bytes[1] = 0;
        let (_, calendar) = unpack_calendar(&bytes).unwrap();
        assert_eq!((calendar.day(), calendar.refills()), (None, 4));
    }

    #[test]
    fn a_record_of_another_version_or_length_is_none() {
        assert_eq!(TokenRecord::unpack(&[2; 26]), None);
        assert_eq!(TokenRecord::unpack(&[3; 25]), None);
        assert_eq!(UserRecord::unpack(&[]), None);
        assert_eq!(unpack_calendar(&[2; 46]), None);
        assert_eq!(unpack_calendar(&[3; 28]), None);
    }

    #[test]
    fn a_conduct_is_blocked_or_not_a_mark_and_offences() {
        let abuse = Abuse::from_bits(5 << 44 | 258);
        let bytes = put_abuse(Packer::default(), abuse).into_bytes();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 1, 2, 0, 0, 5]);
    }
}
