//! Random schedules of the steps that decisions and the writer take (SPEC R2): a write is cut into its
//! steps, and between any two of them others decide, give back, come and go; days begin, policies
//! change, writes fail, and the process ends.
//!
//! At every point: what users were handed out is in the image that the next life starts from, and is
//! never more than the daily limit. What stands around [`State`] in `durable`, `waiting` and `writer`
//! is written down here once more, step for step.

use super::*;
use crate::concurrent::restart::Rows;
use crate::persist::state::{Claim, State};
use limiter_core::snapshot::{self, Header, Image, UserRecord};
use limiter_core::{OffTime, Receipt, TokenId};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// More users than there are rows for.
const USERS: [&str; 3] = ["a", "b", "c"];
const LIMIT: u32 = 20;

struct Random(u64);

impl Random {
    const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A write between two of its steps.
enum Write {
    Idle,
    /// The rows were read.
    Read(Rows),
    /// The image was made; `bool`: it is on the disk.
    Made(Rows, Vec<UserRecord>, Vec<u8>, bool),
}

struct HandedOut {
    user: usize,
    refills: u32,
    receipt: Receipt,
}

struct World {
    random: Random,
    limiter: Concurrent,
    state: State,
    options: Options,
    now_ms: u64,
    write: Write,
    disk: Option<Vec<u8>>,
    waiting: Vec<(usize, Decision, Claim)>,
    handed_out: Vec<HandedOut>,
    /// By user and accounting day, over all lives, what was given back taken off.
    net: BTreeMap<(usize, u32), u32>,
}

fn daily(limit: u32) -> Policy {
    let builder = Policy::builder().window(std::time::Duration::from_secs(2));
    let builder = builder.plan(Plan::new(0), 1_000, 1_000);
    builder.daily_limit(limit).build().unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let ahead = u32::try_from(1 + random.below(8)).unwrap();
        let mut options = reserve(ahead, OnFailedWrite::Refuse);
        options.reserve.early = u32::try_from(random.below(3)).unwrap();
        Self {
            random,
            limiter: Concurrent::new(daily(LIMIT), 4, 2),
            state: State::new(2),
            options,
            now_ms: 0,
            write: Write::Idle,
            disk: None,
            waiting: Vec::new(),
            handed_out: Vec::new(),
            net: BTreeMap::new(),
        }
    }

    fn now(&self) -> Now {
        let utc = UnixTime::from_secs(NOON + self.now_ms / 1_000);
        Now::new(Instant::from_millis(self.now_ms), utc)
    }

    fn act(&mut self) {
        match self.random.below(20) {
            0..=5 => self.post(),
            6..=12 => self.step(),
            13 | 14 => self.poll(),
            15 => self.refund(),
            16 if self.random.below(4) == 0 => self.now_ms += 86_400_000,
            17 => {
                let limit = if self.random.below(2) == 0 { LIMIT } else { 12 };
                self.limiter.set_policy(daily(limit)).unwrap();
            }
            18 if self.random.below(3) == 0 => self.end(),
            _ => self.now_ms += 3_000,
        }
    }

    fn token(user: usize, number: u64) -> TokenId {
        key().token(format!("{}{number}", USERS[user]).as_bytes())
    }

    /// `Durable::decide`.
    fn post(&mut self) {
        let user = usize::try_from(self.random.below(3)).unwrap();
        let token = Self::token(user, self.random.below(2));
        let id = key().user(USERS[user].as_bytes());
        let terms = Registration::new(id, Kind::ApiToken, Plan::new(0));
        if self.limiter.register(token, terms, self.now()).is_err() {
            return;
        }
        let cost = u32::try_from(1 + self.random.below(6)).unwrap();
        let request = Request::new(token, Method::Post);
        let request = request.with_cost(NonZeroU32::new(cost).unwrap());
        let decision = self.limiter.check(&request, self.now());
        let Some(claim) = Claim::of(&decision, &self.limiter) else {
            return;
        };
        if self.state.covers(&claim) {
            self.hand_out(user, decision);
        } else {
            let _ = self.state.ask(&claim);
            self.waiting.push((user, decision, claim));
        }
    }

    fn hand_out(&mut self, user: usize, decision: Decision) {
        let receipt = decision.into_receipt().unwrap();
        let refills = receipt.refills();
        let net = self.net.entry((user, refills)).or_default();
        *net += receipt.cost();
        assert!(*net <= LIMIT, "{net}");
        self.handed_out.push(HandedOut {
            user,
            refills,
            receipt,
        });
    }

