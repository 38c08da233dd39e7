//! One token's offences and block (SPEC 6).

use crate::policy::Block;

/// A token's record of abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Abuse {
    pub(crate) period: Option<Period>,
    pub(crate) blocked_until_ms: Option<i128>,
}

/// An offence period. Half-open: `[start, start + within)` (B1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) start_ms: i128,
    pub(crate) count: u64,
}

impl Abuse {
    /// B6, at any decision past O2: a block that has ended is forgotten.
    pub(crate) fn settle(&mut self, now_ms: i128) {
        self.blocked_until_ms = self.blocked_until_ms.filter(|&until| now_ms < until);
    }

    /// B3: the wait of a request made while blocked; `None` if it is not. To be called settled.
    pub(crate) fn hit(&mut self, block: Option<Block>, now_ms: i128) -> Option<i128> {
        let until = self.blocked_until_ms?;
        match block {
            Some(block) if block.extend_on_hit => {
                let duration = i128::from(block.duration_ms);
                self.blocked_until_ms = Some(now_ms + duration);
                Some(duration)
            }
            _ => Some(until - now_ms),
        }
    }

    /// B1, B2: counts one offence.
    pub(crate) fn offend(&mut self, block: Block, now_ms: i128) {
        let running = self
            .period
            .filter(|period| now_ms < period.start_ms + i128::from(block.within_ms));
        let period = match running {
            // B1: at or after its end, or before any, a new period opens.
            None => Period {
                start_ms: now_ms,
                count: 1,
            },
            Some(period) => Period {
                count: period.count + 1,
                ..period
            },
        };
        self.period = Some(period);
        if period.count >= block.offences {
            // B2: the block starts. B4: when it ends, the token has no offences.
            self.blocked_until_ms = Some(now_ms + i128::from(block.duration_ms));
            self.period = None;
        }
    }

    /// T2: no block and no running offence period. Without block parameters nobody can say that
    /// a period has ended, so it runs.
    pub(crate) fn is_like_new(self, block: Option<Block>, now_ms: i128) -> bool {
        let blocked = self.blocked_until_ms.is_some_and(|until| now_ms < until);
        let running = self.period.is_some_and(|period| {
            block.is_none_or(|block| now_ms < period.start_ms + i128::from(block.within_ms))
        });
        !blocked && !running
    }
}
