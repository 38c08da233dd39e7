//! What goes to a script and comes back, as bytes: big-endian whole numbers of fixed width, which
//! `struct.pack` and `struct.unpack` of the server's Lua write and read. No text of a caller is
//! among them.

use super::records::put_abuse;
use limiter_core::abuse::Abuse;
use limiter_core::daily::DailyMode;
use limiter_core::{Instant, Now, Policy, Receipt, UnixTime};
use redis::Value;
use std::time::Duration;

/// Writes numbers one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packer(Vec<u8>);

impl Packer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends the low `bytes` bytes of `value`, at most 8.
    #[must_use]
    pub(super) fn put(mut self, bytes: usize, value: impl Into<u64>) -> Self {
        let value = value.into().to_be_bytes();
        self.0.extend_from_slice(&value[8 - bytes..]);
        self
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads numbers one after the other; past the end all are 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker<'a>(pub(super) &'a [u8]);

impl Unpacker<'_> {
    pub(super) fn take(&mut self, bytes: usize) -> u64 {
        let (head, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        head.iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    pub(super) fn take_u32(&mut self, bytes: usize) -> u32 {
        // OK because at most 4 bytes are asked for.
        u32::try_from(self.take(bytes)).unwrap_or_default()
    }
}

/// The policy as `check.lua` takes it, behind the request.
pub(super) fn pack_policy(policy: &Policy) -> Vec<u8> {
    let (mode, tolerated, forgiven) = match policy.daily().mode {
        DailyMode::Advisory => (1_u8, 0, 0),
        DailyMode::FairUse {
            tolerated_days,
            forgiven_after_days,
        } => (2, tolerated_days, forgiven_after_days),
        // Also one that this crate does not know yet: the strictest reading.
        _ => (0, 0, 0),
    };
    let block = policy.block();
    let of_block =
        |number: fn(&limiter_core::policy::BlockRule) -> u32| block.as_ref().map_or(0, number);
    Packer::with_capacity(30)
        .put(4, policy.window_ms())
        .put(4, policy.daily().limit)
        .put(1, mode)
        .put(1, tolerated)
        .put(2, forgiven)
        .put(4, of_block(|rule| rule.offences()))
        .put(4, of_block(|rule| rule.within_ms()))
        .put(4, of_block(|rule| rule.duration_ms()))
        .put(1, block.is_some_and(|rule| rule.extend_on_hit()))
        .put(5, policy.utc_floor().as_secs())
        .into_bytes()
}

/// What `check.lua` is asked, beside the policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Only to look (P1).
    pub(super) peek: bool,
    /// Whether a look takes its reading for the time line all the same (M1).
    pub(super) take: bool,
    /// Whether a refusal would be an offence (O7).
    pub(super) offends: bool,
    /// The token is of a kind that no block holds (B5).
    pub(super) immune: bool,
    /// Permits per window.
    pub(super) limit: u32,
    /// Permits asked for.
    pub(super) cost: u32,
    /// The moment, `None` for the server's.
    pub(super) now: Option<Now>,
    /// Permits wanted ahead of need, of the window and of the day.
    pub(super) want: Permits,
    /// Permits that were taken ahead of need and go back now.
    pub(super) back: Held,
    /// True if the request waits where counts may have been lost just now.
    pub(super) fenced: bool,
    /// Offences that were counted here alone.
    pub(super) pending: Option<Pending>,
}

/// So many permits of a window and of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Permits {
    pub(super) window: u32,
    pub(super) day: u32,
}

/// Permits held ahead of need, and of which window and day they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) permits: Permits,
    /// The start of the window.
    pub(super) start: Instant,
    /// The accounting day, by its number of refills.
    pub(super) refills: u32,
    /// When the calendar was born with which they were taken.
    pub(super) born: u64,
}

/// Offences of refusals that were decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// How many there were.
    pub(super) count: u32,
    /// How long ago the last one was, in milliseconds.
    pub(super) age_ms: u32,
    /// The conduct that the first of them was added to.
    pub(super) before: Abuse,
    /// The conduct with all of them.
    pub(super) after: Abuse,
}

