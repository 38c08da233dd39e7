//! What is stored, who waits, and what the writer is to do: all under one lock, held for a moment.

use super::options::Options;
use crate::Concurrent;
use crate::concurrent::restart::Seated;
use limiter_core::daily::Day;
use limiter_core::snapshot::UserRecord;
use limiter_core::{Bound, Decision, Instant, Policy};
use std::task::Waker;

/// A charge that is not handed out yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The user's place, and the number of the tenancy of its row.
    pub(super) place: u32,
    pub(super) tenancy: u64,
    /// The accounting day that was charged.
    pub(super) refills: u32,
    /// What was used of it by then, this charge included; `None` if the row is of a later day.
    pub(super) used: Option<u32>,
    /// What it charged.
    pub(super) cost: u32,
}

impl Claim {
    /// What a decision charged to a user's day, if it did.
    pub(super) fn of(decision: &Decision, limiter: &Concurrent) -> Option<Self> {
        let receipt = decision.receipt()?;
        let (place, refills) = (receipt.user()?, receipt.refills());
        let (day, tenancy) = limiter.day_at(place)?;
        Some(Self {
            place,
            tenancy,
            refills,
            cost: receipt.cost(),
            used: (day.refills() == refills).then_some(day.used()),
        })
    }
}

/// One user's bound.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    tenancy: u64,
    refills: u32,
    bound: Bound,
    /// Where the bound is.
    held: u32,
    /// What was used before the first claim of the day: what is charged beyond this and the bound
    /// is not handed out yet.
    base: Option<u32>,
}

#[derive(Debug)]
pub(super) struct State {
    seats: Vec<Seat>,
    /// The number of the last image.
    pub(super) number: u64,
    /// The day and the refills of the image that is stored.
    pub(super) stored_day: Option<(Option<u32>, u32)>,
    /// The writer is to write.
    pub(super) due: bool,
    /// Writes that began, the last of them that has ended, and the last that failed.
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
    /// The writer is to write for the last time.
    pub(super) closing: bool,
    /// Nothing that is not stored is handed out any more.
    pub(super) closed: bool,
    pub(super) waiting: usize,
    pub(super) wakers: Vec<Waker>,
    pub(super) counts: Counts,
    /// The moment of the image that is stored, if this process made it.
    pub(super) stored_at: Option<Instant>,
    /// Why the last write failed, if it did.
    pub(super) error: Option<String>,
    /// Permits by which bounds were raised since the image that is stored.
    pub(super) unprotected: u64,
}

/// How the writes of a [`Durable`](super::Durable) went, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Images that were stored.
    pub stored: u64,
    /// Images that could not be stored.
    pub failed: u64,
    /// Permits that were handed out without protection, after failed writes.
    pub unprotected_permits: u64,
    /// Requests that would have waited, and were refused since too many did.
    pub turned_away: u64,
}

impl State {
    pub(super) fn new(users: usize) -> Self {
        Self {
            seats: vec![Seat::default(); users],
            number: 0,
            stored_day: None,
            due: false,
            begun: 0,
            ended: 0,
            failed: 0,
            closing: false,
            closed: false,
            waiting: 0,
            wakers: Vec::new(),
            counts: Counts::default(),
            stored_at: None,
            error: None,
            unprotected: 0,
        }
    }

    /// Whether what was charged may be handed out.
    pub(super) fn covers(&mut self, claim: &Claim) -> bool {
        // Once a later day is stored, a restart cannot come back to this one.
        if let Some((_, stored)) = self.stored_day
            && is_later(stored, claim.refills)
        {
            return true;
        }
        match (self.seat(claim), claim.used) {
            (Some(seat), Some(used)) => seat.bound.covers(used, 0),
            _ => false,
        }
    }

