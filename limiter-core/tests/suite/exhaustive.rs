//! Every sequence of operations up to a depth, over small alphabets, beside the model. Tests run
//! with debug assertions and overflow checks.
//!
//! A tree of cloned states: each edge is one operation on both, and every answer is compared.

use core::time::Duration;

use limiter_core::daily::DailyMode;
use limiter_core::{Kind, Limiter, Plan, Policy, Registered, Registration};
use limiter_model::{self as model, Method, Model, Origin};
use limiter_suite::{Seen, core_request, model_policy, now, token, user};

/// Two permits a window of 2 s, three a day, a block of 5 s after two offences within 3 s.
fn tiny(mode: DailyMode) -> Policy {
    Policy::builder()
        .window(Duration::from_secs(2))
        .plan(Plan::new(0), 2, 2)
        .daily_limit(3)
        .daily_mode(mode)
        .block(2, Duration::from_secs(3), Duration::from_secs(5))
        .build()
        .unwrap()
}

const W: i64 = 2_000;
const HOUR: i64 = 3_600_000;
const FAIR: DailyMode = DailyMode::FairUse {
    tolerated_days: 1,
    forgiven_after_days: 2,
};

#[derive(Clone, Copy, Debug)]
struct Step {
    /// How monotonic time moves first.
    millis: i64,
    wall: Wall,
    act: Act,
}

#[derive(Clone, Copy, Debug)]
enum Wall {
    GoesOn,
    StepsByDays(i64),
    IsUnknown,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Check(Ask),
    /// Checks, and refunds what was admitted after so long.
    Refund(Ask, i64),
    /// Revokes token 1, and registers it again in the same moment.
    Readmit,
    /// Revokes token 1.
    Revoke,
    /// Registers token 1, as it was.
    Register,
    Unblock,
}

/// Who asks for what, at what cost.
type Ask = (u64, Method, u64);

#[derive(Clone)]
struct State {
    limiter: Limiter<3, 2>,
    model: Model,
    t_ms: i64,
    offset_s: i64,
}

impl State {
    /// `api_token`s 1 and 2 of users 1 and 2, and the `access_token` 3 of user 1.
    fn new(policy: Policy) -> Self {
        let mut state = Self {
            limiter: Limiter::new(policy),
            model: Model::new(model_policy(&policy)),
            t_ms: 3 * 24 * HOUR,
            // 30 minutes before a midnight.
            offset_s: 20_000 * 86_400 - 1_800 - 3 * 86_400,
        };
        for (id, owner) in [(1, 1), (2, 2), (3, 1)] {
            state.register(id, owner);
        }
        state
    }

    fn register(&mut self, id: u64, owner: u64) -> Option<Registered> {
        let (kind, model_kind) = match id {
            3 => (Kind::AccessToken, model::Kind::AccessToken),
            _ => (Kind::ApiToken, model::Kind::ApiToken),
        };
        let registration = Registration::new(user(owner), kind, Plan::new(0));
        let (core_now, _) = self.now(Wall::GoesOn);
        self.model
            .register(id, owner, model_kind, model::Limit::Plan(0));
        self.limiter
            .register(token(id), registration, core_now)
            .ok()
    }

    fn now(&self, wall: Wall) -> (limiter_core::Now, model::Now) {
        let utc = match wall {
            Wall::IsUnknown => None,
            _ => Some(self.offset_s + self.t_ms.div_euclid(1_000)),
        };
        let t_ms = u64::try_from(self.t_ms).expect("time starts at 3 days");
        (now(t_ms, utc), model::Now { t_ms, utc })
    }

    /// Does one operation on both; answers whether they agreed.
    fn apply(&mut self, step: Step) -> bool {
        self.t_ms += step.millis;
        if let Wall::StepsByDays(days) = step.wall {
            self.offset_s += days * 86_400;
        }
        let (core_now, model_now) = self.now(step.wall);
        let agreed = match step.act {
            Act::Check(ask) => self.check(ask, step.wall).is_some(),
            Act::Refund(ask, after) => self.check(ask, step.wall).is_some_and(|receipts| {
                self.t_ms += after;
                receipts.is_none_or(|receipts| self.refund(receipts, step.wall))
            }),
            Act::Readmit => {
                let revoked = self.limiter.revoke(token(1), core_now);
                revoked == self.model.revoke(1, model_now) && self.register(1, 1).is_some()
            }
            Act::Revoke => {
                self.limiter.revoke(token(1), core_now) == self.model.revoke(1, model_now)
            }
            Act::Register => self.register(1, 1).is_some(),
            Act::Unblock => {
                self.model.unblock(1);
                self.limiter.unblock(token(1)).is_ok() == self.model.is_known(1)
            }
        };
        let calendar = self.model.calendar();
        agreed
            && self.limiter.calendar().day().map(i64::from) == calendar.day()
            && u64::from(self.limiter.calendar().refills()) == calendar.refills()
    }

    /// `None` if they differ; else the receipts, if any.
    #[expect(clippy::option_option, reason = "the outer one is the verdict")]
    fn check(
        &mut self,
        (id, method, cost): Ask,
        wall: Wall,
    ) -> Option<Option<(limiter_core::Receipt, model::Receipt)>> {
        let request = model::Request {
            token: Some(id),
            method,
            origin: Origin::Api,
            cost,
        };
        let core = core_request(&request);
        let (core_now, model_now) = self.now(wall);
        let peeked = self.limiter.peek(&core, core_now);
        let given = self.limiter.check(&core, core_now);
        let wanted = self.model.check(&request, model_now);
        let seen = Seen::from(&wanted);
        if Seen::from(&given) != seen || Seen::from(&peeked) != seen {
            return None;
        }
        match (given.into_receipt(), wanted.receipt) {
            (Some(given), Some(wanted)) => Some(Some((given, wanted))),
            (None, None) => Some(None),
            _ => None,
        }
    }

