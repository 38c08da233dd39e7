//! A day of a device that reserves ahead: every user spends all of it, and the writes are counted.

use std::num::NonZeroU32;

use limiter_core::{
    HashKey, Instant, Kind, Method, Now, Plan, Policy, Registration, Request, Reserve, Reserved,
    UnixTime, Verdict,
};

/// A device's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) users: u32,
    /// All writes, the one for the new day included.
    pub(super) writes: u32,
    /// Bytes of an image.
    pub(super) image: usize,
}

/// In which order the users' requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All users at a time: each request is of any user, as if by lot.
    Mixed,
    /// A user spends the whole day's permits, then the next one does.
    InTurn,
}

impl Day {
    pub(super) fn writes_of_a_user(&self) -> f64 {
        f64::from(self.writes) / f64::from(self.users)
    }
}

/// Lives through a day, from midnight to midnight, of a device for `USERS` users with a token each, that has run before.
pub(super) fn live<const USERS: usize>(ahead: u32, order: Order) -> Day {
    let mut device = Device::<USERS>::new(ahead);
    // The evening before: everybody has asked for something, and the calendar is stored.
    for user in 0..USERS {
        device.post(user, DAY_MS - 1);
    }
    device.writes = 0;
    let mut left = [LIMIT; USERS];
    let mut random = Random(RANDOM_START);
    let all = u64::from(LIMIT) * USERS as u64;
    for number in 0..all {
        let start = match order {
            Order::Mixed => random.below(USERS),
            Order::InTurn => 0,
        };
        let users = (start..USERS).chain(0..start);
        let Some(user) = users.into_iter().find(|&user| left[user] > 0) else {
            unreachable!("as many requests as permits")
        };
        left[user] -= 1;
        device.post(user, DAY_MS + number * DAY_MS / all);
    }
    Day {
        users: u32::try_from(USERS).expect("few users"),
        writes: device.writes,
        image: device.limiter.limiter().snapshot_size(),
    }
}

struct Device<const USERS: usize> {
    limiter: Reserved<USERS, USERS>,
    writes: u32,
    buffer: Vec<u8>,
}

impl<const USERS: usize> Device<USERS> {
    fn new(ahead: u32) -> Self {
        let reserve = Reserve {
            ahead: NonZeroU32::new(ahead).expect("a reserve"),
            ..Reserve::DEFAULT
        };
        let policy = Policy::builder()
            .window(std::time::Duration::from_secs(2))
            .plan(Plan::ESSENTIAL, 100_000, 100_000)
            .daily_limit(LIMIT)
            .build()
            .expect("a policy");
        let mut limiter = Reserved::<USERS, USERS>::new(policy, reserve);
        for user in 0..USERS {
            let id = KEY.user(&name(user));
            let registration = Registration::new(id, Kind::ApiToken, Plan::ESSENTIAL);
            limiter
                .register(KEY.token(&name(user)), registration, at(0))
                .expect("there is room");
        }
        Self {
            buffer: vec![0; limiter.limiter().snapshot_size()],
            limiter,
            writes: 0,
        }
    }

    /// Admits a write of a user, and makes the writes that are due for it, before or after.
    fn post(&mut self, user: usize, ms: u64) {
        let request = Request::new(KEY.token(&name(user)), Method::Post);
        let mut verdict = self.limiter.check(&request, at(ms));
        let decision = loop {
            match verdict {
                Verdict::Decided { decision, due } => {
                    if due.is_some() {
                        self.write(ms);
                    }
                    break decision;
                }
                Verdict::WriteFirst(_) => {
                    self.write(ms);
                    verdict = self.limiter.check_again(&request, at(ms));
                }
            }
        };
        assert!(decision.is_admitted(), "user {user} at {ms}: {decision:?}");
    }

    fn write(&mut self, ms: u64) {
        let draft = self
            .limiter
            .draft(&KEY, &mut self.buffer[..], at(ms).monotonic())
            .expect("the buffer is large enough");
        self.limiter.stored(draft);
        self.writes += 1;
    }
}

fn name(user: usize) -> [u8; 8] {
    user.to_le_bytes()
}

/// The moment so many milliseconds after the midnight that the device was switched on at.
fn at(ms: u64) -> Now {
    let utc = 20_000 * 86_400 + ms / 1_000;
    Now::new(Instant::from_millis(ms), UnixTime::from_secs(utc))
}

/// Numbers that look random and are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The upper half is the better one.
        (self.0 >> 32) as usize % end
    }
}

/// A user's permits of a day, as the page has them.
pub(super) const LIMIT: u32 = 10_000;
const KEY: HashKey = HashKey::new(*b"provisioned once");
const DAY_MS: u64 = 86_400_000;
const RANDOM_START: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_makes_the_limit_over_the_reserve_many_writes() {
        for ahead in [1, 7, 100, 3_000, 10_000, 20_000] {
            let day = live::<1>(ahead, Order::Mixed);
            assert_eq!(day.writes, LIMIT.div_ceil(ahead), "{ahead}");
            assert_eq!(day.image, 76 + 16 + 16);
        }
    }

    #[test]
    fn a_write_serves_all_who_are_due() {
        for ahead in [10, 100] {
            let mixed = live::<8>(ahead, Order::Mixed);
            let in_turn = live::<8>(ahead, Order::InTurn);
            // One after another nobody shares a write, but the first one of a day.
            let alone = 8 * LIMIT / ahead;
            assert!(in_turn.writes.abs_diff(alone) <= 8, "{in_turn:?}");
            assert!(mixed.writes < alone / 2, "{mixed:?}");
            // A reserve is renewed when half of it is left, so it takes no more than twice as many.
            assert!(mixed.writes >= LIMIT / ahead, "{mixed:?}");
        }
    }
}
