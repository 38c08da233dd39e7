//! Section 10: what survives a restart, and how a limiter goes on from it. No bytes: a [`Saved`] is
//! what an image says.

use std::collections::BTreeMap;

use crate::abuse::Abuse;
use crate::calendar::{Calendar, SavedCalendar};
use crate::daily::UserDay;
use crate::model::{Model, Token};
use crate::policy::{Kind, Limit, Now, Policy};
use crate::timeline::TimeLine;

/// R4: what the first known UTC after a restart may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffTime {
    /// Advance whatever `earliest_next` says, if its day is greater.
    Trust,
    /// No more than any other.
    Ignore,
}

/// R1: the calendar, the daily counts, the strikes and the blocks.
#[derive(Clone, Debug)]
pub struct Saved {
    calendar: SavedCalendar,
    users: BTreeMap<u64, UserDay>,
    /// R3: by remaining time.
    blocks: BTreeMap<u64, i128>,
}

impl Model {
    /// Returns what an image made at `now` holds.
    #[must_use]
    pub fn save(&self, now: Now) -> Saved {
        let now_ms = self.line.peek(now.t_ms);
        let today = self.calendar.refills();
        let users = self.users.iter().map(|(&id, user)| {
            let record = user.on(today).forgiven(self.policy.mode);
            (id, record)
        });
        let blocks = self.tokens.iter().filter_map(|(&id, token)| {
            let mut abuse = token.abuse;
            abuse.settle(now_ms); // B6
            Some((id, abuse.blocked_until_ms? - now_ms))
        });
        Saved {
            calendar: self.calendar.save(now_ms),
            users: users.collect(),
            blocks: blocks.collect(),
        }
    }

    /// Makes a model that goes on from an image at `now`, the first reading of another time line. It
    /// knows no token; those that are blocked are as if revoked (P4).
    #[must_use]
    pub fn restored(policy: Policy, saved: &Saved, off_time: OffTime, now: Now) -> Self {
        let mut line = TimeLine::default();
        let now_ms = line.take(now.t_ms);
        let blocked = |(&id, left): (&u64, &i128)| {
            let token = Token {
                user: 0,
                kind: Kind::ApiToken,
                limit: Limit::Own(1),
                revoked: true,
                window: None,
                abuse: Abuse {
                    period: None,
                    blocked_until_ms: Some(now_ms + left),
                },
            };
            (id, token)
        };
        Self {
            policy,
            line,
            calendar: Calendar::restored(saved.calendar, off_time, now_ms),
            tokens: saved.blocks.iter().map(blocked).collect(),
            users: saved.users.clone(),
        }
    }

    /// R5, policy `refuse`: storage held something, but nothing whole.
    pub fn lose_state(&mut self) {
        self.calendar.lose();
    }
}
