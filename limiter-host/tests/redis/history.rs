//! Whether a history of writes by one user's tokens is one that the model could have had: whether
//! there is an order of its decisions, and a moment of the server's clock for each within the span
//! in which it was asked, with which the model gives the same answers.
//!
//! The order is told by what each decision left of the day. Windows follow from it, and within a
//! window an answer's `reset` tells its moment to the millisecond, once the window's start is known.
//! The starts are the earliest that the spans and the order allow. Refusals by the day come last.

use std::collections::BTreeMap;

use limiter_core::Policy;
use limiter_model as model;
use limiter_suite::model_policy;

use crate::processes::Asked;

/// A window of a token.
#[derive(Debug)]
struct Opened {
    /// The earliest and the latest start, in milliseconds of the server's clock.
    start_ms: u64,
    latest_ms: u64,
    is_full: bool,
}

/// A decision and the window that it was made in.
struct Placed {
    asked: Asked,
    window: usize,
}

/// A history of which the order is known.
#[derive(Default)]
struct Ordered {
    window_ms: u64,
    windows: Vec<Opened>,
    admitted: Vec<Placed>,
    /// Refusals by a window, each with the place of the last admission before it.
    refused: Vec<(usize, Placed)>,
}

/// Checks a history to the end of its day.
///
/// # Panics
///
/// If it is none that the model could have had.
pub(crate) fn check(policy: &Policy, history: Vec<Asked>) {
    let (by_day, others): (Vec<_>, Vec<_>) =
        history.into_iter().partition(|asked| asked.word == "daily");
    let mut ordered = Ordered::new(policy, others);
    ordered.settle();
    let last = ordered.moment(ordered.admitted.last().expect("a day has permits"));
    for asked in &by_day {
        assert!(
            last <= asked.ended_us / 1_000,
            "refused while a permit was left: {asked}"
        );
    }
    ordered.replay(policy);
    println!(
        "{} admitted in {} windows, {} full; {} refused by a window, {} by the day",
        ordered.admitted.len(),
        ordered.windows.len(),
        ordered
            .windows
            .iter()
            .filter(|window| window.is_full)
            .count(),
        ordered.refused.len(),
        by_day.len(),
    );
}

impl Ordered {
    /// Puts decisions in order, and each into its window.
    fn new(policy: &Policy, history: Vec<Asked>) -> Self {
        let daily_limit = u64::from(policy.daily().limit);
        let limit = policy.window_limit(limiter_core::Plan::new(0), limiter_core::Kind::ApiToken);
        let limit = u64::from(limit.expect("a plan"));
        let mut ordered = Self {
            window_ms: policy.window_ms().into(),
            ..Self::default()
        };
        let (admitted, refused): (Vec<_>, Vec<_>) =
            history.into_iter().partition(Asked::is_admitted);
        let mut in_order: BTreeMap<u64, Asked> = BTreeMap::new();
        let count = admitted.len() as u64;
        for asked in admitted {
            in_order.insert(daily_limit - 1 - asked.daily_left, asked);
        }
        assert!(
            count == daily_limit && in_order.keys().copied().eq(0..daily_limit),
            "no permit of the day twice, and none left out"
        );
        let mut refused_after: BTreeMap<u64, Vec<Asked>> = BTreeMap::new();
        for asked in refused {
            assert_eq!(asked.word, "window", "{asked}");
            let after = (daily_limit - 1).checked_sub(asked.daily_left);
            let after = after.unwrap_or_else(|| panic!("refused by no full window: {asked}"));
            refused_after.entry(after).or_default().push(asked);
        }
        let mut newest: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for (i, asked) in in_order {
            let window = match newest.get(&asked.name) {
                Some(&(window, remaining)) if asked.remaining + 1 == remaining => window,
                _ => {
                    let whole = (limit - 1, ordered.window_ms);
                    let given = (asked.remaining, asked.reset_ms);
                    assert_eq!(given, whole, "a window begins whole: {asked}");
                    ordered.windows.push(Opened {
                        start_ms: 0,
                        latest_ms: u64::MAX,
                        is_full: false,
                    });
                    ordered.windows.len() - 1
                }
            };
            newest.insert(asked.name.clone(), (window, asked.remaining));
            ordered.windows[window].is_full = asked.remaining == 0;
            ordered.bound(window, &asked);
            ordered.admitted.push(Placed { asked, window });
            for asked in refused_after.remove(&i).unwrap_or_default() {
                let window = newest
                    .get(&asked.name)
                    .filter(|(_, remaining)| *remaining == 0);
                let Some(&(window, _)) = window else {
                    panic!("refused by no full window: {asked}");
                };
                ordered.bound(window, &asked);
                let place = ordered.admitted.len() - 1;
                ordered.refused.push((place, Placed { asked, window }));
            }
        }
        ordered
    }

