//! Steps of both clocks: onto edges, backwards, far away.

use super::random::Random;
use super::{Generator, Profile, START_MS};

/// What monotonic time does before a line.
#[derive(Clone, Copy, Debug)]
enum Step {
    Small,
    Medium,
    /// To the end of the token's window, or a little after.
    WindowEnd,
    /// Around an edge of the token: its window, its offence period, its block.
    TokenEdge,
    /// Around an edge of the calendar.
    DayEdge,
    BackByLessThanW,
    BackByWOrMore,
    BackFar,
    Far,
}

impl Generator {
    /// The moment of the next line, which is by the member with this index.
    pub(super) fn next_t_ms(&mut self, member: usize) -> u64 {
        let t_ms = i128::from(self.t_ms);
        let window_ms = self.replay.model().policy().window_ms;
        let random = &mut self.random;
        let weights = steps(self.profile, self.burst.is_some());
        let step = if self.t_ms > FAR_MS && random.chance(30) {
            Step::BackFar
        } else {
            random.weighted(&weights)
        };
        let next = match step {
            Step::Small => t_ms + i128::from(random.between(0, 40)),
            Step::Medium => t_ms + i128::from(random.between(41, window_ms + 500)),
            Step::WindowEnd | Step::TokenEdge | Step::DayEdge => {
                let around = if matches!(step, Step::WindowEnd) {
                    [0, 0, 1]
                } else {
                    [-1, 0, 1]
                };
                let around = random.one_of(&around);
                let edges = match step {
                    Step::DayEdge => self.day_edges(),
                    Step::WindowEnd => self.token_edges(member).into_iter().take(1).collect(),
                    _ => self.token_edges(member),
                };
                // Without an edge ahead time stands; an edge behind is met by going back only
                // if it is near.
                let near = t_ms - i128::from(3 * window_ms);
                let edges: Vec<i128> = edges.into_iter().filter(|&edge| edge >= near).collect();
                if edges.is_empty() {
                    t_ms
                } else {
                    self.random.one_of(&edges) + around
                }
            }
            Step::BackByLessThanW => t_ms - i128::from(random.between(1, window_ms - 1)),
            Step::BackByWOrMore => {
                let more = random.one_of(&[0, 1, window_ms, 20 * window_ms, 200 * window_ms]);
                t_ms - i128::from(window_ms + more)
            }
            Step::BackFar => i128::from(random.one_of(&[0, 1, START_MS, self.t_ms / 2])),
            Step::Far => {
                let days = random.one_of(&[1, 1, 2, 3, 400]) * DAY_MS;
                random.weighted(&[(9, t_ms + i128::from(days)), (1, i128::from(LAST_MS))])
            }
        };
        u64::try_from(next.clamp(0, LAST_MS.into())).expect("it was clamped")
    }

    /// The ends of the window, of the offence period and of the block, and around the window's start.
    fn token_edges(&self, member: usize) -> Vec<i128> {
        let model = self.replay.model();
        let Some(id) = self.replay.token(&self.cast[member].caller.token) else {
            return Vec::new();
        };
        let window_ms = i128::from(model.policy().window_ms);
        let mut edges = Vec::new();
        if let Some(start) = model.window_start_ms(id) {
            edges.extend([start + window_ms, start, start - window_ms]);
        }
        if let (Some((start, _)), Some(block)) = (model.offence_period(id), model.policy().block) {
            edges.push(start + i128::from(block.within_ms));
        }
        if let Some(until) = model.blocked_until_ms(id) {
            edges.extend([until, until, until]);
        }
        edges
    }

    /// The moments at which the calendar may advance (D8, D9, D10, D10b).
    fn day_edges(&self) -> Vec<i128> {
        let calendar = self.replay.model().calendar();
        let mut edges: Vec<i128> = [calendar.stale_at_ms(), calendar.earliest_next_ms()]
            .into_iter()
            .flatten()
            .collect();
        edges.push(self.wall.midnight_ms(self.t_ms));
        edges
    }
}

