//! The time line: a monotonic reading into the time of a decision (M1 to M3).

/// Turns readings of a clock into times that never go back by 2 s or more (M1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TimeLine {
    /// The mark `H`; `None` before the first reading.
    mark_ms: Option<i128>,
    /// What is added to a reading.
    shift_ms: i128,
    /// `F`: the earliest of the outliers that nothing else has followed yet.
    outlier_ms: Option<i128>,
}

impl TimeLine {
    /// M1: takes a reading and returns the time of the decision, `now`.
    pub(crate) fn take(&mut self, t_ms: u64) -> i128 {
        let e = (i128::from(t_ms) + self.shift_ms).min(LAST_MS);
        // M1: the first reading sets the mark.
        let h = *self.mark_ms.get_or_insert(e);
        if h - SECOND_MS < e && e < h + SPAN_MS {
            // M2
            self.outlier_ms = None;
            if e >= h + SECOND_MS {
                self.mark_ms = Some(e);
            }
            return e;
        }
        // M3: time stands still.
        let f = match self.outlier_ms {
            Some(f) if e >= f && e < f + SPAN_MS => f,
            _ => e,
        };
        self.outlier_ms = Some(f);
        if e - f >= 10 * SECOND_MS {
            // M3: all readings have been outliers for 10 s of their own, and are believed.
            if e < h {
                self.shift_ms += h - e;
            } else {
                self.mark_ms = Some(e);
            }
            self.outlier_ms = None;
        }
        h
    }

    /// Returns what [`take`](Self::take) would return, and changes nothing.
    pub(crate) fn peek(mut self, t_ms: u64) -> i128 {
        self.take(t_ms)
    }

    /// Returns the mark `H` in monotonic milliseconds, `None` before the first reading.
    #[must_use]
    pub fn mark_ms(&self) -> Option<i128> {
        self.mark_ms
    }

    /// Returns what is added to a reading, in milliseconds.
    #[must_use]
    pub fn shift_ms(&self) -> i128 {
        self.shift_ms
    }

    /// Returns the reading, less the shift, from which on outliers are believed; `None` if the last
    /// reading was none.
    #[must_use]
    pub fn believed_at_ms(&self) -> Option<i128> {
        self.outlier_ms.map(|f| f + 10 * SECOND_MS)
    }
}

const SECOND_MS: i128 = 1_000;
/// Two years and more: a jump forward that is not believed at once (M2, M3).
const SPAN_MS: i128 = 1 << 36;
/// The last moment of monotonic time (M1).
const LAST_MS: i128 = (1 << 43) - 1;
