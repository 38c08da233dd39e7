//! What goes in: the policy and the inputs of a decision (SPEC 2). Data only, no rule.

use std::collections::BTreeSet;

/// Describes what is allowed (SPEC 2). Nothing is validated: the model takes what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The window's length `W` in milliseconds.
    pub window_ms: u64,
    /// Permits per window, by plan and then by [`Kind`].
    pub plans: Vec<[u64; 2]>,
    /// The daily limit `D` in permits.
    pub daily_limit: u64,
    /// What happens beyond `D` (D3).
    pub mode: Mode,
    /// The methods that count as writes (D1).
    pub writes: BTreeSet<Method>,
    /// What earns a block; with `None` no offence is counted.
    pub block: Option<Block>,
    /// UTC readings below this are unknown, in Unix seconds.
    pub utc_floor: i64,
}

impl Policy {
    /// Returns the page's numbers and, where the page is silent, SPEC 2's.
    #[must_use]
    pub fn pipedrive() -> Self {
        Self {
            window_ms: 2_000,
            plans: vec![[20, 80], [40, 160], [80, 320], [120, 480]],
            daily_limit: 10_000,
            mode: Mode::Strict,
            writes: BTreeSet::from([Method::Post, Method::Put]),
            block: Some(Block {
                offences: 100,
                within_ms: 60_000,
                duration_ms: 300_000,
                extend_on_hit: false,
            }),
            utc_floor: FLOOR_2020,
        }
    }

    /// Returns the permits per window that `limit` gives to a token of `kind`.
    ///
    /// # Panics
    /// If the limit names a plan that the policy does not have.
    #[must_use]
    pub fn window_limit(&self, kind: Kind, limit: Limit) -> u64 {
        match limit {
            Limit::Own(permits) => permits,
            Limit::Plan(plan) => {
                self.plans[plan][match kind {
                    Kind::ApiToken => 0,
                    Kind::AccessToken => 1,
                }]
            }
        }
    }

    /// Returns the UTC reading if it is a known one (SPEC 2).
    #[must_use]
    pub fn known_utc(&self, utc: Option<i64>) -> Option<i64> {
        utc.filter(|&seconds| seconds >= self.utc_floor && seconds < UTC_END)
    }
}

/// Says what the daily limit does (D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuses what does not fit.
    Strict,
    /// Never refuses, counts on.
    Advisory,
    /// Tolerates some days over the limit, then refuses; forgives after a while.
    FairUse {
        /// The number of strikes that are tolerated.
        tolerated_days: u64,
        /// The number of refills after the last strike that forgive all.
        forgiven_after_days: u64,
    },
}

/// Says what earns a block and how long it lasts (SPEC 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of offences that starts a block.
    pub offences: u64,
    /// The length of an offence period in milliseconds.
    pub within_ms: u64,
    /// The length of a block in milliseconds.
    pub duration_ms: u64,
    /// Whether a request made while blocked starts the block anew (B3).
    pub extend_on_hit: bool,
}

/// Names a token's kind (SPEC 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A user's own API token.
    ApiToken,
    /// An OAuth access token.
    AccessToken,
}

/// Says where a token's window limit comes from (SPEC 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The plan with this index in [`Policy::plans`].
    Plan(usize),
    /// This many permits, whatever the plan.
    Own(u64),
}

/// Names a request's method: those of RFC 9110, PATCH, and one for all others, which no trace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Connect,
    Options,
    Trace,
    Other,
}

/// Says where a request comes from (SPEC 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The public API.
    Api,
    /// A user's action in the user interface.
    Ui,
    /// A webhook delivery.
    Webhook,
}

/// Describes one request (SPEC 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The caller's token, if it sent one.
    pub token: Option<u64>,
    /// The method.
    pub method: Method,
    /// Where it comes from.
    pub origin: Origin,
    /// Its cost in permits, at least 1.
    pub cost: u64,
}

/// Holds one reading of both clocks (SPEC 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic reading in milliseconds. It may be behind an earlier one.
    pub t_ms: u64,
    /// The raw UTC reading in Unix seconds; the model applies the floor and the range itself.
    pub utc: Option<i64>,
}

/// 2020-01-01T00:00:00Z in Unix seconds.
const FLOOR_2020: i64 = 1_577_836_800;
/// UTC readings from here on are unknown.
const UTC_END: i64 = 1 << 39;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preset_holds_the_numbers_of_the_page() {
        let policy = Policy::pipedrive();
        let api: Vec<u64> = (0..4)
            .map(|p| policy.window_limit(Kind::ApiToken, Limit::Plan(p)))
            .collect();
        let oauth: Vec<u64> = (0..4)
            .map(|p| policy.window_limit(Kind::AccessToken, Limit::Plan(p)))
            .collect();
        assert_eq!(api, [20, 40, 80, 120]);
        assert_eq!(oauth, [80, 160, 320, 480]);
        assert_eq!((policy.window_ms, policy.daily_limit), (2_000, 10_000));
        assert_eq!(policy.window_limit(Kind::ApiToken, Limit::Own(7)), 7);
    }

    #[test]
    fn utc_is_unknown_below_the_floor_and_from_two_to_the_39_on() {
        let policy = Policy::pipedrive();
        assert_eq!(policy.known_utc(Some(1_577_836_799)), None);
        assert_eq!(policy.known_utc(Some(1_577_836_800)), Some(1_577_836_800));
        assert_eq!(
            policy.known_utc(Some(549_755_813_887)),
            Some(549_755_813_887)
        );
        assert_eq!(policy.known_utc(Some(549_755_813_888)), None);
        assert_eq!(policy.known_utc(Some(i64::MIN)), None);
        assert_eq!(policy.known_utc(None), None);
    }
}
