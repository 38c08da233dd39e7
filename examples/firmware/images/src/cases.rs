//! The situations whose decision is measured, in tables that are filled at random, the same random each time.

use core::num::{NonZeroU32, NonZeroU64};

use limiter_core::daily::DailyMode;
use limiter_core::{
    Decision, Instant, Kind, Limiter, Method, Now, Outcome, Plan, Policy, Reason, Registration,
    Request, TokenId, TokenLimit, UnixTime, UserId,
};

/// The limiter that is measured.
pub type Sample = Limiter<ROWS, 16>;

/// A situation, and the request that meets it.
pub struct Case {
    /// As the table of figures has it.
    pub name: &'static str,
    /// Brings a limiter in which the token has an open window into the situation.
    pub prepare: fn(&mut Sample, TokenId),
    /// The request's method.
    pub method: Method,
    /// When it comes.
    pub now: Now,
    /// What it must be answered; anything else would mean that something else was measured.
    pub outcome: Outcome,
}

impl Case {
    /// The request that is measured.
    pub fn request(&self, token: TokenId) -> Request {
        Request::new(token, self.method)
    }
}

/// The cases of everyday, which the table shows one by one.
pub static USUAL: [Case; 5] = [
    Case {
        name: "read admitted",
        prepare: |_, _| {},
        method: Method::Get,
        now: SOON,
        outcome: Outcome::Admitted,
    },
    Case {
        name: "write admitted",
        prepare: |_, _| {},
        method: Method::Post,
        now: SOON,
        outcome: Outcome::Admitted,
    },
    Case {
        name: "read refused by window",
        prepare: exhaust_window,
        method: Method::Get,
        now: SOON,
        outcome: Outcome::Refused(Reason::Window),
    },
    Case {
        name: "write refused by day",
        prepare: exhaust_day,
        method: Method::Post,
        now: SOON,
        outcome: Outcome::Refused(Reason::Daily),
    },
    Case {
        name: "read refused by block",
        prepare: |limiter, token| {
            exhaust_window(limiter, token);
            offend(limiter, token, 100);
        },
        method: Method::Get,
        now: SOON,
        outcome: Outcome::Refused(Reason::Blocked),
    },
];

/// The cases that were tried in search of the worst, besides the usual ones.
pub static UNUSUAL: [Case; 8] = [
    Case {
        name: "both limits refuse",
        prepare: exhaust_both,
        method: Method::Post,
        now: SOON,
        outcome: Outcome::Refused(Reason::Daily),
    },
    Case {
        name: "both limits refuse while a new day is held back",
        prepare: |limiter, token| {
            // Two advances need no pause between them, the third does (D10b).
            for (later_ms, utc_s) in [(101, UTC_S + DAY_S), (102, UTC_S + 2 * DAY_S)] {
                let _ = decide(
                    limiter,
                    &Request::new(token, Method::Get),
                    at(later_ms, Some(utc_s)),
                );
            }
            exhaust_both(limiter, token);
        },
        method: Method::Post,
        now: at(110, Some(UTC_S + 3 * DAY_S)),
        outcome: Outcome::Refused(Reason::Daily),
    },
    Case {
        name: "the offence that earns the block",
        prepare: |limiter, token| {
            exhaust_both(limiter, token);
            offend(limiter, token, 99);
        },
        method: Method::Post,
        now: SOON,
        outcome: Outcome::Refused(Reason::Daily),
    },
    Case {
        name: "first write of a new day",
        prepare: exhaust_both,
        method: Method::Post,
        now: at(DAY_S * 1000, Some(UTC_S + DAY_S)),
        outcome: Outcome::Admitted,
    },
    Case {
        name: "first write 25 h later, without UTC",
        prepare: exhaust_both,
        method: Method::Post,
        now: at(25 * 3_600_000, None),
        outcome: Outcome::Admitted,
    },
    Case {
        name: "both limits refuse after a long step back of all clocks",
        prepare: exhaust_both,
        method: Method::Post,
        now: Now::new(
            Instant::from_millis(START_MS - 500_000),
            UnixTime::from_secs(UTC_S - DAY_S),
        ),
        outcome: Outcome::Refused(Reason::Daily),
    },
    Case {
        name: "both limits refuse under fair use",
        prepare: |limiter, token| {
            exhaust_both(limiter, token);
            let mode = DailyMode::FairUse {
                tolerated_days: 0,
                forgiven_after_days: 30,
            };
            let builder = Policy::pipedrive_builder().daily_mode(mode);
            if let Ok(policy) = builder.build() {
                let _ = limiter.set_policy(policy);
            }
        },
        method: Method::Post,
        now: SOON,
        outcome: Outcome::Refused(Reason::Daily),
    },
    Case {
        name: "the block's end, the window's end, a new day",
        prepare: |limiter, token| {
            exhaust_both(limiter, token);
            offend(limiter, token, 100);
        },
        method: Method::Post,
        now: at(DAY_S * 1000, Some(UTC_S + DAY_S)),
        outcome: Outcome::Admitted,
    },
];

