//! What the limiter promises to callers and operators, whatever happens.

use core::time::Duration;

use limiter_core::daily::DailyMode;
use limiter_core::policy::PolicyBuilder;
use limiter_core::{
    Decision, Kind, Limiter, Method, Now, Plan, Policy, Reason, Receipt, Registration, Request,
};
use limiter_suite::{Seen, now, token, user};
use proptest::collection::vec;
use proptest::prelude::*;

type Small = Limiter<2, 2>;

/// Token 1 of user 1.
fn limiter(builder: PolicyBuilder) -> Small {
    let mut limiter = Limiter::new(builder.build().unwrap());
    register(&mut limiter, now(0, None));
    limiter
}

fn register(limiter: &mut Small, now: Now) {
    let registration = Registration::new(user(1), Kind::ApiToken, Plan::new(0));
    limiter.register(token(1), registration, now).unwrap();
}

fn policy(window_ms: u32, limit: u32, daily: u32) -> PolicyBuilder {
    Policy::builder()
        .window(Duration::from_millis(window_ms.into()))
        .plan(Plan::new(0), limit, limit)
        .daily_limit(daily)
}

fn request(write: bool, cost: u32) -> Request {
    let method = if write { Method::Post } else { Method::Get };
    Request::new(token(1), method).with_cost(cost.try_into().unwrap())
}

/// How far time goes on, in units: mostly little, and also by windows, hours and days.
fn forward() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0_u64..4,
        2 => Just(10),
        1 => 0_u64..200,
        1 => prop_oneof![Just(3_600_u64), Just(86_399), Just(86_400), 0_u64..400_000],
    ]
}

fn asks() -> impl Strategy<Value = Vec<(u64, bool, u32)>> {
    vec((forward(), any::<bool>(), 1_u32..5), 1..60)
}

/// Any wall clock: each reading one of a few days, or unknown.
fn any_utc() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        1 => Just(None),
        4 => (0_i64..6).prop_map(|day| Some(DAY_0 + day * 86_400)),
        1 => (-5_i64..5).prop_map(|second| Some(DAY_0 + 86_400 + second)),
        1 => (0_i64..1 << 39).prop_map(Some),
    ]
}

/// Any moment, forwards and backwards.
fn any_moment() -> impl Strategy<Value = Now> {
    let moment = prop_oneof![0_u64..10_000, 0_u64..400_000_000, 0_u64..1 << 43];
    (moment, any_utc()).prop_map(|(t_ms, utc)| now(t_ms, utc))
}

/// A wall clock that runs with the monotonic one, both in whole seconds; or UTC is unknown.
fn sane(seconds: u64, known: bool) -> Now {
    let utc = known.then(|| DAY_0 + 40_000 + seconds.cast_signed());
    now(seconds * 1_000, utc)
}

/// An admission that has not been refunded.
struct Charge {
    receipt: Receipt,
    window_start: u64,
    day: u32,
    write: bool,
}

fn sum(charges: &[Charge], of: impl Fn(&&Charge) -> bool) -> u32 {
    let costs = charges
        .iter()
        .filter(of)
        .map(|charge| charge.receipt.cost());
    costs.sum()
}

/// The instants of a wait, in seconds: its beginning, its end, and some between.
fn within(seconds: u64) -> impl Iterator<Item = u64> {
    let some = [1, 2, seconds / 3, seconds / 2, seconds - 1];
    (0..seconds.min(40))
        .chain(some)
        .filter(move |&instant| instant < seconds)
}

fn wait_s(decision: &Decision) -> u64 {
    u64::from(decision.retry_after_ms().expect("a wait")) / 1_000
}

const DAY_0: i64 = 20_000 * 86_400;
const HOUR_MS: u64 = 3_600_000;