    fn refund(
        &mut self,
        (core, model): (limiter_core::Receipt, model::Receipt),
        wall: Wall,
    ) -> bool {
        let (core_now, model_now) = self.now(wall);
        let given = self.limiter.refund(core, core_now);
        let wanted = self.model.refund(model, model_now);
        (u64::from(given.window), u64::from(given.daily)) == (wanted.window, wanted.daily)
    }
}

/// Every sequence of 1 to `depth` steps from here; answers their number.
fn sweep(state: &State, alphabet: &[Step], depth: u32, trail: &mut Vec<Step>) -> u64 {
    let mut count = 0;
    for &step in alphabet {
        let mut next = state.clone();
        trail.push(step);
        assert!(next.apply(step), "they differ at the end of {trail:#?}");
        count += 1;
        if depth > 1 {
            count += sweep(&next, alphabet, depth - 1, trail);
        }
        trail.pop();
    }
    count
}

fn every_sequence(policy: Policy, alphabet: &[Step], depth: u32) -> u64 {
    sweep(&State::new(policy), alphabet, depth, &mut Vec::new())
}

fn product(moves: &[i64], walls: &[Wall], acts: &[Act]) -> Vec<Step> {
    let mut steps = Vec::new();
    for &millis in moves {
        for &wall in walls {
            steps.extend(acts.iter().map(|&act| Step { millis, wall, act }));
        }
    }
    steps
}

/// Forward by nothing, by little, to the very end of a window; back by less and by more than one.
/// Reads and writes of 1 permit, of all, and of more than can ever fit: 20 steps.
fn windows_and_blocks() -> Vec<Step> {
    let acts = [
        Act::Check((1, Method::Get, 1)),
        Act::Check((1, Method::Post, 2)),
        Act::Check((1, Method::Post, 1)),
        Act::Check((1, Method::Get, 3)),
    ];
    product(&[0, 1_000, W, -1_000, -W], &[Wall::GoesOn], &acts)
}

/// Steps of 0, 1, 23 and 24 h, one back; the wall clock goes on, a day ahead, a day back, unknown;
/// writes that fill a day and an access token's that does not count: 40 steps.
fn days() -> Vec<Step> {
    let walls = [
        Wall::GoesOn,
        Wall::StepsByDays(1),
        Wall::StepsByDays(-1),
        Wall::IsUnknown,
    ];
    let acts = [
        Act::Check((1, Method::Post, 2)),
        Act::Check((3, Method::Put, 2)),
    ];
    product(&[0, HOUR, 23 * HOUR, 24 * HOUR, -5 * HOUR], &walls, &acts)
}

/// Two users and an access token, refunds in time, at the end and late, revoking, registering,
/// unblocking: 24 steps.
fn operations() -> Vec<Step> {
    let acts = [
        Act::Check((1, Method::Post, 1)),
        Act::Check((2, Method::Post, 2)),
        Act::Check((3, Method::Get, 2)),
        Act::Refund((1, Method::Post, 2), W - 1),
        Act::Refund((2, Method::Put, 1), W),
        Act::Refund((1, Method::Get, 1), -W),
        Act::Readmit,
        Act::Revoke,
        Act::Register,
        Act::Unblock,
    ];
    let mut steps = product(&[0, W], &[Wall::GoesOn], &acts);
    steps.extend(product(&[5_000], &[Wall::StepsByDays(1)], &acts[..4]));
    steps
}

/// 20 + 20^2 + … + 20^4 sequences of each mode.
#[test]
fn all_168_420_sequences_of_windows_and_blocks_are_the_models_in_each_mode() {
    for mode in [DailyMode::Strict, DailyMode::Advisory, FAIR] {
        assert_eq!(
            every_sequence(tiny(mode), &windows_and_blocks(), 4),
            168_420
        );
    }
}

/// 40 + 40^2 + 40^3 sequences of each mode.
#[test]
fn all_65_640_sequences_of_days_are_the_models_in_each_mode() {
    for mode in [DailyMode::Strict, DailyMode::Advisory, FAIR] {
        assert_eq!(every_sequence(tiny(mode), &days(), 3), 65_640);
    }
}

/// 24 + 24^2 + … + 24^4 sequences.
#[test]
fn all_346_200_sequences_of_operations_are_the_models() {
    let count = every_sequence(tiny(DailyMode::Strict), &operations(), 4);
    assert_eq!(count, 346_200);
}

/// One step deeper: 3 368 420, 2 625 640 and 8 308 824 sequences of each mode.
#[test]
#[ignore = "some minutes"]
fn all_sequences_one_step_longer_are_the_models_in_each_mode() {
    for mode in [DailyMode::Strict, DailyMode::Advisory, FAIR] {
        let policy = tiny(mode);
        assert_eq!(every_sequence(policy, &windows_and_blocks(), 5), 3_368_420);
        assert_eq!(every_sequence(policy, &days(), 4), 2_625_640);
        assert_eq!(every_sequence(policy, &operations(), 5), 8_308_824);
    }
}
