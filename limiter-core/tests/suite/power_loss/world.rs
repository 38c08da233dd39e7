//! A device that reserves ahead, its storage, its clocks, and what is held to be true of it at every
//! point.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use limiter_core::snapshot::Image;
use limiter_core::{
    Decision, Draft, Instant, Kind, Method, Now, OffTime, OnLostState, Plan, Policy, Reason,
    Registration, Request, Reserve, Reserved, UnixTime, Verdict,
};

use crate::metered::KEY;

const LIMIT: u32 = 4;
const AHEAD: NonZeroU32 = NonZeroU32::new(2).unwrap();
pub(super) const SIZE: usize = limiter_core::snapshot::size(2, 2);
const DAY_S: u64 = 86_400;
const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;
/// What a real-time clock shows whose battery was empty.
const YEAR_2000: u64 = 946_684_800;
const USERS: [&str; 2] = ["a", "b"];

type Device = Reserved<2, 2>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// One permit of a user.
    Post(usize),
    /// Two at once.
    PostTwo(usize),
    /// A day passes.
    NextDay,
    /// The device is switched off for ten minutes.
    Restart,
    /// It is shut down in order, and switched on ten minutes later.
    Close,
    /// The real-time clock is set right.
    SetClock,
    /// The power fails, and with it all that is stored.
    Break,
}

/// How the device and its surroundings are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// A place is erased before it is written to; else the old bytes stand until overwritten.
    pub(super) erases: bool,
    /// The real-time clock loses its time when the power fails.
    rtc_fails: bool,
    writes: Writes,
    off_time: OffTime,
    on_lost_state: OnLostState,
}

/// When writes are made that are due beside a decision. A request that has to wait for one always
/// has it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    Never,
    AtOnce,
    /// They begin at once, and end when the next request was decided.
    Late,
}

/// What goes wrong in a write of an act, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Counted from 0.
    pub(super) write: usize,
    pub(super) stage: Stage,
    pub(super) outcome: Outcome,
}

/// How far a write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// So many bytes of the place are erased.
    Erasing(usize),
    /// So many bytes are written.
    Writing(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    PowerFails,
    /// The storage says that the write failed. The device lives on.
    Error,
}

/// The power failed.
struct Dark;

impl Setting {
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for bits in 0..16 {
            for writes in [Writes::Never, Writes::AtOnce, Writes::Late] {
                all.push(Self {
                    erases: bits & 1 != 0,
                    rtc_fails: bits & 2 != 0,
                    writes,
                    off_time: if bits & 4 != 0 {
                        OffTime::Trust
                    } else {
                        OffTime::Ignore
                    },
                    on_lost_state: if bits & 8 != 0 {
                        OnLostState::Refuse
                    } else {
                        OnLostState::Fresh
                    },
                });
            }
        }
        all
    }

    /// All that a write goes through.
    pub(super) fn stages(self) -> impl Iterator<Item = Stage> {
        let erased = if self.erases { SIZE } else { 0 };
        let erasing = (1..erased).map(Stage::Erasing);
        erasing.chain((0..=SIZE).map(Stage::Writing))
    }
}