    /// `Waiting::poll`, of all; some are dropped instead.
    fn poll(&mut self) {
        for (user, decision, claim) in std::mem::take(&mut self.waiting) {
            if self.state.covers(&claim) {
                self.hand_out(user, decision);
            } else if self.random.below(4) == 0 {
                let receipt = decision.into_receipt().unwrap();
                let _ = self.limiter.refund(receipt, self.now());
            } else {
                let _ = self.state.ask(&claim);
                self.waiting.push((user, decision, claim));
            }
        }
    }

    fn refund(&mut self) {
        if self.handed_out.is_empty() {
            return;
        }
        let len = u64::try_from(self.handed_out.len()).unwrap();
        let index = usize::try_from(self.random.below(len)).unwrap();
        let HandedOut {
            user,
            refills,
            receipt,
        } = self.handed_out.swap_remove(index);
        let back = self.limiter.refund(receipt, self.now()).daily;
        if let Some(net) = self.net.get_mut(&(user, refills)) {
            *net -= back;
        }
    }

    /// `writer::write`, one step of it.
    fn step(&mut self) {
        self.write = match std::mem::replace(&mut self.write, Write::Idle) {
            Write::Idle => Write::Read(self.limiter.image_rows(self.now().monotonic())),
            Write::Read(rows) => {
                let policy = *self.limiter.policy();
                let refills = rows.calendar.refills();
                let users = rows.users.iter().enumerate();
                let draft = |(place, user)| {
                    self.state
                        .draft(place, user, refills, &policy, &self.options)
                };
                let records: Vec<UserRecord> = users.map(draft).collect();
                let header = Header {
                    tokens: 4,
                    users: 2,
                    key_check: key().check_value(),
                    number: self.state.number + 1,
                    calendar: rows.calendar.save(self.now().monotonic()),
                };
                let mut image = vec![0; snapshot::size(4, 2)];
                let written = records.iter().copied();
                snapshot::encode(&mut image, &header, written, [].into_iter()).unwrap();
                Write::Made(rows, records, image, false)
            }
            Write::Made(rows, records, image, false) => {
                if self.random.below(5) == 0 {
                    // It fails, and may be on the disk all the same.
                    if self.random.below(2) == 0 {
                        self.disk = Some(image);
                    }
                    Write::Idle
                } else {
                    self.disk = Some(image.clone());
                    Write::Made(rows, records, image, true)
                }
            }
            Write::Made(rows, records, _, true) => {
                let refills = rows.calendar.refills();
                self.state.number += 1;
                self.state.stored_day = Some((rows.calendar.day(), refills));
                self.state.raise(&rows.users, &records, refills);
                Write::Idle
            }
        };
    }

    /// The process ends, and another one begins.
    fn end(&mut self) {
        let refills = self.limiter.calendar().refills();
        self.write = Write::Idle;
        self.waiting.clear();
        self.handed_out.clear();
        let policy = *self.limiter.policy();
        self.limiter = Concurrent::new(policy, 4, 2);
        self.state = State::new(2);
        let Some(image) = &self.disk else {
            assert!(self.net.values().all(|net| *net == 0));
            return;
        };
        let image = Image::verify(image, &key()).unwrap();
        let restored = self.limiter.take_over(&image, OffTime::Trust, self.now());
        self.state.number = restored.unwrap().number;
        if image.header().calendar.refills != refills {
            return;
        }
        for (user, name) in USERS.iter().enumerate() {
            let id = key().user(name.as_bytes()).as_u64();
            let record = image.users().find(|record| record.id == id);
            let used = record.map_or(0, |record| record.used);
            let net = self.net.get(&(user, refills)).copied().unwrap_or(0);
            assert!(used >= net, "{used} of {net} that were handed out");
        }
    }
}

fn run(seeds: std::ops::Range<u64>, acts: usize) {
    for seed in seeds {
        let mut world = World::new(seed + 1);
        for _ in 0..acts {
            world.act();
        }
        world.end();
    }
}

#[test]
fn r2_whatever_is_done_between_the_steps_of_a_write_nothing_is_handed_out_twice() {
    run(0..2_000, 80);
}

mod attack {
    use super::*;

    #[test]
    #[ignore = "an attack: minutes"]
    fn hundreds_of_thousands_of_random_schedules_of_decisions_and_writes() {
        run(0..200_000, 150);
        run(200_000..220_000, 1_000);
    }
}