/// Registers the first `count` tokens of a filling, and opens the window of each.
pub fn fill(limiter: &mut Sample, filling: u64, count: usize) {
    limiter.clone_from(&EMPTY);
    for index in 0..count {
        let token = token(filling, index);
        let user = UserId::from_hash(random(filling, 1_000 + index % 16));
        let registration = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
        // OK because the caller counts; if it did not, the outcomes would tell.
        let _ = limiter.register(token, registration, at(0, Some(UTC_S)));
        let _ = decide(
            limiter,
            &Request::new(token, Method::Get),
            at(0, Some(UTC_S)),
        );
    }
}

/// A token of a filling: registered if `index` is below the filling's count.
pub fn token(filling: u64, index: usize) -> TokenId {
    TokenId::from_hash(random(filling, index))
}

/// Uses permits of the token's day and earns it a block.
pub fn block(limiter: &mut Sample, token: TokenId) {
    spend(limiter, token, Method::Post, 1);
    exhaust_window(limiter, token);
    offend(limiter, token, 100);
}

fn exhaust_window(limiter: &mut Sample, token: TokenId) {
    spend(limiter, token, Method::Get, 39);
}

fn exhaust_day(limiter: &mut Sample, token: TokenId) {
    // A window that holds a whole day, and then some.
    let _ = limiter.update(token, TokenLimit::Own(20_000));
    spend(limiter, token, Method::Post, 10_000);
}

fn exhaust_both(limiter: &mut Sample, token: TokenId) {
    exhaust_day(limiter, token);
    let _ = limiter.update(token, TokenLimit::Own(10));
}

fn spend(limiter: &mut Sample, token: TokenId, method: Method, permits: u32) {
    if let Some(cost) = NonZeroU32::new(permits) {
        let _ = decide(
            limiter,
            &Request::new(token, method).with_cost(cost),
            at(101, Some(UTC_S)),
        );
    }
}

fn offend(limiter: &mut Sample, token: TokenId, times: usize) {
    for _ in 0..times {
        let _ = decide(
            limiter,
            &Request::new(token, Method::Get),
            at(102, Some(UTC_S)),
        );
    }
}

/// Decides, as a call of its own: what is measured.
#[inline(never)]
pub fn decide(limiter: &mut Sample, request: &Request, now: Now) -> Decision {
    limiter.check(request, now)
}

/// A moment after the tables were filled.
const fn at(later_ms: u64, utc_s: Option<u64>) -> Now {
    let utc = match utc_s {
        Some(secs) => UnixTime::from_secs(secs),
        None => None,
    };
    Now::new(Instant::from_millis(START_MS + later_ms), utc)
}

/// Number `index` of a sequence (SplitMix64): ids as well spread as a keyed hash's.
pub fn random(sequence: u64, index: usize) -> NonZeroU64 {
    let mut z = (sequence << 32 | index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    NonZeroU64::new(z ^ (z >> 31)).unwrap_or(NonZeroU64::MIN)
}

/// Tokens in a full table.
pub const ROWS: usize = 32;

/// An empty limiter, to begin a filling with.
pub static EMPTY: Sample = Limiter::new(Policy::pipedrive());
/// Within the windows that the filling opened.
pub const SOON: Now = at(110, Some(UTC_S));
/// When all that the filling did is past: windows, blocks, offences.
pub const LATER: Now = at(1_000_000, Some(UTC_S + 1_000));
const START_MS: u64 = 1_000_000;
const UTC_S: u64 = 1_800_000_000;
const DAY_S: u64 = 86_400;