impl Ask {
    /// Returns true if something comes along that must not be taken in twice.
    pub(super) fn takes_along(&self) -> bool {
        self.pending.is_some() || self.back.permits != Permits::default()
    }

    /// What every request has, and the policy.
    pub(super) fn pack(&self, packed_policy: &[u8]) -> Vec<u8> {
        let mut flags = 0_u8;
        for (set, flag) in [
            (self.peek, PEEK),
            (self.offends, OFFENDS),
            (self.now.is_some(), INJECTED),
            (self.fenced, FENCED),
            (self.immune, IMMUNE),
            (self.take, TAKES),
            (self.takes_along(), ONCE),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let mut bytes = Packer::with_capacity(9 + packed_policy.len())
            .put(1, flags)
            .put(4, self.limit)
            .put(4, self.cost)
            .into_bytes();
        bytes.extend_from_slice(packed_policy);
        bytes
    }

    /// What is rare: the moment, and what is ahead of need; `None` if there is nothing of it.
    pub(super) fn pack_more(&self) -> Option<Vec<u8>> {
        let nothing = Permits::default();
        if self.now.is_none()
            && self.pending.is_none()
            && (self.want, self.back.permits) == (nothing, nothing)
        {
            return None;
        }
        let now = self.now.unwrap_or(Now::new(Instant::ZERO, None));
        let packer = Packer::with_capacity(43)
            .put(6, now.monotonic().as_millis())
            .put(5, now.utc().map_or(UNKNOWN_UTC, UnixTime::as_secs))
            .put(4, self.want.window)
            .put(4, self.want.day)
            .put(4, self.back.permits.window)
            .put(6, self.back.start.as_millis())
            .put(4, self.back.permits.day)
            .put(4, self.back.refills)
            .put(6, self.back.born);
        Some(packer.into_bytes())
    }
}

/// What `check.lua` answers: what it decided and granted, and the records, none where it found none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    /// The reading.
    pub(super) now: Now,
    /// Its number for what it decided; [`LOOKED`] if it only looked.
    pub(super) decided: u8,
    pub(super) granted: Permits,
    /// When the calendar was born.
    pub(super) born: u64,
    pub(super) token: &'a [u8],
    pub(super) calendar: &'a [u8],
    pub(super) user: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads an answer; `None` if its length is wrong.
    pub(super) fn unpack(bytes: &'a [u8]) -> Option<Self> {
        let (head, records) = bytes.split_at_checked(29)?;
        let mut head = Unpacker(head);
        let (at, utc) = (head.take(6), head.take(5));
        let decided = u8::try_from(head.take(1)).ok()?;
        let granted = Permits {
            window: head.take_u32(4),
            day: head.take_u32(4),
        };
        let born = head.take(6);
        let mut length = || usize::try_from(head.take(1)).ok();
        let (of_token, of_calendar, of_user) = (length()?, length()?, length()?);
        let (token, records) = records.split_at_checked(of_token)?;
        let (calendar, user) = records.split_at_checked(of_calendar)?;
        (user.len() == of_user).then_some(Self {
            now: Now::new(Instant::from_millis(at), UnixTime::from_secs(utc)),
            decided,
            granted,
            born,
            token,
            calendar,
            user,
        })
    }
}

impl Reply<'_> {
    /// The time to wait before the same question is sent again, if an answer says so.
    pub(super) fn wait(value: &Value) -> Option<Duration> {
        let Value::BulkString(bytes) = value else {
            return None;
        };
        let reply = Reply::unpack(bytes).filter(|reply| reply.decided == WAIT)?;
        Some(Duration::from_millis(reply.granted.window.into()))
    }
}

impl Pending {
    pub(super) fn pack(&self) -> Vec<u8> {
        let packer = Packer::with_capacity(28)
            .put(4, self.count)
            .put(4, self.age_ms);
        put_abuse(put_abuse(packer, self.before), self.after).into_bytes()
    }
}