    /// A window's start lies where a decision in it, made within its span, says by its reset.
    fn bound(&mut self, window: usize, asked: &Asked) {
        let window_ms = self.window_ms;
        let start = |at_us: u64| (at_us / 1_000 + asked.reset_ms).saturating_sub(window_ms);
        let window = &mut self.windows[window];
        window.start_ms = window.start_ms.max(start(asked.begun_us));
        window.latest_ms = window.latest_ms.min(start(asked.ended_us));
    }

    /// When a decision was made, as its window's start has it.
    fn moment(&self, placed: &Placed) -> u64 {
        self.windows[placed.window].start_ms + self.window_ms - placed.asked.reset_ms
    }

    /// Puts the starts at the earliest with which moments grow along the order, and no window of a
    /// token begins before the end of the one before.
    fn settle(&mut self) {
        let mut bounds = self.bounds();
        while let Some((window, least_ms)) = bounds.into_iter().find(|(window, least_ms)| {
            let Opened { start_ms, .. } = self.windows[*window];
            start_ms < *least_ms
        }) {
            self.windows[window].start_ms = least_ms;
            bounds = self.bounds();
        }
        for (place, window) in self.windows.iter().enumerate() {
            let Opened {
                start_ms,
                latest_ms,
                ..
            } = window;
            assert!(
                start_ms <= latest_ms,
                "window {place} began by {latest_ms}, and not before {start_ms}"
            );
        }
    }

    /// For windows, starts that they do not begin before, as the order and the other starts say.
    fn bounds(&self) -> Vec<(usize, u64)> {
        let mut bounds = Vec::new();
        let mut follows = |before: &Placed, after: &Placed| {
            let least_ms =
                (self.moment(before) + after.asked.reset_ms).saturating_sub(self.window_ms);
            bounds.push((after.window, least_ms));
        };
        for pair in self.admitted.windows(2) {
            follows(&pair[0], &pair[1]);
        }
        for (place, refused) in &self.refused {
            follows(&self.admitted[*place], refused);
            if let Some(next) = self.admitted.get(place + 1) {
                follows(refused, next);
            }
        }
        let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
        for Placed { asked, window } in &self.admitted {
            if let Some(before) = newest.insert(&asked.name, *window)
                && before != *window
            {
                bounds.push((*window, self.windows[before].start_ms + self.window_ms));
            }
        }
        bounds
    }

    /// Has the model decide at the same moments in the same order.
    fn replay(&self, policy: &Policy) {
        let mut model = model::Model::new(model_policy(policy));
        for name in ["a", "b"] {
            model.register(id(name), 1, model::Kind::ApiToken, model::Limit::Plan(0));
        }
        let admitted = self.admitted.iter().enumerate();
        let admitted = admitted.map(|(place, placed)| ((place, 0, 0), placed));
        let refused = self.refused.iter();
        let refused = refused.map(|(place, placed)| ((*place, 1, self.moment(placed)), placed));
        let mut decisions: Vec<_> = admitted.chain(refused).collect();
        decisions.sort_by_key(|(place, _)| *place);
        for (_, placed) in decisions {
            decides(&mut model, self.moment(placed), &placed.asked);
        }
    }
}