proptest! {
    #[test]
    fn w4_d5_refuses_at_every_instant_of_the_promised_wait_and_admits_exactly_at_its_end(
        asks in asks(),
        known: bool,
        windows in 1_u32..30,
    ) {
        let mut limiter = limiter(policy(windows * 1_000, 5, 7));
        let mut seconds = 0;
        for (step, write, cost) in asks {
            seconds += step;
            let request = request(write, cost);
            let decision = limiter.check(&request, sane(seconds, known));
            if decision.is_admitted() {
                continue;
            }
            let wait = wait_s(&decision);
            for instant in within(wait) {
                let at = sane(seconds + instant, known);
                prop_assert!(!limiter.peek(&request, at).is_admitted(), "{instant} of {wait}");
            }
            let end = sane(seconds + wait, known);
            prop_assert!(limiter.peek(&request, end).is_admitted(), "{:?}", decision);
        }
    }

    #[test]
    fn b3_is_blocked_at_every_instant_of_the_promised_wait_and_not_at_its_end(
        asks in asks(),
        offences in 1_u32..4,
        duration in 1_u64..100,
    ) {
        let block = policy(2_000, 5, 7).block(
            offences,
            Duration::from_secs(9),
            Duration::from_secs(duration),
        );
        let mut limiter = limiter(block);
        let mut seconds = 0;
        for (step, write, cost) in asks {
            seconds += step;
            let request = request(write, cost);
            let decision = limiter.check(&request, sane(seconds, true));
            if decision.reason() != Some(Reason::Blocked) {
                continue;
            }
            let wait = wait_s(&decision);
            for instant in within(wait) {
                let peeked = limiter.peek(&request, sane(seconds + instant, true));
                prop_assert_eq!(peeked.reason(), Some(Reason::Blocked));
            }
            let peeked = limiter.peek(&request, sane(seconds + wait, true));
            prop_assert_ne!(peeked.reason(), Some(Reason::Blocked));
        }
    }

    #[test]
    fn w2_admits_never_more_than_l_in_a_window_nor_2_l_in_any_span_of_w(
        asks in asks(),
        limit in 1_u32..9,
    ) {
        let length = 10;
        let mut limiter = limiter(policy(10, limit, u32::MAX));
        let (mut t_ms, mut window, mut admitted) = (0, None, Vec::new());
        for (step, write, cost) in asks {
            t_ms += step;
            if !limiter.check(&request(write, cost), now(t_ms, None)).is_admitted() {
                continue;
            }
            admitted.push((t_ms, cost));
            let (start, used) = window
                .filter(|&(start, _)| t_ms < start + length)
                .unwrap_or((t_ms, 0));
            prop_assert!(used + cost <= limit);
            window = Some((start, used + cost));
        }
        for &(from, _) in &admitted {
            let span = admitted.iter().filter(|&&(at, _)| (from..from + length).contains(&at));
            let sum: u32 = span.map(|&(_, cost)| cost).sum();
            prop_assert!(sum <= 2 * limit, "{sum} in the {length} ms from {from}");
        }
    }

    #[test]
    fn d3_strict_admits_never_more_than_d_on_an_accounting_day_whatever_the_clocks_do(
        asks in vec((any_moment(), 1_u32..5), 1..100),
        daily in 1_u32..9,
    ) {
        let mut limiter = limiter(policy(1, 100, daily));
        let mut used = std::collections::BTreeMap::<u32, u32>::new();
        for (at, cost) in asks {
            if limiter.check(&request(true, cost), at).is_admitted() {
                let today = used.entry(limiter.calendar().refills()).or_default();
                *today += cost;
                prop_assert!(*today <= daily);
            }
        }
    }

    #[test]
    fn m3_d5_no_wait_is_more_than_2_s_longer_than_promised_whatever_the_clocks_do(
        asks in vec((any_moment(), any::<bool>(), 1_u32..7), 1..100),
        window_ms in prop_oneof![Just(1_u32), Just(2_000), Just(86_400_000)],
    ) {
        let block = policy(window_ms, 5, 9).block(
            2,
            Duration::from_secs(60),
            Duration::from_secs(90),
        );
        let mut limiter = limiter(block);
        for (at, write, cost) in asks {
            let decision = limiter.check(&request(write, cost), at);
            if let Some(quota) = decision.quota() {
                prop_assert!((1..window_ms + 2_000).contains(&quota.reset_ms));
                prop_assert!(quota.remaining <= quota.limit);
            }
            let most = match decision.reason() {
                Some(Reason::Window) => window_ms + 1_999,
                Some(Reason::Daily) => 86_400_000,
                Some(Reason::Blocked) => 91_999,
                _ => {
                    prop_assert_eq!(decision.retry_after_ms(), None);
                    continue;
                }
            };
            let wait = decision.retry_after_ms().unwrap();
            prop_assert!((1..=most).contains(&wait), "{:?}", decision);
        }
    }

    #[test]
    fn d10b_any_wall_clock_mints_at_most_2_and_a_refill_for_each_23_h(
        readings in vec((any_utc(), 0_u64..30), 1..300),
    ) {
        let mut limiter = limiter(policy(1, 1, 1));
        let (mut t_ms, mut refilled_at) = (0, Vec::new());
        for (utc, half_hours) in readings {
            // Mostly at short distances.
            t_ms += half_hours.saturating_sub(20) * HOUR_MS / 2 * half_hours % (50 * HOUR_MS);
            let before = limiter.calendar().refills();
            let _ = limiter.check(&request(false, 1), now(t_ms, utc));
            if limiter.calendar().refills() != before {
                refilled_at.push(t_ms);
            }
        }
        for (i, from) in refilled_at.iter().enumerate() {
            for (count, to) in (1_u64..).zip(&refilled_at[i..]) {
                let most = 2 + (to - from).div_ceil(23 * HOUR_MS);
                prop_assert!(count <= most, "{count} from {from} to {to}");
            }
        }
    }

    #[test]
    fn p1_peeking_is_invisible(
        asks in vec((any_moment(), any::<bool>(), 1_u32..7, any_moment()), 1..60),
    ) {
        let block = policy(2_000, 5, 9)
            .block(2, Duration::from_secs(60), Duration::from_secs(90))
            .extend_block_on_hit(true);
        let (mut plain, mut peeked) = (limiter(block), limiter(block));
        for (at, write, cost, other) in asks {
            let request = request(write, cost);
            let _ = peeked.peek(&request, other);
            let promised = Seen::from(&peeked.peek(&request, at));
            let given = Seen::from(&plain.check(&request, at));
            prop_assert_eq!(Seen::from(&peeked.check(&request, at)), given);
            prop_assert_eq!(promised, given);
            prop_assert_eq!(plain.statistics(), peeked.statistics());
        }
    }

    #[test]
    fn p4_revoking_and_registering_is_invisible_while_time_goes_on(
        asks in vec((forward(), any::<bool>(), 1_u32..7, 0_u64..3), 1..60),
    ) {
        let block = policy(2_000, 5, 9).block(2, Duration::from_secs(60), Duration::from_secs(90));
        let (mut plain, mut revoking) = (limiter(block), limiter(block));
        let mut seconds = 0;
        for (step, write, cost, pause) in asks {
            seconds += step;
            revoking.revoke(token(1), sane(seconds, true));
            seconds += pause;
            register(&mut revoking, sane(seconds, true));
            let (request, at) = (request(write, cost), sane(seconds, true));
            let given = Seen::from(&plain.check(&request, at));
            prop_assert_eq!(Seen::from(&revoking.check(&request, at)), given);
        }
    }

    #[test]
    fn p2_what_is_used_is_what_was_charged_to_this_window_and_day_and_not_refunded(
        asks in vec((forward(), any::<bool>(), 1_u32..5, any::<Option<prop::sample::Index>>()), 1..80),
        known: bool,
    ) {
        let mut limiter = limiter(policy(2_000, 9, 30));
        let (mut seconds, mut window_start) = (0, 0);
        let mut charges = Vec::<Charge>::new();
        for (step, write, cost, refund) in asks {
            seconds += step;
            let at = sane(seconds, known);
            if let Some(index) = refund && !charges.is_empty() {
                let charge = charges.remove(index.index(charges.len()));
                limiter.refund(charge.receipt, at);
            }
            let decision = limiter.check(&request(write, cost), at);
            let day = limiter.calendar().refills();
            let quota = decision.quota().unwrap();
            if decision.is_admitted() {
                if quota.reset_ms == 2_000 {
                    window_start = seconds;
                }
                let receipt = decision.into_receipt().unwrap();
                charges.push(Charge { receipt, window_start, day, write });
            }
            let open = seconds < window_start + 2;
            let in_window = sum(&charges, |charge| open && charge.window_start == window_start);
            let today = sum(&charges, |charge| charge.write && charge.day == day);
            prop_assert_eq!(9 - quota.remaining, in_window);
            if write {
                prop_assert_eq!(30 - quota.daily_left.unwrap(), today);
            }
        }
    }

    #[test]
    fn d3_advisory_admits_whatever_the_window_admits(asks in asks()) {
        let advisory = policy(10, 5, 3).daily_mode(DailyMode::Advisory);
        let (mut advised, mut reading) = (limiter(advisory), limiter(policy(10, 5, 3)));
        let mut t_ms = 0;
        for (step, write, cost) in asks {
            t_ms += step;
            let given = advised.check(&request(write, cost), now(t_ms, None));
            let read = reading.check(&request(false, cost), now(t_ms, None));
            prop_assert_eq!(given.outcome(), read.outcome());
        }
    }
}
