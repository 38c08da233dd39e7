//! The straight way through a decision beside the whole one.

use core::time::Duration;
use std::num::NonZeroU32;

use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::daily::{DailyMode, Day, Strikes};
use limiter_core::rules::{self, Account, Standing};
use limiter_core::window::Window;
use limiter_core::{HashKey, Instant, Kind, Method, Now, Plan, Policy, Request, UnixTime};
use proptest::prelude::*;

const MODES: [DailyMode; 3] = [
    DailyMode::Strict,
    DailyMode::Advisory,
    DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 2,
    },
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn admits_at_once_what_fits_all_limits_and_leaves_the_rest(
        (now_ms, start_ms) in (0_u64..9_000, 0_u64..9_000),
        (limit, used, cost) in (1_u32..6, 0_u32..6, 1_u32..6),
        (day, daily_used, daily_limit) in (0_u32..3, 0_u32..6, 1_u32..6),
        (abuse, mode, refills) in (0_usize..3, 0_usize..3, 0_u32..3),
        (write, open) in any::<(bool, bool)>(),
    ) {
        let token = HashKey::new([1; 16]).token(b"t");
        let second = Duration::from_secs(1);
        let policy = Policy::builder().window(Duration::from_secs(2)).plan(Plan::new(0), 9, 9).daily_limit(daily_limit);
        let policy = policy.daily_mode(MODES[mode]).block(3, second, 5 * second).build().unwrap();
        let mut calendar = Calendar::new();
        let at = |day: u64, ms| {
            Now::new(Instant::from_millis(day * 86_400_000 + ms), UnixTime::from_secs((20_000 + day) * 86_400))
        };
        for day in 0..=u64::from(refills) {
            calendar.feed(at(day, 0));
        }
        let today = u64::from(refills);
        let now = at(today, now_ms);
        let rule = policy.block().unwrap();
        let offences = 0..[0, 2, 3][abuse];
        let mut abuse = offences.fold(Abuse::CLEAN, |abuse, _| abuse.offend(at(today, start_ms).monotonic(), &rule));
        let mut window = if open { Window::CLOSED.charge(at(today, start_ms).monotonic(), used) } else { Window::CLOSED };
        let (mut day, mut strikes) = (Day::new(day, daily_used), Strikes::NONE);
        let request = Request::new(token, if write { Method::Post } else { Method::Get });
        let request = request.with_cost(NonZeroU32::new(cost).unwrap());

        let standing = Standing { limit, window, abuse, day: write.then_some(day) };
        let charge = rules::admit(&policy, calendar.refills(), standing, &request, now.monotonic());
        let before = abuse;
        let new_day = write && day.refills() != calendar.refills();
        let account = Account {
            token,
            kind: Kind::ApiToken,
            limit,
            window: &mut window,
            abuse: &mut abuse,
            user: 7,
            daily: write.then_some((&mut day, &mut strikes)),
        };
        let decision = rules::decide(&policy, &calendar, account, &request, now);
        if let Some(charge) = charge {
            prop_assert_eq!((charge.window, before), (window, abuse));
            prop_assert_eq!(charge.day, write.then_some(day));
            prop_assert!(strikes.is_none());
            let at_once = charge.decision(token, 7, &request);
            prop_assert_eq!(&at_once, &decision);
            prop_assert_eq!(at_once.into_receipt(), decision.into_receipt());
        } else {
            // What is admitted all the same is over the daily limit, or its block was over, or it
            // is the user's first of the day.
            let over = decision.quota().and_then(|quota| quota.daily_left) == Some(0) && mode != 0;
            let unusual = over || before.is_blocked() || new_day;
            prop_assert!(!decision.is_admitted() || unusual, "{:?}", decision);
        }
    }
}
