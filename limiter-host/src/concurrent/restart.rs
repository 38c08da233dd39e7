//! The limiter over a restart (SPEC 10): what an image says of it, and what it makes of one. For
//! [`persist`](crate::persist), which knows what may be handed out.

use super::Concurrent;
use super::registry::Registry;
use super::row::{Lease, Row, abuse_bits, swap, window_bits};
use super::sync::{MutexGuard, Ordering, lock};
use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::daily::Day;
use limiter_core::limiter::{Restored, Terms};
use limiter_core::rules::{self, Account};
use limiter_core::snapshot::{BlockRecord, Image, UserRecord};
use limiter_core::window::Window;
use limiter_core::{
    Decision, Instant, Kind, Now, OffTime, Origin, Policy, Registration, Request, RestoreError,
    TokenLimit, UserId,
};
use std::num::NonZeroU64;

/// The rows, and the calendar that they are of.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) calendar: Calendar,
    /// The time of the time line at which they stood so.
    pub(crate) at: Instant,
    /// By place.
    pub(crate) users: Vec<Seated>,
    pub(crate) blocks: Vec<BlockRecord>,
}

/// A user's record, and the number of the tenancy of its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seated {
    pub(crate) tenancy: u64,
    pub(crate) record: UserRecord,
}

impl Concurrent {
    /// How many rows the limiter has: for tokens, for users.
    pub(crate) fn capacity(&self) -> (usize, usize) {
        (self.tokens, self.users.len())
    }

    /// What an image made at `now` holds, with exact counts. Decisions go on meanwhile: one that is
    /// made during this is in the image or is not. *O*(rows), under the registry's lock.
    pub(crate) fn image_rows(&self, now: Instant) -> Rows {
        let registry = lock(&self.registry);
        let policy = *self.policies.current();
        let at = self.calendar.time_of(now);
        let (calendar, users) = loop {
            let calendar = self.calendar.calendar();
            let users = self.seats(&registry, &policy, calendar.refills());
            // A row of a later day would look unused. Rows follow the calendar, so if that has not
            // moved there was none.
            if self.calendar.calendar().refills() == calendar.refills() {
                break (calendar, users);
            }
        };
        let rows = (0..self.table.rows()).filter_map(|index| self.table.row(index));
        let blocks = rows.filter_map(|row| {
            let id = row.head.id.load(Ordering::Acquire);
            let abuse = Abuse::from_bits(row.state.abuse.load(Ordering::Acquire));
            policy.block()?;
            let left_ms = abuse.blocked_ms(at);
            (id != 0 && left_ms > 0).then_some(BlockRecord { id, left_ms })
        });
        Rows {
            calendar,
            at,
            users,
            blocks: blocks.collect(),
        }
    }

    fn seats(&self, registry: &Registry, policy: &Policy, refills: u32) -> Vec<Seated> {
        let users = (0..).zip(self.users.iter());
        let seats = users.map(|(place, user)| {
            let record = user.record();
            let day = Day::from_bits(user.day.load(Ordering::Acquire));
            Seated {
                tenancy: record.tenancy(),
                record: UserRecord {
                    id: registry.user(place),
                    used: day.settle(refills).used(),
                    strikes: rules::standing_strikes(policy, record.strikes(), refills),
                },
            }
        });
        seats.collect()
    }

    /// The day of the user at a place as it stands, and the number of the tenancy of its row.
    pub(crate) fn day_at(&self, place: u32) -> Option<(Day, u64)> {
        let user = self.users.get(place as usize)?;
        let day = Day::from_bits(user.day.load(Ordering::Acquire));
        Some((day, user.record().tenancy()))
    }

    /// Takes over what an image holds, as [`limiter_core::LimiterIn::restore`] does. Tokens may be
    /// registered before or after, but nothing decided before.
    pub(crate) fn take_over(
        &self,
        image: &Image<'_>,
        off_time: OffTime,
        now: Now,
    ) -> Result<Restored, RestoreError> {
        let mut registry = lock(&self.registry);
        if self.calendar.calendar().is_started() {
            return Err(RestoreError::InUse);
        }
        let restored = self.measure(&registry, image)?;
        let saved = &image.header().calendar;
        let first = now.monotonic();
        self.calendar
            .restore(first, |at| Calendar::restore(saved, off_time, at));
        let calendar = self.calendar.calendar();
        for record in image.users() {
            let Some(place) = registry.place_of(record.id) else {
                continue; // Never: there is room.
            };
            let Some(user) = self.users.get(place as usize) else {
                continue; // Never: it was just given.
            };
            let day = Day::new(calendar.refills(), record.used);
            user.day.store(day.to_bits(), Ordering::Release);
            let seen = user.record();
            user.swap_strikes(seen, record.strikes);
        }
        drop(registry);
        for block in image.blocks() {
            self.resume_block(block, now);
        }
        self.token_wakes.wake_all();
        self.user_wakes.wake_all();
        Ok(restored)
    }

