//! Makes traces that live on the edges of the rules, the same ones for the same seed.
//!
//! A generator replays what it makes, so it knows where the next window, period, block or
//! accounting day ends, and steps to just before, onto and just after it.

mod random;
mod request;
mod time;
pub mod vectors;

use crate::decision::{Outcome, Reason};
use crate::policy::{Kind, Now, Policy};
use crate::trace::{Caller, Event, Replay};
use random::Random;
use time::Wall;

/// Makes an endless trace.
///
/// ```
/// use limiter_model::{Policy, generate::{Generator, Profile}};
///
/// let make = || Generator::new(Policy::pipedrive(), Profile::Edges, 7);
/// let events: Vec<_> = make().take(50).collect();
/// assert!(make().take(50).eq(events));
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    profile: Profile,
    random: Random,
    /// What has been made so far, decided.
    replay: Replay,
    cast: Vec<Member>,
    burst: Option<Burst>,
    t_ms: u64,
    wall: Wall,
}

/// Says which rules a trace is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The edges of windows, costs at and beyond what is left, changes of plan.
    Edges,
    /// The daily quota: spent to the last permit, days that turn.
    Days,
    /// Clocks that stand, step both ways, jump far and are unknown.
    Clocks,
    /// Refusals in a row that earn blocks.
    Flood,
}

/// One token of the trace and what its lines say.
#[derive(Clone, Debug)]
struct Member {
    caller: Caller,
    kind: Kind,
    plan: usize,
}

/// One member sends many lines in a row.
#[derive(Clone, Copy, Debug)]
struct Burst {
    member: usize,
    lines_left: u64,
}

impl Generator {
    /// Makes the generator of a profile; equal arguments make equal traces.
    #[must_use]
    pub fn new(policy: Policy, profile: Profile, seed: u64) -> Self {
        let member = |token: &str, user: &str, kind, plan| Member {
            caller: Caller {
                token: token.into(),
                user: user.into(),
            },
            kind,
            plan,
        };
        Self {
            profile,
            random: Random::new(seed),
            replay: Replay::new(policy),
            cast: vec![
                member("t0", "u0", Kind::ApiToken, 3),
                member("t1", "u0", Kind::ApiToken, 1),
                member("t2", "t2", Kind::ApiToken, 0),
                member("t3", "u0", Kind::AccessToken, 0),
            ],
            burst: None,
            t_ms: START_MS,
            wall: Wall::new(),
        }
    }

    /// Chooses who sends the next line: usually anyone, in a burst always the same.
    fn choose_member(&mut self) -> usize {
        self.burst = self.burst.filter(|burst| burst.lines_left > 0);
        if self.burst.is_none() && self.random.chance(self.profile.burst_percent()) {
            let member = if self.profile == Profile::Days {
                // The highest limit spends a day soonest.
                self.cast[0].plan = 3;
                0
            } else {
                self.random.index(3)
            };
            self.burst = Some(Burst {
                member,
                lines_left: self.random.between(150, 200),
            });
        }
        match &mut self.burst {
            Some(burst) => {
                burst.lines_left -= 1;
                burst.member
            }
            None => self.random.index(self.cast.len()),
        }
    }

    /// A burst has reached what it is for when it is blocked or the day is spent; it soon ends.
    fn shorten_burst(&mut self, outcome: Outcome) {
        if let (Some(burst), Outcome::Refused(Reason::Blocked | Reason::Daily)) =
            (&mut self.burst, outcome)
        {
            burst.lines_left = burst.lines_left.min(12);
        }
    }
}

impl Iterator for Generator {
    type Item = Event;

    /// Makes the next line; a trace never ends.
    fn next(&mut self) -> Option<Event> {
        let index = self.choose_member();
        if self.burst.is_none() && self.random.chance(self.profile.plan_percent()) {
            self.cast[index].plan = self.random.index(4);
        }
        self.t_ms = self.next_t_ms(index);
        if self.burst.is_none() && self.random.chance(self.profile.wall_percent()) {
            self.wall.step(&mut self.random, self.t_ms);
        }
        let now = Now {
            t_ms: self.t_ms,
            utc: self.wall.read(self.t_ms),
        };
        let event = self.request_at(now, index);
        let outcome = self.replay.decide(&event).outcome;
        self.shorten_burst(outcome);
        Some(event)
    }
}

/// How often something happens, in percent of lines.
impl Profile {
    fn burst_percent(self) -> u64 {
        match self {
            Self::Edges => 0,
            Self::Clocks => 1,
            Self::Days | Self::Flood => 3,
        }
    }

    fn plan_percent(self) -> u64 {
        match self {
            Self::Edges => 6,
            Self::Days | Self::Clocks | Self::Flood => 2,
        }
    }

    fn wall_percent(self) -> u64 {
        match self {
            Self::Edges | Self::Flood => 2,
            Self::Days => 8,
            Self::Clocks => 20,
        }
    }
}

/// Where monotonic time starts; not 0, so that it can go back at once.
const START_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Counts the decisions of 4 000 lines by their word; refills count as `refill`.
    fn words(profile: Profile) -> BTreeMap<&'static str, u64> {
        let mut replay = Replay::new(Policy::pipedrive());
        let mut words = BTreeMap::new();
        for event in Generator::new(Policy::pipedrive(), profile, 1).take(4_000) {
            *words
                .entry(replay.decide(&event).word().unwrap_or("admitted"))
                .or_default() += 1;
        }
        words.insert("refill", replay.model().refills());
        words
    }

    #[test]
    fn every_profile_meets_the_rules_it_is_about() {
        for (profile, wanted) in [
            (
                Profile::Edges,
                &["window", "cost_exceeds_limit", "exempt", "unauthenticated"][..],
            ),
            (Profile::Days, &["daily", "window", "refill"]),
            (Profile::Clocks, &["window", "refill", "exempt"]),
            (Profile::Flood, &["blocked", "window"]),
        ] {
            let words = words(profile);
            for word in wanted {
                let count = words.get(word).copied().unwrap_or_default();
                assert!(count >= 30, "{profile:?}: {word} only {count} times");
            }
        }
    }

    #[test]
    fn the_lines_land_before_onto_and_after_the_end_of_a_window() {
        let mut replay = Replay::new(Policy::pipedrive());
        let mut landed = BTreeMap::<i128, u64>::new();
        for event in Generator::new(Policy::pipedrive(), Profile::Edges, 1).take(4_000) {
            let id = event
                .caller
                .as_ref()
                .and_then(|caller| replay.token(&caller.token));
            if let Some(start) = id.and_then(|id| replay.model().window_start_ms(id)) {
                *landed
                    .entry(i128::from(event.now.t_ms) - start)
                    .or_default() += 1;
            }
            replay.decide(&event);
        }
        for age_ms in [-2_000, -1_999, 0, 1_999, 2_000, 2_001] {
            assert!(
                landed.get(&age_ms).is_some_and(|&count| count >= 10),
                "{age_ms}"
            );
        }
    }

    #[test]
    fn every_line_can_be_read_back() {
        for profile in [
            Profile::Edges,
            Profile::Days,
            Profile::Clocks,
            Profile::Flood,
        ] {
            for event in Generator::new(Policy::pipedrive(), profile, 2).take(1_000) {
                assert_eq!(Event::read(&event.line()).as_ref(), Ok(&event));
            }
        }
    }

    #[test]
    fn another_seed_makes_another_trace() {
        let make = |seed| Generator::new(Policy::pipedrive(), Profile::Clocks, seed).take(20);
        assert!(make(1).eq(make(1)));
        assert!(!make(1).eq(make(2)));
    }
}
