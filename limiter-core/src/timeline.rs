//! The time line (SPEC 2, M1 to M3): from the readings of a clock to the times of decisions.
//!
//! This file decides what a monotonic reading is worth that comes late, steps back, or is another
//! clock's. Whatever it decides, the times that come out never go back by 2 s or more, so that
//! every other rule may take them as they are. It knows no limit and no UTC.

use crate::time::Instant;

/// A mark that time is measured against, and what readings have disagreed with it.
///
/// ```
/// use limiter_core::{Instant, timeline::TimeLine};
///
/// let at = Instant::from_millis;
/// let mut line = TimeLine::new();
/// assert_eq!(line.take(at(60_000)), at(60_000));
/// assert_eq!(line.take(at(59_001)), at(59_001), "late by less than a second");
/// assert_eq!(line.take(at(59_000)), at(60_000), "an outlier: time stands still");
/// // A clock that was set back is believed once it has gone on for 10 s, and time goes on.
/// assert_eq!(line.take(at(0)), at(60_000));
/// assert_eq!(line.take(at(10_000)), at(60_000));
/// assert_eq!(line.take(at(10_500)), at(60_500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimeLine {
    /// The mark `H`, a second later; 0 before the first reading. With `ASIDE`, no reading is sure
    /// to change nothing.
    end_ms: u64,
    /// What is added to a reading.
    shift_ms: u64,
    /// `F`, a millisecond later; 0 if there is none.
    outlier_ms: u64,
}

impl TimeLine {
    /// Words of the packed form.
    pub const WORDS: usize = 3;

    /// A time line that no reading was taken for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            end_ms: 0,
            shift_ms: 0,
            outlier_ms: 0,
        }
    }

    /// The time that a reading stands for, if taking it is sure to change nothing: the usual case, a
    /// reading less than a second from the mark. Else it may.
    #[must_use]
    #[inline]
    pub const fn steady(&self, reading: Instant) -> Option<Instant> {
        // OK because both are below 2^43.
        let time = reading.as_millis().wrapping_add(self.shift_ms);
        // The mark less a second is excluded, and so is the mark plus a second.
        let left = self.end_ms.wrapping_sub(time).wrapping_sub(1);
        if left < 2 * SECOND_MS - 1 {
            Some(Instant::from_sum(time))
        } else {
            None
        }
    }

    /// Takes a reading and returns the time that it stands for (M1). *O*(1).
    #[inline]
    pub const fn take(&mut self, reading: Instant) -> Instant {
        match self.steady(reading) {
            Some(time) => time,
            None => self.take_slowly(reading),
        }
    }

    /// The time that [`TimeLine::take`] would return, for what only looks.
    #[must_use]
    #[inline]
    pub const fn peek(&self, reading: Instant) -> Instant {
        let mut line = *self;
        line.take(reading)
    }

    /// The time line from its packed form. Every such array is a time line.
    #[must_use]
    #[inline]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [end_ms, shift_ms, outlier_ms] = words;
        Self {
            end_ms,
            shift_ms,
            outlier_ms,
        }
    }

    /// The packed form, for homes that keep the time line in words: atomics, say. The first word is
    /// 0 or has its highest bit set if no reading is steady; the second is what is added to one.
    #[must_use]
    #[inline]
    pub const fn to_words(&self) -> [u64; Self::WORDS] {
        [self.end_ms, self.shift_ms, self.outlier_ms]
    }

    /// The time line whose mark, shift and outlier are these.
    #[must_use]
    pub const fn from_parts(
        mark: Option<Instant>,
        shift_ms: u64,
        outlier: Option<Instant>,
    ) -> Self {
        let Some(mark) = mark else { return Self::new() };
        let mut line = Self {
            shift_ms,
            ..Self::new()
        };
        line.set(mark.as_millis(), outlier);
        line
    }

    /// The mark, `None` before the first reading.
    #[must_use]
    pub const fn mark(&self) -> Option<Instant> {
        if self.end_ms == 0 {
            None
        } else {
            Some(Instant::from_sum(
                (self.end_ms & !ASIDE).wrapping_sub(SECOND_MS),
            ))
        }
    }

    /// What is added to a reading, in milliseconds.
    #[must_use]
    pub const fn shift_ms(&self) -> u64 {
        self.shift_ms
    }

    /// The first of the outliers that no usual reading has followed yet.
    #[must_use]
    pub const fn outlier(&self) -> Option<Instant> {
        match self.outlier_ms.checked_sub(1) {
            Some(outlier) => Some(Instant::from_sum(outlier)),
            None => None,
        }
    }

    #[cold]
    #[inline(never)]
    const fn take_slowly(&mut self, reading: Instant) -> Instant {
        // OK to add in this function because all numbers are below 2^44.
        let time = reading.saturating_add(self.shift_ms);
        let Some(mark) = self.mark() else {
            self.set(time.as_millis(), None);
            return time;
        };
        let (e, h) = (time.as_millis(), mark.as_millis());
        if e.wrapping_add(SECOND_MS) > h && e < h.wrapping_add(SPAN_MS) {
            // M2
            let moves = e >= h.wrapping_add(SECOND_MS);
            self.set(if moves { e } else { h }, None);
            return time;
        }
        // M3: time stands still.
        let first = match self.outlier() {
            Some(first) if is_within(time, first) => first,
            _ => time,
        };
        if time.saturating_since(first) < PATIENCE_MS {
            self.set(h, Some(first));
        } else if e < h {
            self.shift_ms = self.shift_ms.wrapping_add(h.wrapping_sub(e));
            self.set(h, None);
        } else {
            self.set(e, None);
        }
        mark
    }

    const fn set(&mut self, mark_ms: u64, outlier: Option<Instant>) {
        let end_ms = mark_ms.wrapping_add(SECOND_MS);
        self.outlier_ms = match outlier {
            Some(outlier) => outlier.as_millis().wrapping_add(1),
            None => 0,
        };
        // In the last second of monotonic time a sum may have to be cut (M1).
        let all_is_usual = outlier.is_none() && end_ms <= Instant::MAX.as_millis();
        self.end_ms = if all_is_usual { end_ms } else { ASIDE | end_ms };
    }
}

/// Whether `time` is not before `first`, and less than two years after it.
const fn is_within(time: Instant, first: Instant) -> bool {
    let (time, first) = (time.as_millis(), first.as_millis());
    time >= first && time < first.wrapping_add(SPAN_MS)
}

impl Default for TimeLine {
    fn default() -> Self {
        Self::new()
    }
}

const SECOND_MS: u64 = 1_000;
/// How long readings have to disagree, by themselves, before they are believed (M3).
const PATIENCE_MS: u64 = 10_000;
/// Two years and more: a jump forward that is not believed at once (M2, M3).
const SPAN_MS: u64 = 1 << 36;
const ASIDE: u64 = 1 << 63;

#[cfg(test)]
mod tests;
