//! Small integers decoded into policies, moments and costs, in sight of the model's state: so that
//! a property test shrinks to few and small choices, and lands on every edge there is.
//!
//! Choice 0 is always the plainest one.

use std::time::Duration;

use limiter_core::daily::DailyMode;
use limiter_core::{Method, Methods, Plan, Policy, UnixTime};
use limiter_model::Model;

/// What one operation is decoded from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The operation.
    pub act: u8,
    /// The token.
    pub who: u8,
    /// How monotonic time moves before it.
    pub step: u8,
    /// Which edge, or how far.
    pub which: u8,
    /// How the wall clock moves before it.
    pub wall: u8,
    /// Method and origin; or what is registered, or which receipt.
    pub what: u8,
    /// The cost.
    pub cost: u8,
}

impl From<[u8; 7]> for Choices {
    fn from([act, who, step, which, wall, what, cost]: [u8; 7]) -> Self {
        Self {
            act,
            who,
            step,
            which,
            wall,
            what,
            cost,
        }
    }
}

/// Decodes a policy of tiny limits, so that edges are dense.
///
/// # Panics
///
/// Never: every choice is a valid policy.
#[must_use]
pub fn decode_policy(choices: [u8; 8], blocks: bool) -> Policy {
    let [window, small, large, daily, mode, block, lengths, other] = choices;
    let window_ms = pick(&[2_000, 10, 1, 2, 60_000, 86_400_000], window);
    let limits = [2, 1, 3, 5, 9, 1_048_575];
    let (small, large) = (pick(&limits, small), pick(&limits, large));
    let mode = match mode % 4 {
        0 => DailyMode::Strict,
        1 => DailyMode::Advisory,
        _ => DailyMode::FairUse {
            tolerated_days: (mode / 4) % 3,
            forgiven_after_days: u16::from(mode / 12) % 3 + 1,
        },
    };
    let mut builder = Policy::builder()
        .window(Duration::from_millis(window_ms))
        .plan(Plan::new(0), small, large)
        .plan(Plan::new(1), large, small)
        .daily_limit(pick(&[3, 1, 2, 5, 8, u32::MAX], daily))
        .daily_mode(mode)
        .writes(pick(
            &[
                Methods::POST_PUT,
                Methods::POST_PUT.with(Method::Delete),
                Methods::NONE.with(Method::Get),
            ],
            other,
        ))
        .utc_floor(pick(&[UnixTime::Y2020, UnixTime::EPOCH], other / 3));
    if blocks {
        let [within, duration] = [lengths, lengths / 6].map(|choice| {
            let millis = pick(
                &[
                    window_ms,
                    1,
                    10 * window_ms,
                    60_000,
                    2 * HOUR_MS,
                    (u32::MAX - 2_000).into(),
                ],
                choice,
            );
            Duration::from_millis(millis.min((u32::MAX - 2_000).into()))
        });
        builder = builder
            .block(pick(&[2, 1, 3, 5], block), within, duration)
            .extend_block_on_hit(block / 4 % 2 == 1);
    }
    builder.build().expect("every choice is a valid policy")
}

/// Both clocks of a run.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    pub(crate) t_ms: u64,
    /// UTC at monotonic 0.
    offset_s: i64,
    dark: bool,
    /// Whether monotonic time never goes back.
    forward_only: bool,
}

impl Clocks {
    pub(crate) fn new(forward_only: bool) -> Self {
        Self {
            t_ms: START_MS,
            offset_s: BASE_S,
            dark: false,
            forward_only,
        }
    }

    /// Moves both clocks as chosen; answers the reading of UTC.
    pub(crate) fn step(&mut self, model: &Model, token: u64, choices: Choices) -> Option<i64> {
        let next = self.next_t_ms(model, token, choices).clamp(0, LAST_MS);
        let next = u64::try_from(next).expect("it was clamped");
        self.t_ms = if self.forward_only {
            next.max(self.t_ms)
        } else {
            next
        };
        self.next_utc(choices)
    }

    /// Begins another monotonic time, at `t_ms`, while UTC goes on for `off_s`.
    pub(crate) fn restart(&mut self, t_ms: u64, off_s: i64) {
        let seconds = |t_ms: u64| i64::try_from(t_ms / 1_000).expect("it is below 2^43 / 1000");
        self.offset_s += seconds(self.t_ms) - seconds(t_ms) + off_s;
        self.t_ms = t_ms;
    }

    fn next_t_ms(&self, model: &Model, token: u64, choices: Choices) -> i128 {
        let t_ms = i128::from(self.t_ms);
        let window_ms = i128::from(model.policy().window_ms);
        let which = usize::from(choices.which);
        // Edges are on the time line: the reading that stands for one is less by the shift.
        let shift_ms = model.time_line().shift_ms();
        let edge = |edges: Vec<i128>| match edges.len() {
            0 => t_ms,
            n => edges[which / 3 % n] + [0, -1, 1][which % 3] - shift_ms,
        };
        match choices.step % 20 {
            0..=5 => t_ms,
            6 | 14 => t_ms + 1,
            7 | 13 => t_ms + i128::from(choices.which) % window_ms,
            8..=11 => edge(token_edges(model, token)),
            12 => edge(self.day_edges(model)),
            15 => t_ms - 1 - i128::from(choices.which) % window_ms,
            16 => t_ms - window_ms * pick(&[1, 2, 20], choices.which / 3) + [0, -1, 1][which % 3],
            17 if self.forward_only => t_ms + i128::from(pick(&FAR_MS[..6], choices.which)),
            17 => t_ms + i128::from(pick(&FAR_MS, choices.which)),
            19 if choices.which < 240 => edge(line_edges(model, self.forward_only)),
            18 if choices.which > 240 && !self.forward_only => {
                LAST_MS - i128::from(choices.which % 3)
            }
            18 => t_ms / i128::from(choices.which % 3 + 1),
            _ => 0,
        }
    }