    /// Whether there is room for all that the image holds.
    fn measure(
        &self,
        registry: &MutexGuard<'_, Registry>,
        image: &Image<'_>,
    ) -> Result<Restored, RestoreError> {
        let new_users = image.users().filter(|user| !registry.knows(user.id));
        let is_new = |block: &BlockRecord| {
            self.table
                .find(self.table.home(block.id), block.id)
                .is_none()
        };
        let new_tokens = image.blocks().filter(is_new).count();
        let (users, tokens) = (image.users().count(), image.blocks().count());
        let [users, tokens] = [users, tokens].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        // Blocked tokens that are not registered yet share one user's row more.
        let user_rows = new_users.count() + usize::from(new_tokens > 0);
        if user_rows > registry.room(self.users.len()) || new_tokens > self.tokens - registry.rows()
        {
            return Err(RestoreError::NoRoom { users, tokens });
        }
        Ok(Restored {
            number: image.header().number,
            users,
            tokens,
        })
    }

    /// Blocks a token, which is registered for nobody and revoked if it has no row (P4).
    fn resume_block(&self, block: BlockRecord, now: Now) {
        let Some(id) = NonZeroU64::new(block.id) else {
            return;
        };
        let token = limiter_core::TokenId::from_hash(id);
        let new = self
            .table
            .find(self.table.home(block.id), block.id)
            .is_none();
        if new {
            let nobody = Registration {
                user: UserId::from_hash(NonZeroU64::MAX),
                kind: Kind::ApiToken,
                limit: TokenLimit::Own(1),
                pinned: false,
            };
            // There is room: it was looked for.
            let _ = self.register(token, nobody, now);
        }
        if let Some(row) = self.table.find(self.table.home(block.id), block.id) {
            let at = self.calendar.time_of(now.monotonic());
            let abuse = Abuse::blocked_for(block.left_ms, at);
            row.state
                .abuse
                .store(abuse_bits(abuse, block.id), Ordering::Release);
        }
        if new {
            self.revoke(token, now);
        }
    }

    /// Makes the counts of the accounting day lost (R5).
    pub(crate) fn lose_counts(&self) {
        self.calendar.lose();
    }

    /// Refuses a request that counts daily while the counts are lost; `None` if it does not, or
    /// they no longer are: then [`Concurrent::check`] decides.
    pub(crate) fn refuse_lost(&self, request: &Request, now: Now) -> Option<Decision> {
        let token = request
            .token
            .filter(|_| request.origin != Origin::Webhook)?;
        let policy = self.policies.current();
        let now = now.with_floor(policy.utc_floor());
        let row = self.known(token)?;
        let lease = row.lease();
        if !rules::counts_daily(policy, lease.terms().kind(), request) {
            return None;
        }
        let (calendar, now) = self.calendar.take(now);
        if !calendar.is_lost() {
            return None;
        }
        let decision = decide_lost(policy, &calendar, row, lease, request, now)?;
        self.counts.count(decision.outcome());
        Some(decision)
    }
}

/// `None` if the row is used at this very moment: it is decided again then.
fn decide_lost(
    policy: &Policy,
    calendar: &Calendar,
    row: Row<'_>,
    lease: Lease,
    request: &Request,
    now: Now,
) -> Option<Decision> {
    let token = request.token?;
    for _ in 0..1_000 {
        let words = (
            row.state.window.load(Ordering::Acquire),
            row.state.abuse.load(Ordering::Acquire),
        );
        let mut window = Window::from_bits(words.0);
        let mut abuse = Abuse::from_bits(words.1);
        let terms: Terms = lease.terms();
        let account = Account {
            token,
            kind: terms.kind(),
            limit: terms.limit(),
            window: &mut window,
            abuse: &mut abuse,
            user: lease.user(),
            daily: None,
        };
        let decision = rules::decide_lost(policy, calendar, account, request, now);
        let id = token.as_u64();
        let stored = (abuse == Abuse::from_bits(words.1)
            || swap(&row.state.abuse, words.1, abuse_bits(abuse, id)))
            && (window == Window::from_bits(words.0)
                || swap(&row.state.window, words.0, window_bits(window, id)));
        if stored {
            return Some(decision);
        }
    }
    Some(Decision::refused(limiter_core::Reason::StoreFailed, 1_000))
}