    /// Notes how far the user's bound has to reach; says how many writes had begun. The next one
    /// covers the claim.
    pub(super) fn ask(&mut self, claim: &Claim) -> u64 {
        if let (Some(seat), Some(used)) = (self.seat(claim), claim.used) {
            seat.bound = seat.bound.ask(used, 0);
            let before = used.saturating_sub(claim.cost);
            if seat.held == 0 {
                seat.base = Some(seat.base.map_or(before, |base| base.min(before)));
            }
        }
        self.due = true;
        self.begun
    }

    /// Whether the user's reserve is nearly used, so that an image should be written soon.
    pub(super) fn is_low(&mut self, claim: &Claim, policy: &Policy, options: &Options) -> bool {
        match (self.seat(claim), claim.used) {
            (Some(seat), Some(used)) => seat.bound.is_low(&policy.daily(), &options.reserve, used),
            _ => false,
        }
    }

    /// The user's seat on the day of the claim; `None` if it is of a later day already.
    fn seat(&mut self, claim: &Claim) -> Option<&mut Seat> {
        let seat = self.seats.get_mut(claim.place as usize)?;
        if seat.tenancy != claim.tenancy {
            // Another user's bound is not for this one.
            *seat = Seat {
                tenancy: claim.tenancy,
                refills: claim.refills,
                ..Seat::default()
            };
        }
        if is_later(seat.refills, claim.refills) {
            return None;
        }
        if seat.refills != claim.refills {
            (seat.held, seat.base) = (0, None);
        }
        seat.refills = claim.refills;
        seat.bound = seat.bound.settle(claim.refills);
        Some(seat)
    }

    /// The record of the user at a place for the next image of the day `refills`: up to where he
    /// may go once that is stored.
    pub(super) fn draft(
        &self,
        place: usize,
        seated: &Seated,
        refills: u32,
        policy: &Policy,
        options: &Options,
    ) -> UserRecord {
        let record = seated.record;
        let Some(seat) = self.seats.get(place) else {
            return record;
        };
        if record.id == 0 || seat.tenancy != seated.tenancy || seat.refills != refills {
            return record;
        }
        let rule = policy.daily();
        // A charge that waits is not handed out: the reserve begins before it.
        let handed_out = match seat.base {
            Some(base) => record.used.min(seat.held).max(base.min(record.used)),
            None => record.used,
        };
        let reach = seat.bound.next(&rule, &options.reserve, handed_out);
        record.reserved_to(reach, &rule, refills)
    }

    /// Raises the bounds to what an image of the day `refills` says; answers by how many permits.
    pub(super) fn raise(&mut self, users: &[Seated], records: &[UserRecord], refills: u32) -> u64 {
        let mut all = 0;
        let rows = users.iter().zip(records);
        for (seat, (user, record)) in self.seats.iter_mut().zip(rows) {
            if record.id != 0 && seat.tenancy == user.tenancy && seat.refills == refills {
                let (raised, risen) = seat.bound.settle(refills).raise(record.used);
                seat.bound = raised;
                seat.held = seat.held.max(record.used);
                all += u64::from(risen);
            }
        }
        all
    }

    /// Permits that are reserved and not used on the day `refills`, by the users' days as they are.
    pub(super) fn unused(&self, refills: u32, day_at: impl Fn(u32) -> Option<(Day, u64)>) -> u64 {
        let seats = (0..).zip(&self.seats);
        let of_day = seats.filter(|(_, seat)| seat.held > 0 && seat.refills == refills);
        let unused = of_day.filter_map(|(place, seat)| {
            let (day, tenancy) = day_at(place)?;
            let used = day.settle(refills).used();
            (tenancy == seat.tenancy).then(|| u64::from(seat.held.saturating_sub(used)))
        });
        unused.sum()
    }

    /// Ends every reserve, for the last image.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.seats.fill(Seat::default());
        self.stored_day = None;
    }
}

/// Whether `refills` is a later accounting day than `than`; numbers go around.
fn is_later(refills: u32, than: u32) -> bool {
    refills.wrapping_sub(than).cast_signed() > 0
}
