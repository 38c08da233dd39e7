//! One user's day (D1 to D4): what is used on this accounting day, and strikes.

use crate::policy::{Kind, Method, Mode, Origin, Policy};

/// A user's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct UserDay {
    /// The accounting day that `used` belongs to, as a number of refills (D6).
    day: u64,
    used: u64,
    strikes: u64,
    /// The accounting day of the last strike, as a number of refills.
    last_strike: Option<u64>,
}

impl UserDay {
    /// D6: the record as it is on accounting day `today`; one of another day starts at 0.
    pub(crate) fn on(self, today: u64) -> Self {
        if self.day == today {
            self
        } else {
            Self {
                day: today,
                used: 0,
                ..self
            }
        }
    }

    /// D3: forgets all strikes once enough refills have followed the last one.
    pub(crate) fn forgiven(self, mode: Mode) -> Self {
        match (mode, self.last_strike) {
            (
                Mode::FairUse {
                    forgiven_after_days,
                    ..
                },
                Some(last),
            ) if self.day - last >= forgiven_after_days => Self {
                strikes: 0,
                last_strike: None,
                ..self
            },
            _ => self,
        }
    }

    /// D3: evaluates a request; answers whether the day refuses it. May make today a strike.
    pub(crate) fn evaluate(&mut self, mode: Mode, limit: u64, cost: u64) -> bool {
        let over = u128::from(self.used) + u128::from(cost) > u128::from(limit);
        match mode {
            Mode::Strict => over,
            Mode::Advisory => false,
            Mode::FairUse { tolerated_days, .. } => {
                if over && self.last_strike != Some(self.day) {
                    self.strikes += 1;
                    self.last_strike = Some(self.day);
                }
                over && self.strikes > tolerated_days
            }
        }
    }

    /// D3: counts, saturating.
    pub(crate) fn charge(&mut self, cost: u64) {
        self.used = self.used.saturating_add(cost);
    }

    /// P2: gives back at most what is used; answers how much.
    pub(crate) fn give_back(&mut self, cost: u64) -> u64 {
        let back = cost.min(self.used);
        self.used -= back;
        back
    }

    /// D4: `D - used`, never below 0.
    pub(crate) fn left(self, limit: u64) -> u64 {
        limit.saturating_sub(self.used)
    }

    pub(crate) fn used(self) -> u64 {
        self.used
    }

    pub(crate) fn strikes(self) -> u64 {
        self.strikes
    }
}

/// D1: a write, by an `api_token`, of origin `api`.
pub(crate) fn counts_daily(policy: &Policy, kind: Kind, method: Method, origin: Origin) -> bool {
    policy.writes.contains(&method) && kind == Kind::ApiToken && origin == Origin::Api
}
