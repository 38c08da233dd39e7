//! The calendar: (monotonic, UTC) into an accounting day (D6 to D10b; over a restart R4, R5).

use crate::restart::OffTime;

/// Turns readings into accounting days, which are told apart by [`Calendar::refills`] (D6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Calendar {
    /// The accounting day as days since 1970, `None` until UTC was first known.
    day: Option<i64>,
    /// How often the calendar has advanced.
    refills: u64,
    /// The last advance, adoption or else the first reading; `None` before the first reading.
    mark_ms: Option<i128>,
    /// D10b's bound; `None` before the first advance.
    earliest_next_ms: Option<i128>,
    /// R4: the next known UTC is the first one after a restart, and `off_time` is `trust`.
    trusts_next_utc: bool,
    /// R5: what was used on the accounting day is lost.
    lost: bool,
}

/// R4: a calendar in an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SavedCalendar {
    day: Option<i64>,
    refills: u64,
    age_ms: Option<i128>,
    left_ms: Option<i128>,
    lost: bool,
}

impl Calendar {
    /// Returns the number of refills so far.
    #[must_use]
    pub fn refills(&self) -> u64 {
        self.refills
    }

    /// Returns the accounting day as days since 1970, `None` until UTC was first known.
    #[must_use]
    pub fn day(&self) -> Option<i64> {
        self.day
    }

    /// Returns when 24 h will have passed since the last advance, adoption or first reading, in
    /// monotonic milliseconds; `None` before the first reading (D9, D10).
    #[must_use]
    pub fn stale_at_ms(&self) -> Option<i128> {
        self.mark_ms.map(|mark| mark + DAY_MS)
    }

    /// Returns the bound of the next advance in monotonic milliseconds; `None` before the first
    /// advance (D10b).
    #[must_use]
    pub fn earliest_next_ms(&self) -> Option<i128> {
        self.earliest_next_ms
    }

    /// R4: the age of the last advance or adoption, and what is left until `earliest_next`. Time may be
    /// a little behind a mark, so an age may be below 0.
    pub(crate) fn save(&self, now_ms: i128) -> SavedCalendar {
        SavedCalendar {
            day: self.day,
            refills: self.refills,
            age_ms: self.mark_ms.map(|mark| now_ms - mark),
            left_ms: self.earliest_next_ms.map(|next| next - now_ms),
            lost: self.lost,
        }
    }

    /// R4: last advance = now - age, `earliest_next` = now + left.
    pub(crate) fn restored(saved: SavedCalendar, off_time: OffTime, now_ms: i128) -> Self {
        Self {
            day: saved.day,
            refills: saved.refills,
            mark_ms: saved.age_ms.map(|age| now_ms - age),
            earliest_next_ms: saved.left_ms.map(|left| now_ms + left),
            trusts_next_utc: off_time == OffTime::Trust,
            lost: saved.lost,
        }
    }

    /// R5: nothing of the accounting day may be spent, until the next advance.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Takes one reading; `utc` is a known reading or none.
    pub(crate) fn feed(&mut self, utc: Option<i64>, now_ms: i128) {
        // D10: without an advance or an adoption, the first reading is the mark.
        let mark = *self.mark_ms.get_or_insert(now_ms);
        let stale = now_ms - mark >= DAY_MS;

        let trusted = self.trusts_next_utc && utc.is_some();
        self.trusts_next_utc &= utc.is_none();
        match (utc.map(utc_day), self.day) {
            // R4: a greater day advances whatever `earliest_next` says, and that becomes now.
            (Some(today), Some(day)) if today > day && trusted => {
                self.earliest_next_ms = None;
                self.advance(Some(today), now_ms);
            }
            // D7: the first known UTC is adopted; nothing is refilled.
            (Some(today), None) => {
                self.day = Some(today);
                self.mark_ms = Some(now_ms);
            }
            // D8: a greater day advances.
            (Some(today), Some(day)) if today > day => self.advance(Some(today), now_ms),
            // D9: a smaller day stays, unless 24 h have passed.
            (Some(today), Some(day)) if today < day && stale => self.advance(Some(today), now_ms),
            (Some(_), Some(_)) => {}
            // D10: unknown for 24 h advances by one.
            (None, day) if stale => self.advance(day.map(|day| day + 1), now_ms),
            (None, _) => {}
        }
    }

    /// Advances to `day`, which refills, unless D10b forbids it.
    fn advance(&mut self, day: Option<i64>, now_ms: i128) {
        self.earliest_next_ms = match self.earliest_next_ms {
            Some(next) if now_ms < next => return,
            Some(next) => Some((next + SPACING_MS).max(now_ms)),
            None => Some(now_ms),
        };
        self.day = day;
        self.refills += 1;
        self.lost = false;
        self.mark_ms = Some(now_ms);
    }

    /// D5 without the window's part: the wait of a request that the day refuses, after this
    /// reading was fed.
    pub(crate) fn wait_ms(&self, utc: Option<i64>, now_ms: i128) -> i128 {
        let end = match (utc, self.day) {
            (Some(utc), Some(day)) => (i128::from(day) + 1) * DAY_MS - i128::from(utc) * 1_000,
            _ => self.mark_ms.map_or(DAY_MS, |mark| mark + DAY_MS - now_ms),
        };
        let bound = self.earliest_next_ms.map_or(0, |next| next - now_ms);
        end.max(0).max(bound)
    }
}

/// The UTC calendar day of Unix seconds.
fn utc_day(utc: i64) -> i64 {
    utc.div_euclid(86_400)
}

/// 24 h: what makes a calendar stale (D9, D10), and the longest wait (D5).
pub(crate) const DAY_MS: i128 = 86_400_000;
/// 23 h between advances (D10b).
const SPACING_MS: i128 = 23 * 3_600_000;