/// How often each step is made.
fn steps(profile: Profile, burst: bool) -> [(u64, Step); 9] {
    let weights = match (profile, burst) {
        // To spend a day, wait for every window's end; to flood, for hardly any.
        (Profile::Days, true) => [1, 0, 30, 0, 0, 0, 0, 0, 0],
        (_, true) => [60, 1, 1, 0, 0, 1, 0, 0, 0],
        (Profile::Edges, _) => [35, 15, 5, 30, 0, 6, 4, 0, 1],
        (Profile::Days, _) => [25, 20, 20, 10, 20, 2, 1, 0, 2],
        (Profile::Clocks, _) => [25, 15, 5, 15, 15, 8, 8, 2, 5],
        (Profile::Flood, _) => [20, 20, 5, 40, 0, 5, 3, 0, 1],
    };
    let steps = [
        Step::Small,
        Step::Medium,
        Step::WindowEnd,
        Step::TokenEdge,
        Step::DayEdge,
        Step::BackByLessThanW,
        Step::BackByWOrMore,
        Step::BackFar,
        Step::Far,
    ];
    std::array::from_fn(|i| (weights[i], steps[i]))
}

/// The wall clock: what it says beside the monotonic one.
#[derive(Clone, Debug)]
pub(super) struct Wall {
    /// UTC at monotonic 0, in Unix seconds.
    offset_s: i64,
    /// The number of readings that are unknown from now on.
    dark: u64,
    /// What the next reading says, whatever the clock says.
    once: Option<i64>,
}

impl Wall {
    pub(super) fn new() -> Self {
        Self {
            offset_s: BASE_S,
            dark: 0,
            once: None,
        }
    }

    /// Reads the clock once.
    pub(super) fn read(&mut self, t_ms: u64) -> Option<i64> {
        if self.dark > 0 {
            self.dark -= 1;
            return None;
        }
        Some(self.once.take().unwrap_or_else(|| self.utc(t_ms)))
    }

    /// Steps the clock: over midnight, by days, for some lines into the unknown, or back to sense.
    pub(super) fn step(&mut self, random: &mut Random, t_ms: u64) {
        let utc = self.utc(t_ms);
        let midnight = (utc.div_euclid(86_400) + 1) * 86_400;
        match random.between(0, 11) {
            0 | 1 => self.dark = random.between(1, 15),
            2 => self.offset_s += midnight - utc + random.one_of(&[-1, 0, 1]),
            3 => self.offset_s += midnight - 86_400 - utc + random.one_of(&[-1, 0, 1]),
            4 => self.offset_s += random.one_of(&[-1, 1, -3_600, 3_600]),
            5 => self.offset_s += 86_400 * random.one_of(&[-1, 1]),
            6 => self.offset_s += 86_400 * random.one_of(&[-30, -2, 2, 30]),
            7 => self.once = Some(random.one_of(&[FLOOR_S - 1, FLOOR_S, END_S - 1, END_S])),
            8 => self.once = Some(random.one_of(&[i64::MIN, -1, 0, i64::MAX])),
            _ => self.offset_s = BASE_S,
        }
    }

    /// The monotonic moment of the next UTC midnight if the clock runs on as it does.
    fn midnight_ms(&self, t_ms: u64) -> i128 {
        let midnight = (self.utc(t_ms).div_euclid(86_400) + 1) * 86_400;
        i128::from(midnight - self.offset_s) * 1_000
    }

    fn utc(&self, t_ms: u64) -> i64 {
        let seconds = i64::try_from(t_ms / 1_000).expect("it is below 2^43 / 1000");
        self.offset_s + seconds
    }
}

/// UTC at monotonic 0: 2024-05-18, in the small hours.
const BASE_S: i64 = 1_716_000_000;
/// The preset's floor, 2020-01-01.
const FLOOR_S: i64 = 1_577_836_800;
/// UTC readings from here on are unknown (SPEC 2).
const END_S: i64 = 1 << 39;
const DAY_MS: u64 = 86_400_000;
/// The last moment of monotonic time (SPEC 2).
const LAST_MS: u64 = (1 << 43) - 1;
/// From here on a trace tends to go back, lest it stand at the last moment.
const FAR_MS: u64 = 1 << 42;