/// What `give_back.lua` is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    pub(super) to: BackTo,
    pub(super) permits: u32,
    /// When the calendar was born with which they were taken; 0 if that is not known.
    pub(super) born: u64,
}

/// A window or a day that gets permits back.
#[derive(Clone, Copy, Debug)]
pub(super) enum BackTo {
    /// By its start.
    Window(Instant),
    /// By its number of refills.
    Day(u32),
}

impl BackTo {
    /// All permits of an admission.
    pub(super) const fn receipt(self, receipt: &Receipt) -> Back {
        Back {
            to: self,
            permits: receipt.cost(),
            born: 0,
        }
    }
}

impl Back {
    pub(super) fn pack(&self) -> Vec<u8> {
        let (of_day, mark) = match self.to {
            BackTo::Window(start) => (false, start.as_millis()),
            BackTo::Day(refills) => (true, refills.into()),
        };
        Packer::with_capacity(17)
            .put(1, of_day)
            .put(6, mark)
            .put(4, self.permits)
            .put(6, self.born)
            .into_bytes()
    }
}

const PEEK: u8 = 1;
const OFFENDS: u8 = 2;
const INJECTED: u8 = 4;
const FENCED: u8 = 8;
const IMMUNE: u8 = 16;
const TAKES: u8 = 32;
const ONCE: u8 = 64;
/// The script's number for having decided nothing.
pub(super) const LOOKED: u8 = 5;
/// Its number for a record that it cannot read.
pub(super) const UNREADABLE: u8 = 6;
/// Its number for having to be asked again; what it granted is in how many milliseconds.
pub(super) const WAIT: u8 = 7;
/// The first number that is no time (SPEC 2).
const UNKNOWN_UTC: u64 = 1 << 39;

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::Plan;

    #[test]
    fn a_policy_is_30_bytes_and_a_plain_ask_9_more() {
        let policy = Policy::builder()
            .window(Duration::from_secs(2))
            .plan(Plan::new(0), 1, 1)
            .block(3, Duration::from_secs(1), Duration::from_secs(2))
            .build()
            .unwrap();
        let packed_policy = pack_policy(&policy);
        assert_eq!(packed_policy.len(), 30);
        let mut ask = Ask {
            peek: false,
            take: false,
            offends: true,
            immune: false,
            limit: 1,
            cost: 1,
            now: None,
            want: Permits::default(),
            back: Held::default(),
            fenced: false,
            pending: None,
        };
        let packed = ask.pack(&packed_policy);
        assert_eq!((packed.len(), packed[0]), (39, OFFENDS));
        assert_eq!(ask.pack_more(), None);
        ask.now = Some(Now::new(Instant::from_millis(258), None));
        assert_eq!(ask.pack(&packed_policy)[0], OFFENDS | INJECTED);
        let more = ask.pack_more().unwrap();
        assert_eq!(
            (more.len(), &more[..11]),
            (43, &[0, 0, 0, 0, 1, 2, 128, 0, 0, 0, 0][..])
        );
    }

    #[test]
    fn an_answer_has_the_records_behind_their_lengths() {
        let mut bytes = vec![0, 0, 0, 0, 1, 2, 0, 95, 94, 16, 0, 4];
        bytes.extend([0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 1, 0, 2, 0, 1]);
        assert_eq!(Reply::unpack(&bytes), None);
        bytes.extend([8, 9, 7]);
        let reply = Reply::unpack(&bytes).unwrap();
        let (window, day) = (reply.granted.window, reply.granted.day);
        assert_eq!(reply.now.utc().map(UnixTime::as_secs), Some(0x5f5e_1000));
        assert_eq!((reply.decided, window, day), (4, 3, 4));
        assert_eq!(reply.born, 256);
        let none: &[u8] = &[];
        assert_eq!(
            (reply.token, reply.calendar, reply.user),
            (&[8, 9][..], none, &[7][..])
        );
        bytes.push(0);
        assert_eq!(Reply::unpack(&bytes), None);
        assert_eq!(Reply::unpack(&bytes[..28]), None);
    }
}
