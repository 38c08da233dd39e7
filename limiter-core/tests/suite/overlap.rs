//! Images under way at the same time (SPEC R2): random schedules of drafts that overlap, in a device
//! whose users come and go, take refunds, and whose power fails at any moment.
//!
//! At every point: no user is admitted more than the daily limit in an accounting day, over all
//! lives; no request is refused for want of a storage that works; and a cut costs a user no more than the
//! reserve, or than what waited for a write.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use limiter_core::snapshot::Image;
use limiter_core::{
    Decision, Draft, Instant, Kind, Method, Now, OffTime, Plan, Policy, Reason, Receipt,
    Registration, Request, Reserve, Reserved, UnixTime, Verdict,
};

use crate::metered::KEY;

const DAY_S: u64 = 86_400;
const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;
/// More of them than there are rows.
const USERS: [&str; 3] = ["a", "b", "c"];
const SIZE: usize = limiter_core::snapshot::size(4, 2);

type Device = Reserved<4, 2>;

struct Random(u64);

impl Random {
    const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The events that a schedule may hold.
#[derive(Clone, Copy)]
struct Events {
    refunds: bool,
    failures: bool,
    policies: bool,
    midnights: bool,
    newcomers: bool,
    /// Tasks may be cancelled: drafts and requests of which nothing more is heard.
    cancels: bool,
}

struct Admitted {
    user: usize,
    refills: u32,
    receipt: Receipt,
}

struct World {
    random: Random,
    events: Events,
    device: Device,
    reserve: Reserve,
    limit: u32,
    now_ms: u64,
    utc: u64,
    /// The newest image on the disk.
    disk: Option<Vec<u8>>,
    /// Not on the disk yet.
    drafted: VecDeque<Draft<Vec<u8>>>,
    /// On the disk, and not yet reported to the device.
    written: VecDeque<Draft<Vec<u8>>>,
    waiting: Vec<(usize, Request)>,
    /// By user, the most that waited when an image of this life was drafted.
    asked: [u32; 3],
    receipts: Vec<Admitted>,
    /// By user and accounting day, over all lives, what was given back taken off.
    net: BTreeMap<(usize, u32), u32>,
    has_failed: bool,
}

impl World {
    fn new(seed: u64, events: Events) -> Self {
        let mut random = Random(seed | 1);
        for _ in 0..8 {
            random.below(1);
        }
        let ahead = u32::try_from(1 + random.below(8)).unwrap();
        let reserve = Reserve {
            ahead: NonZeroU32::new(ahead).unwrap(),
            early: u32::try_from(random.below(3)).unwrap(),
            ..Reserve::DEFAULT
        };
        Self {
            random,
            events,
            device: Device::new(policy(20), reserve),
            reserve,
            limit: 20,
            now_ms: 0,
            utc: NOON,
            disk: None,
            drafted: VecDeque::new(),
            written: VecDeque::new(),
            waiting: Vec::new(),
            asked: [0; 3],
            receipts: Vec::new(),
            net: BTreeMap::new(),
            has_failed: false,
        }
    }

    fn now(&self) -> Now {
        Now::new(
            Instant::from_millis(self.now_ms),
            UnixTime::from_secs(self.utc),
        )
    }

    fn refills(&self) -> u32 {
        self.device.limiter().calendar().refills()
    }