#[derive(Clone)]
pub(super) struct World {
    setting: Setting,
    places: [Vec<u8>; 2],
    device: Device,
    begun: Option<Box<Begun>>,
    /// The last write that ended.
    written: Option<Box<Written>>,
    /// Since the power came.
    up_ms: u64,
    /// True UTC.
    utc: u64,
    /// Since when the real-time clock has been wrong.
    rtc_reset: Option<u64>,
    /// Days that have passed.
    days: u32,
    /// How often all that was stored was lost.
    breaks: u32,
    /// By user, number of breaks before, and accounting day, over all lives.
    admitted: BTreeMap<(usize, u32, u32), u32>,
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        let mut world = Self {
            setting,
            places: [vec![0xff; SIZE], vec![0xff; SIZE]],
            device: Device::new(policy(), reserve()),
            begun: None,
            written: None,
            up_ms: 0,
            utc: NOON,
            rtc_reset: None,
            days: 0,
            breaks: 0,
            admitted: BTreeMap::new(),
        };
        world.boot();
        world
    }

    pub(super) const fn setting(&self) -> Setting {
        self.setting
    }

    /// Does one thing, in which something may go wrong; says how many writes there were. If the power
    /// failed it is back.
    pub(super) fn act(&mut self, act: Act, fault: Option<Fault>) -> usize {
        let mut faults = Faults { fault, writes: 0 };
        if let Err(Dark) = self.try_act(act, &mut faults) {
            self.restart();
        } else {
            assert!(
                fault.is_none_or(|fault| fault.outcome == Outcome::Error),
                "the power was to fail"
            );
        }
        faults.writes
    }

    /// Those stages of a write of an act that leave something else than each other, if anything goes
    /// wrong in them: another newest image, or a storage that is blank. That is all that [`World::boot`] goes by.
    pub(super) fn stages_that_differ(&self, act: Act, write: usize) -> Vec<Stage> {
        let mut dark = self.clone();
        let fault = Fault {
            write,
            stage: Stage::Writing(0),
            outcome: Outcome::PowerFails,
        };
        let mut faults = Faults {
            fault: Some(fault),
            writes: 0,
        };
        let ended = dark.try_act(act, &mut faults);
        assert!(ended.is_err(), "the power was to fail");
        let Written {
            place,
            before,
            image,
        } = *dark.written.take().expect("there was a write");
        let mut left = BTreeSet::new();
        let mut differs = |stage: &Stage| {
            dark.places[place].copy_from_slice(&before);
            dark.put(place, &image, *stage);
            left.insert((dark.newest(), dark.is_blank()))
        };
        self.setting
            .stages()
            .filter(|stage| differs(stage))
            .collect()
    }

    fn try_act(&mut self, act: Act, faults: &mut Faults) -> Result<(), Dark> {
        match act {
            Act::Post(user) => self.post(user, 1, faults),
            Act::PostTwo(user) => self.post(user, 2, faults),
            Act::NextDay => {
                self.days += 1;
                self.pass(DAY_S);
                Ok(())
            }
            Act::Restart => {
                // Nothing of a write that has begun is stored, unless a fault says otherwise.
                if self.begun.is_some() {
                    let none = Stage::Writing(0);
                    let stage = faults.next().map_or(none, |fault| fault.stage);
                    let _ = self.finish_until(stage);
                }
                Err(Dark)
            }
            Act::Close => self.close(faults),
            Act::SetClock => {
                self.rtc_reset = None;
                Ok(())
            }
            Act::Break => {
                self.places.iter_mut().for_each(|place| place[0] = 0);
                self.breaks += 1;
                Err(Dark)
            }
        }
    }

    fn post(&mut self, user: usize, cost: u32, faults: &mut Faults) -> Result<(), Dark> {
        self.pass(3); // another window
        let token = KEY.token(USERS[user].as_bytes());
        let request = Request::new(token, Method::Post).with_cost(NonZeroU32::new(cost).unwrap());
        let mut verdict = self.device.check(&request, self.now());
        if let Verdict::Decided { decision, .. } = &verdict {
            self.count(user, cost, decision);
        }
        self.finish(faults)?;
        if matches!(verdict, Verdict::WriteFirst(_)) {
            self.begin(false);
            let is_stored = self.finish(faults)?;
            verdict = self.device.check_again(&request, self.now());
            let Verdict::Decided { decision, .. } = &verdict else {
                unreachable!("one write is enough")
            };
            if is_stored {
                assert!(decision.is_admitted(), "its permits were stored");
            } else if !decision.is_admitted() {
                assert_eq!(decision.reason(), Some(Reason::StoreFailed));
            }
            self.count(user, cost, decision);
            return Ok(());
        }
        if matches!(verdict, Verdict::Decided { due: Some(_), .. })
            && self.setting.writes != Writes::Never
        {
            self.begin(false);
            if self.setting.writes == Writes::AtOnce {
                self.finish(faults)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, user: usize, cost: u32, decision: &Decision) {
        if !decision.is_admitted() {
            return;
        }
        let day = self.device.limiter().calendar().refills();
        let admitted = self.admitted.entry((user, self.breaks, day)).or_default();
        *admitted += cost;
        assert!(*admitted <= LIMIT, "more than the daily limit: {self:?}");
        let rows = self.admitted.iter();
        let all = rows.filter_map(|(&(of, ..), admitted)| (of == user).then_some(admitted));
        let minted = match self.setting.on_lost_state {
            OnLostState::Refuse => 0,
            OnLostState::Fresh => self.breaks,
        };
        let days = 1 + self.days + minted;
        assert!(all.sum::<u32>() <= LIMIT * days, "in {days} days: {self:?}");
    }

    /// Begins a write.
    fn begin(&mut self, is_last: bool) {
        let begun = Begun {
            device: self.device.clone(),
            at: self.now().monotonic(),
            is_last,
        };
        let _ = begun.draft_of(&mut self.device);
        self.begun = Some(Box::new(begun));
    }

    /// Ends the write that has begun, if there is one; says whether it is stored.
    fn finish(&mut self, faults: &mut Faults) -> Result<bool, Dark> {
        if self.begun.is_none() {
            return Ok(false);
        }
        let Some(fault) = faults.next() else {
            let draft = self.finish_until(Stage::Writing(SIZE));
            self.device.stored(draft);
            return Ok(true);
        };
        let draft = self.finish_until(fault.stage);
        match fault.outcome {
            Outcome::PowerFails => Err(Dark),
            Outcome::Error => {
                self.device.failed(draft);
                Ok(false)
            }
        }
    }

    /// Writes so much of the image whose write has begun, where the newest is not.
    fn finish_until(&mut self, stage: Stage) -> Draft<[u8; SIZE]> {
        let begun = self.begun.take().expect("a write has begun");
        let draft = begun.draft_of(&mut begun.device.clone());
        let place = 1 - self.newest().map_or(1, |(place, _)| place);
        let image: [u8; SIZE] = draft.bytes().try_into().expect("an image has one size");
        let before = self.places[place].clone();
        self.written = Some(Box::new(Written {
            place,
            before,
            image,
        }));
        self.put(place, &image, stage);
        draft
    }

    /// Writes so much of an image.
    fn put(&mut self, place: usize, image: &[u8; SIZE], stage: Stage) {
        let (erased, written) = match stage {
            Stage::Erasing(bytes) => (bytes, 0),
            Stage::Writing(bytes) if self.setting.erases => (SIZE, bytes),
            Stage::Writing(bytes) => (0, bytes),
        };
        self.places[place][..erased].fill(0xff);
        self.places[place][..written].copy_from_slice(&image[..written]);
    }

    fn is_blank(&self) -> bool {
        self.places
            .iter()
            .all(|place| place.iter().all(|&byte| byte == 0xff))
    }

    /// The place of the newest whole image, and its number.
    fn newest(&self) -> Option<(usize, u64)> {
        let whole = self.places.iter().enumerate().filter_map(|(place, bytes)| {
            let image = Image::verify(bytes, &KEY).ok()?;
            Some((place, image.header().number))
        });
        whole.max_by_key(|&(_, number)| number)
    }

    /// Shuts down with a last image, which is exact.
    fn close(&mut self, faults: &mut Faults) -> Result<(), Dark> {
        self.finish(faults)?;
        self.begin(true);
        let is_exact = self.finish(faults)?;
        let before = self.used();
        let day = self.device.limiter().calendar().refills();
        self.restart();
        if is_exact && self.device.limiter().calendar().refills() == day {
            assert_eq!(self.used(), before, "an orderly end cost something");
        }
        Ok(())
    }

    fn now(&self) -> Now {
        let shown = match self.rtc_reset {
            Some(since) => YEAR_2000 + (self.utc - since),
            None => self.utc,
        };
        Now::new(Instant::from_millis(self.up_ms), UnixTime::from_secs(shown))
    }

    fn pass(&mut self, seconds: u64) {
        self.up_ms += seconds * 1_000;
        self.utc += seconds;
    }

    /// The power fails and comes back; what that cost is looked at.
    fn restart(&mut self) {
        let before = self.used();
        let calendar = *self.device.limiter().calendar();
        self.utc += 600;
        self.up_ms = 0;
        self.begun = None;
        if self.setting.rtc_fails {
            self.rtc_reset = Some(self.utc);
        }
        self.boot();
        let now = *self.device.limiter().calendar();
        assert!(
            now.refills() <= self.days,
            "refilled a day that has not passed"
        );
        // What is lost with the storage is no cut's doing.
        if now.refills() == calendar.refills() && now.is_lost() == calendar.is_lost() {
            for (before, after) in before.into_iter().zip(self.used()) {
                assert!(
                    before <= after || self.is_broken(),
                    "used {before}, and now {after}"
                );
                assert!(
                    after.saturating_sub(before) <= AHEAD.get(),
                    "cost {before} to {after}"
                );
            }
        }
    }

    /// Whether nothing of all that was stored is left.
    fn is_broken(&self) -> bool {
        self.breaks > 0 && self.newest().is_none()
    }

    /// What a device does when the power comes.
    fn boot(&mut self) {
        self.device = Device::new(policy(), reserve());
        let at = Instant::from_millis(self.up_ms);
        if let Some((place, _)) = self.newest() {
            let image = &self.places[place];
            let restored = self.device.restore(&KEY, image, self.setting.off_time, at);
            restored.expect("a whole image is restored");
        } else {
            // Nothing was ever stored, so nothing was handed out.
            let is_new = self.admitted.is_empty();
            assert!(is_new || self.is_broken(), "an image was lost: {self:?}");
            if !self.is_blank() {
                self.device.lose_state(self.setting.on_lost_state);
            }
        }
        for user in USERS {
            let id = KEY.user(user.as_bytes());
            let terms = Registration::new(id, Kind::ApiToken, Plan::new(0));
            let token = KEY.token(user.as_bytes());
            self.device.register(token, terms, self.now()).unwrap();
        }
    }

    /// What the users have used of the accounting day as it stands, by the image.
    fn used(&self) -> [u32; 2] {
        let image = self.image();
        let image = Image::verify(&image, &KEY).unwrap();
        USERS.map(|user| {
            let id = KEY.user(user.as_bytes()).as_u64();
            let record = image.users().find(|record| record.id == id);
            record.map_or(0, |record| record.used)
        })
    }

    fn image(&self) -> Vec<u8> {
        let mut image = vec![0; SIZE];
        let at = Instant::from_millis(self.up_ms);
        self.device
            .limiter()
            .snapshot(&KEY, 0, &mut image, at)
            .unwrap();
        image
    }

    /// Whatever happened, on another day with a clock that is right everybody is served.
    pub(super) fn come_back_to_life(mut self) {
        self.rtc_reset = None;
        self.days += 2;
        self.pass(2 * DAY_S);
        let read = Request::new(KEY.token(b"a"), Method::Get);
        let verdict = self.device.check(&read, self.now());
        assert!(matches!(verdict, Verdict::Decided { decision, .. } if decision.is_admitted()));
        self.days += 1;
        self.pass(DAY_S);
        for user in 0..2 {
            let admitted = self.admitted.values().sum::<u32>();
            self.act(Act::Post(user), None);
            assert_eq!(self.admitted.values().sum::<u32>(), admitted + 1);
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("setting", &self.setting)
            .field("days", &self.days)
            .field("admitted", &self.admitted)
            .finish_non_exhaustive()
    }
}

/// A write that came to an end, or the power failed in it.
#[derive(Clone)]
struct Written {
    place: usize,
    /// What the place held.
    before: Vec<u8>,
    image: [u8; SIZE],
}

/// A write that has begun. A draft cannot be cloned, but it can be taken again.
#[derive(Clone)]
struct Begun {
    /// As it was then.
    device: Device,
    at: Instant,
    /// The last one before an orderly end.
    is_last: bool,
}

impl Begun {
    /// The draft that the device, or one like it, takes for this.
    fn draft_of(&self, device: &mut Device) -> Draft<[u8; SIZE]> {
        let draft = if self.is_last {
            device.last_draft(&KEY, [0; SIZE], self.at)
        } else {
            device.draft(&KEY, [0; SIZE], self.at)
        };
        draft.expect("there is room")
    }
}

/// The fault that is to come, and the writes before it.
struct Faults {
    fault: Option<Fault>,
    writes: usize,
}

impl Faults {
    /// Counts a write; says what goes wrong in it.
    fn next(&mut self) -> Option<Fault> {
        let number = self.writes;
        self.writes += 1;
        self.fault.filter(|fault| fault.write == number)
    }
}

fn policy() -> Policy {
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 9, 9);
    builder.daily_limit(LIMIT).build().unwrap()
}

fn reserve() -> Reserve {
    Reserve {
        ahead: AHEAD,
        ..Reserve::DEFAULT
    }
}