    /// The moments at which the calendar may advance (D8, D9, D10, D10b).
    fn day_edges(&self, model: &Model) -> Vec<i128> {
        let calendar = model.calendar();
        let midnight_s = (self.utc().div_euclid(86_400) + 1) * 86_400;
        let midnight_ms = i128::from(midnight_s - self.offset_s) * 1_000;
        // By this clock, so that the shift is in it already.
        let mut edges = vec![midnight_ms + model.time_line().shift_ms()];
        edges.extend(calendar.stale_at_ms());
        edges.extend(calendar.earliest_next_ms());
        edges
    }

    fn next_utc(&mut self, choices: Choices) -> Option<i64> {
        let utc = self.utc();
        let midnight = utc.div_euclid(86_400) * 86_400;
        let choice = choices.wall / 32;
        let around = pick(&[0, -1, 1], choice);
        match choices.wall % 32 {
            0..=8 | 17..=30 => {}
            9 => return None,
            10 => self.dark = !self.dark,
            11 => self.offset_s += midnight + 86_400 - utc + around,
            12 => self.offset_s += midnight - utc + around,
            13 => self.offset_s += 86_400 * pick(&[1, -1, 2, -2, 30, -30, 4_000], choice),
            14 => self.offset_s += pick(&[3_600, -3_600, 1, -1], choice),
            15 => return Some(pick(&ODD_UTC, choice)),
            _ => (self.offset_s, self.dark) = (BASE_S, false),
        }
        (!self.dark).then(|| self.utc())
    }

    fn utc(&self) -> i64 {
        self.offset_s + i64::try_from(self.t_ms / 1_000).expect("it is below 2^43 / 1000")
    }
}

/// The times at which a reading is an outlier or moves the mark, and at which outliers are believed.
fn line_edges(model: &Model, forward_only: bool) -> Vec<i128> {
    let line = model.time_line();
    let mut edges = Vec::new();
    if let Some(mark) = line.mark_ms() {
        edges.extend([mark, mark - 1_000, mark + 1_000, mark - 11_000]);
        if !forward_only {
            edges.push(mark + (1 << 36));
        }
    }
    // Twice, for it is what a row of outliers is for.
    edges.extend(line.believed_at_ms());
    edges.extend(line.believed_at_ms());
    edges
}

/// The moments at which something of the token changes.
fn token_edges(model: &Model, token: u64) -> Vec<i128> {
    let window_ms = i128::from(model.policy().window_ms);
    let mut edges = Vec::new();
    if let Some(start) = model.window_start_ms(token) {
        edges.extend([start + window_ms, start]);
    }
    if let Some(block) = model.policy().block {
        if let Some((start, _)) = model.offence_period(token) {
            edges.extend([start + i128::from(block.within_ms), start]);
        }
        if let Some(until) = model.blocked_until_ms(token) {
            edges.extend([until, until]);
        }
    }
    edges
}

/// Decodes a cost, often one at the edge of what is left.
pub(crate) fn decode_cost(choice: u8, limit: u64, left: u64, left_today: u64, daily: u64) -> u64 {
    let cost = match choice % 32 {
        0..=13 => 1,
        14..=16 => 2,
        17..=20 => left,
        21..=23 => left + 1,
        24..=26 => left_today,
        27 | 28 => left_today + 1,
        29 => limit + u64::from(choice / 32 % 2),
        30 => daily + u64::from(choice / 32 % 2),
        _ => pick(&[3, u32::MAX.into()], choice / 32),
    };
    cost.clamp(1, u32::MAX.into())
}

pub(crate) fn pick<T: Copy>(list: &[T], choice: u8) -> T {
    list[usize::from(choice) % list.len()]
}

/// UTC at monotonic 0: 2024-05-18, in the small hours.
const BASE_S: i64 = 1_716_000_000;
/// Readings around the floor and the end of what is known.
const ODD_UTC: [i64; 10] = [
    1_577_836_799,
    1_577_836_800,
    (1 << 39) - 1,
    1 << 39,
    -1,
    0,
    86_399,
    86_400,
    i64::MIN,
    i64::MAX,
];
/// Jumps: an hour, 23 h, a day, years.
const FAR_MS: [u64; 7] = [
    HOUR_MS,
    23 * HOUR_MS,
    24 * HOUR_MS,
    24 * HOUR_MS - 1,
    49 * HOUR_MS,
    366 * 24 * HOUR_MS,
    3_660 * 24 * HOUR_MS,
];
const HOUR_MS: u64 = 3_600_000;
/// Where time starts; not 0, so that it can go back at once.
const START_MS: u64 = 5_000_000;
/// The last moment of monotonic time.
const LAST_MS: i128 = (1 << 43) - 1;