    fn act(&mut self) {
        match self.random.below(16) {
            0..=4 => self.post(),
            5 | 6 => self.draft(),
            7 | 8 => self.write(),
            9 | 10 => self.tell(),
            11 => self.ask_again(),
            12 if self.events.refunds => self.refund(),
            13 if self.events.policies => self.change_policy(),
            14 if self.events.midnights && self.random.one_in(4) => self.pass(DAY_S),
            15 if self.random.one_in(3) => self.cut(),
            _ => self.pass(3),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now_ms += 1_000 * seconds;
        self.utc += seconds;
    }

    fn post(&mut self) {
        let users = if self.events.newcomers { 3 } else { 2 };
        let user = usize::try_from(self.random.below(users)).unwrap();
        let two = self.random.below(2);
        let token = KEY.token(format!("{}{two}", USERS[user]).as_bytes());
        let terms = Registration::new(
            KEY.user(USERS[user].as_bytes()),
            Kind::ApiToken,
            Plan::new(0),
        );
        if self.device.register(token, terms, self.now()).is_err() {
            return;
        }
        let cost = NonZeroU32::new(u32::try_from(1 + self.random.below(6)).unwrap()).unwrap();
        let request = Request::new(token, Method::Post).with_cost(cost);
        match self.device.check(&request, self.now()) {
            Verdict::Decided { decision, .. } => self.count(user, cost.get(), decision),
            Verdict::WriteFirst(_) => self.waiting.push((user, request)),
        }
    }

    fn count(&mut self, user: usize, cost: u32, decision: Decision) {
        assert!(
            self.has_failed || decision.reason() != Some(Reason::StoreFailed),
            "refused though every write was stored"
        );
        if !decision.is_admitted() {
            return;
        }
        let refills = self.refills();
        let net = self.net.entry((user, refills)).or_default();
        *net += cost;
        assert!(*net <= self.limit, "{net} of {}", self.limit);
        let receipt = decision.into_receipt().unwrap();
        self.receipts.push(Admitted {
            user,
            refills,
            receipt,
        });
    }

    fn draft(&mut self) {
        let draft = self
            .device
            .draft(&KEY, vec![0; SIZE], self.now().monotonic());
        self.drafted.push_back(draft.unwrap());
        for (user, asked) in self.asked.iter_mut().enumerate() {
            let waiting = self.waiting.iter().filter(|(of, _)| *of == user);
            let sum: u32 = waiting.map(|(_, request)| request.cost.get()).sum();
            *asked = sum.max(*asked);
        }
    }

    /// The oldest draft comes to the disk.
    fn write(&mut self) {
        let Some(draft) = self.drafted.pop_front() else {
            return;
        };
        if self.events.failures && self.random.one_in(4) {
            // It may be there all the same.
            if self.random.one_in(2) {
                self.disk = Some(draft.bytes().to_vec());
            }
            self.has_failed = true;
            self.device.failed(draft);
            return;
        }
        self.disk = Some(draft.bytes().to_vec());
        if !(self.events.cancels && self.random.one_in(8)) {
            self.written.push_back(draft);
        }
    }

    /// Reports an image that is on the disk to the device; not always in order.
    fn tell(&mut self) {
        let draft = if self.random.one_in(4) {
            self.written.pop_back()
        } else {
            self.written.pop_front()
        };
        if let Some(draft) = draft {
            self.device.stored(draft);
        }
    }

    fn ask_again(&mut self) {
        for (user, request) in std::mem::take(&mut self.waiting) {
            if self.events.cancels && self.random.one_in(8) {
                continue;
            }
            match self.device.check_again(&request, self.now()) {
                Verdict::Decided { decision, .. } => {
                    self.count(user, request.cost.get(), decision);
                }
                Verdict::WriteFirst(_) => self.waiting.push((user, request)),
            }
        }
    }

    fn refund(&mut self) {
        if self.receipts.is_empty() {
            return;
        }
        let len = u64::try_from(self.receipts.len()).unwrap();
        let index = usize::try_from(self.random.below(len)).unwrap();
        let Admitted {
            user,
            refills,
            receipt,
        } = self.receipts.swap_remove(index);
        let back = self.device.refund(receipt, self.now()).daily;
        if let Some(net) = self.net.get_mut(&(user, refills)) {
            *net -= back;
        }
    }

    fn change_policy(&mut self) {
        self.limit = if self.random.one_in(2) { 20 } else { 12 };
        self.device.set_policy(policy(self.limit)).unwrap();
    }

    /// The power fails.
    fn cut(&mut self) {
        let refills = self.refills();
        self.drafted.clear();
        self.written.clear();
        self.receipts.clear();
        self.waiting.clear();
        let asked = std::mem::take(&mut self.asked);
        self.device = Device::new(policy(self.limit), self.reserve);
        let at = self.now().monotonic();
        if let Some(image) = &self.disk {
            let restored = self.device.restore(&KEY, image, OffTime::Trust, at);
            restored.expect("a whole image");
        }
        if self.refills() != refills {
            return;
        }
        for (user, name) in USERS.iter().enumerate() {
            let used = self.used(name);
            let net = self.net.entry((user, refills)).or_default();
            assert!(used >= *net, "{used} of {net} that were handed out");
            if self.events.refunds || self.events.cancels {
                continue;
            }
            let most = self.reserve.ahead.get().max(asked[user]);
            assert!(used - *net <= most, "{used} - {net}, of {most}");
            // What this cut cost is not counted with the next one.
            *net = used;
        }
    }

    /// Permits that a user has used, by the device's count.
    fn used(&self, name: &str) -> u32 {
        let mut image = vec![0; SIZE];
        let limiter = self.device.limiter();
        let at = Instant::from_millis(self.now_ms);
        limiter.snapshot(&KEY, 0, &mut image, at).unwrap();
        let id = KEY.user(name.as_bytes()).as_u64();
        let image = Image::verify(&image, &KEY).unwrap();
        let user = image.users().find(|user| user.id == id);
        user.map_or(0, |user| user.used)
    }
}

fn policy(limit: u32) -> Policy {
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 1_000, 1_000);
    builder.daily_limit(limit).build().unwrap()
}

fn run(seeds: std::ops::Range<u64>, acts: usize, events: Events) {
    for seed in seeds {
        let mut world = World::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), events);
        for _ in 0..acts {
            world.act();
        }
    }
}

const ALL: Events = Events {
    refunds: true,
    failures: true,
    policies: true,
    midnights: true,
    newcomers: true,
    cancels: true,
};

/// None of it.
const CALM: Events = Events {
    refunds: false,
    failures: false,
    policies: false,
    midnights: false,
    newcomers: false,
    cancels: false,
};

#[test]
fn r2_drafts_that_overlap_admit_nobody_twice() {
    run(0..2_000, 60, ALL);
    let refunds = Events {
        refunds: true,
        newcomers: true,
        ..CALM
    };
    run(0..2_000, 60, refunds);
}

#[test]
fn r2_a_cut_costs_no_more_than_the_reserve_or_what_waited_for_a_write() {
    run(0..2_000, 60, CALM);
    run(
        0..2_000,
        60,
        Events {
            failures: true,
            ..CALM
        },
    );
}

#[test]
fn r2_no_request_is_refused_for_want_of_a_storage_that_works() {
    let events = Events {
        failures: false,
        ..ALL
    };
    run(4_000..6_000, 60, events);
}

mod attack {
    use super::*;

    #[test]
    #[ignore = "an attack: minutes"]
    fn millions_of_random_schedules_of_overlapping_drafts() {
        run(0..400_000, 100, ALL);
        run(
            0..200_000,
            300,
            Events {
                failures: false,
                ..ALL
            },
        );
        run(0..400_000, 100, CALM);
    }
}
