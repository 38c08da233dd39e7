//! Every interleaving of small races between decisions and the writer of images, tried out by loom.
//!
//! The counts, rows and bounds are the real ones ([`Concurrent`], [`State`]). What stands around them
//! in `durable`, `waiting` and `writer` is written down here once more, step for step, with loom's
//! lock in the place of the standard library's, and a disk that is one number: up to where the newest
//! image lets the user go.

use super::Options;
use super::state::{Claim, State};
use crate::Concurrent;
use limiter_core::snapshot::UserRecord;
use limiter_core::{
    Decision, Instant, Kind, Method, Now, Plan, Policy, Registration, Request, Reserve, TokenId,
    UnixTime, UserId,
};
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;
use std::num::{NonZeroU32, NonZeroU64};

struct Device {
    limiter: Concurrent,
    state: Mutex<State>,
    disk: Mutex<Disk>,
    options: Options,
}

#[derive(Default)]
struct Disk {
    /// Up to here the newest image lets the user go.
    stored: u32,
    handed_out: u32,
}

enum Answer {
    HandedOut,
    Waits(Decision, Claim),
    GivenBack,
    Refused,
}

impl Device {
    fn new() -> Arc<Self> {
        let policy = Policy::builder()
            .window(std::time::Duration::from_secs(2))
            .plan(Plan::new(0), 9, 9)
            .daily_limit(LIMIT);
        let limiter = Concurrent::new(policy.build().expect("a policy"), 1, 1);
        let user = UserId::from_hash(ID);
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        let registered = limiter.register(TokenId::from_hash(ID), registration, now());
        registered.expect("there is room");
        Arc::new(Self {
            limiter,
            state: Mutex::new(State::new(1)),
            disk: Mutex::new(Disk::default()),
            options: Options {
                reserve: Reserve {
                    ahead: AHEAD,
                    ..Reserve::DEFAULT
                },
                ..Options::default()
            },
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// `Durable::decide`.
    fn post(&self) -> Answer {
        let request = Request::new(TokenId::from_hash(ID), Method::Post);
        let decision = self.limiter.check(&request, now());
        let Some(claim) = Claim::of(&decision, &self.limiter) else {
            return Answer::Refused;
        };
        let mut state = self.lock();
        if state.covers(&claim) {
            drop(state);
            return self.hand_out();
        }
        if state.closed {
            drop(state);
            return self.give_back(decision);
        }
        let _ = state.ask(&claim);
        Answer::Waits(decision, claim)
    }

    /// `Waiting::poll`, which is told whether its write has failed.
    fn poll(&self, answer: Answer, has_failed: bool) -> Answer {
        let Answer::Waits(decision, claim) = answer else {
            return answer;
        };
        let mut state = self.lock();
        if state.covers(&claim) {
            drop(state);
            return self.hand_out();
        }
        if state.closed || has_failed {
            drop(state);
            return self.give_back(decision);
        }
        Answer::Waits(decision, claim)
    }

    fn hand_out(&self) -> Answer {
        let mut disk = self.disk.lock().expect("no panic");
        disk.handed_out += 1;
        assert!(
            disk.handed_out <= disk.stored,
            "handed out before it was stored"
        );
        Answer::HandedOut
    }

    fn give_back(&self, decision: Decision) -> Answer {
        let receipt = decision.into_receipt().expect("it was admitted");
        self.limiter.refund(receipt, now());
        Answer::GivenBack
    }

    /// `writer::write`, on a disk that works or is full.
    fn write(&self, works: bool) {
        let policy = *self.limiter.policy();
        let rows = self.limiter.image_rows(now().monotonic());
        let refills = rows.calendar.refills();
        let records: Vec<UserRecord> = {
            let state = self.lock();
            let users = rows.users.iter().enumerate();
            let draft = |(place, user)| state.draft(place, user, refills, &policy, &self.options);
            users.map(draft).collect()
        };
        if !works {
            return;
        }
        let [record] = records.as_slice() else {
            unreachable!("there is one user")
        };
        self.disk.lock().expect("no panic").stored = record.used;
        let mut state = self.lock();
        if !state.closed {
            state.stored_day = Some((rows.calendar.day(), refills));
            state.raise(&rows.users, &records, refills);
        }
    }

    /// `writer::run`, the last time.
    fn close(&self) {
        self.lock().close();
        self.write(true);
    }

    /// What the newest image says, what was handed out, and what the row says is used.
    fn sums(&self) -> (u32, u32, u32) {
        let used = self
            .limiter
            .day_at(0)
            .map_or(0, |(day, _)| day.settle(0).used());
        let disk = self.disk.lock().expect("no panic");
        (disk.stored, disk.handed_out, used)
    }

    /// That so much was handed out and is used, and how much a cut would cost.
    fn expect_handed_out(&self, permits: u32) {
        let (stored, handed_out, used) = self.sums();
        assert_eq!((handed_out, used), (permits, permits));
        assert!(
            stored - handed_out <= AHEAD.get(),
            "a cut costs more than the reserve"
        );
    }
}

fn now() -> Now {
    Now::new(Instant::ZERO, UnixTime::from_secs(20_000 * 86_400))
}

/// Runs both at the same time, in every way.
fn race<A: Send + 'static, B: 'static>(
    a: fn(&Device) -> A,
    b: fn(&Device) -> B,
    then: fn(&Device, A, B),
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(move || {
        let device = Device::new();
        let theirs = Arc::clone(&device);
        let thread = thread::spawn(move || a(&theirs));
        let b = b(&device);
        let a = thread.join().expect("it does not panic");
        then(&device, a, b);
    });
}

#[test]
fn no_permit_is_handed_out_before_it_is_stored_and_no_finished_write_is_lost() {
    race(
        |device| {
            let first = device.post();
            let first = device.poll(first, false);
            [first, device.post()]
        },
        |device| device.write(true),
        |device, answers, ()| {
            // This one begins after both have asked, and ends.
            device.write(true);
            for answer in answers {
                let answer = device.poll(answer, false);
                assert!(matches!(answer, Answer::HandedOut), "a write was lost");
            }
            device.expect_handed_out(2);
        },
    );
}

#[test]
fn two_who_ask_at_once_are_both_covered_by_the_next_write() {
    race(
        Device::post,
        |device| {
            let answer = device.post();
            device.write(true);
            answer
        },
        |device, a, b| {
            // The one who asked before the write began is covered by it.
            assert!(matches!(device.poll(b, false), Answer::HandedOut));
            device.write(true);
            assert!(matches!(device.poll(a, false), Answer::HandedOut));
            device.expect_handed_out(2);
        },
    );
}

#[test]
fn a_write_that_fails_hands_nothing_out_and_leaves_nothing_charged() {
    race(
        |device| {
            let answer = device.post();
            device.poll(answer, true)
        },
        |device| device.write(false),
        |device, answer, ()| {
            assert!(matches!(answer, Answer::GivenBack));
            assert_eq!(device.sums(), (0, 0, 0));
            // The next one that succeeds serves whoever asks then.
            let answer = device.post();
            device.write(true);
            assert!(matches!(device.poll(answer, false), Answer::HandedOut));
            device.expect_handed_out(1);
        },
    );
}

#[test]
fn the_last_image_is_what_was_handed_out_and_what_waited_for_it() {
    race(
        |device| {
            let first = device.post();
            device.write(true);
            [device.poll(first, false), device.post()]
        },
        Device::close,
        |device, answers, ()| {
            let answers = answers.map(|answer| device.poll(answer, false));
            let is = |wanted: fn(&Answer) -> bool| {
                u32::try_from(answers.iter().filter(|answer| wanted(answer)).count()).expect("two")
            };
            let handed_out = is(|answer| matches!(answer, Answer::HandedOut));
            let given_back = is(|answer| matches!(answer, Answer::GivenBack));
            assert_eq!(handed_out + given_back, 2, "nobody waits for ever");
            let (stored, all, used) = device.sums();
            assert_eq!((all, used), (handed_out, handed_out));
            // Whoever waits when it ends is charged until he is refused.
            assert!(
                (handed_out..=handed_out + given_back).contains(&stored),
                "{stored}"
            );
        },
    );
}

const LIMIT: u32 = 6;
const AHEAD: NonZeroU32 = NonZeroU32::new(2).unwrap();
const ID: NonZeroU64 = NonZeroU64::MIN;