fn id(name: &str) -> u64 {
    u64::from(name.as_bytes()[0])
}

/// Has the model decide as a history has it.
fn decides(model: &mut model::Model, at: u64, asked: &Asked) {
    let request = model::Request {
        token: Some(id(&asked.name)),
        method: model::Method::Post,
        origin: model::Origin::Api,
        cost: 1,
    };
    let now = model::Now {
        t_ms: at,
        utc: i64::try_from(at / 1_000).ok(),
    };
    let decision = model.check(&request, now);
    let wanted = (
        decision.word().unwrap_or("admitted"),
        decision.remaining,
        decision.reset_ms,
        decision.daily_left,
        decision.retry_after_ms.unwrap_or(0),
    );
    let given = (
        &*asked.word,
        Some(asked.remaining),
        Some(asked.reset_ms),
        Some(asked.daily_left),
        asked.retry_after_ms,
    );
    assert_eq!(given, wanted, "at {at}: {asked}");
}

fn asked(name: &str, at_ms: u64, word: &str, numbers: [u64; 4]) -> Asked {
    let [remaining, reset_ms, daily_left, retry_after_ms] = numbers;
    Asked {
        name: name.to_owned(),
        begun_us: at_ms * 1_000 - 500,
        ended_us: at_ms * 1_000 + 900,
        word: word.to_owned(),
        remaining,
        reset_ms,
        daily_left,
        retry_after_ms,
    }
}

/// Two permits in 100 ms, five a day, from half past twelve on.
fn sample() -> (Policy, Vec<Asked>) {
    let policy = Policy::builder()
        .window(std::time::Duration::from_millis(100))
        .plan(limiter_core::Plan::new(0), 2, 2)
        .daily_limit(5)
        .build()
        .expect("a policy");
    let noon = 1_716_035_400_000;
    let history = vec![
        asked("a", noon, "admitted", [1, 100, 4, 0]),
        asked("b", noon + 10, "admitted", [1, 100, 3, 0]),
        asked("a", noon + 20, "admitted", [0, 80, 2, 0]),
        asked("a", noon + 40, "window", [0, 60, 2, 60]),
        asked("a", noon + 100, "admitted", [1, 100, 1, 0]),
        asked("a", noon + 110, "admitted", [0, 90, 0, 0]),
        asked("b", noon + 120, "daily", [2, 100, 0, 0]),
    ];
    (policy, history)
}

#[test]
fn takes_a_history_for_what_it_is_in_any_order() {
    let (policy, mut history) = sample();
    history.reverse();
    check(&policy, history);
}

#[test]
#[should_panic(expected = "no permit of the day twice")]
fn finds_a_permit_that_was_given_twice() {
    let (policy, mut history) = sample();
    history[1].daily_left = 4;
    check(&policy, history);
}

#[test]
#[should_panic(expected = "a window begins whole")]
fn finds_a_window_that_gave_a_permit_twice() {
    let (policy, mut history) = sample();
    history[2].remaining = 1;
    history[2].reset_ms = 80;
    history[4].remaining = 0;
    check(&policy, history);
}

#[test]
#[should_panic(expected = "began by")]
fn finds_a_window_that_began_before_the_end_of_the_one_before() {
    let (policy, mut history) = sample();
    history[4].begun_us -= 9_000;
    history[4].ended_us -= 9_000;
    check(&policy, history);
}

#[test]
#[should_panic(expected = "refused by no full window")]
fn finds_a_refusal_while_a_permit_was_left() {
    let (policy, mut history) = sample();
    history[3].name = "b".to_owned();
    check(&policy, history);
}

#[test]
#[should_panic(expected = "began by")]
fn finds_a_refusal_that_came_after_the_end_of_its_window() {
    let (policy, mut history) = sample();
    history[3].begun_us += 80_000;
    history[3].ended_us += 80_000;
    check(&policy, history);
}
