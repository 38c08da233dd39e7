//! A limiter that hands out only what was stored before (SPEC R2): the core never writes, it says
//! when a write is due and takes note of how it went.

#[cfg(feature = "critical-section")]
mod blank;
mod manage;
mod verdict;

pub use self::verdict::{Draft, OnLostState, ReserveCounts, Verdict, WriteDue};

use super::restart::Restored;
use super::rows::{TokenRow, UserRow};
use super::{Limiter, LimiterIn, Outage};
use crate::calendar::OffTime;
use crate::daily::DailyRule;
use crate::decision::{Decision, Reason};
use crate::math;
use crate::policy::Policy;
use crate::request::{Kind, Origin, Request};
use crate::reserve::{Bound, KeptReserve, OnFailedWrite, Reserve};
use crate::rules;
use crate::snapshot::{EncodeError, Image, RestoreError, drafted_users};
use crate::time::{Instant, Now};
use crate::token::{HashKey, TokenId};

/// A limiter for up to `TOKENS` tokens of up to `USERS` users whose daily counts survive a power cut
/// at any moment: 16 bytes a user more than [`Limiter`], and a fixed rest. It can be a `static`.
///
/// ```
/// use limiter_core::{HashKey, Instant, Kind, Method, Now, OffTime, Plan, Policy, Registration};
/// use limiter_core::{Request, Reserve, Reserved, UnixTime, Verdict, snapshot};
///
/// type Metered = Reserved<8, 8>;
/// let key = HashKey::new(*b"provisioned once");
/// let token = key.token(b"a1b2c3");
/// let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
/// let now = Now::new(Instant::ZERO, UnixTime::from_secs(1_716_000_000));
/// let mut flash = Vec::new(); // what stands for a storage that is written as a whole
///
/// let mut limiter = Metered::new(Policy::pipedrive(), Reserve::DEFAULT);
/// limiter.register(token, martin, now)?;
/// let mut buffer = [0; snapshot::size(8, 8)];
/// for _ in 0..3 {
///     let request = Request::new(token, Method::Post);
///     let mut verdict = limiter.check(&request, now);
///     let decision = loop {
///         match verdict {
///             Verdict::Decided { decision, .. } => break decision,
///             Verdict::WriteFirst(_) => {
///                 let draft = limiter.draft(&key, &mut buffer[..], now.monotonic())?;
///                 flash = draft.bytes().to_vec(); // may fail: then `limiter.failed(draft)`
///                 limiter.stored(draft);
///                 verdict = limiter.check_again(&request, now);
///             }
///         }
///     };
///     assert!(decision.is_admitted());
/// }
///
/// // The power fails. 3 permits were used and 100 reserved: the count resumes at 100.
/// let mut limiter = Metered::new(Policy::pipedrive(), Reserve::DEFAULT);
/// limiter.restore(&key, &flash, OffTime::Trust, now.monotonic())?;
/// limiter.register(token, martin, now)?;
/// let decision = limiter.peek(&Request::new(token, Method::Post), now);
/// assert_eq!(decision.quota().unwrap().daily_left, Some(9_899));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub type Reserved<const TOKENS: usize, const USERS: usize> =
    ReservedIn<[TokenRow; TOKENS], [UserRow; USERS], [Bound; USERS]>;

/// A limiter that reserves ahead, over rows and bounds in memory of your choice.
///
/// Its journey of a request: [`check`](Self::check) decides. If it answers
/// [`Verdict::WriteFirst`], or beside a decision that a write is due, take a
/// [`draft`](Self::draft), store its bytes as a whole where the newest stored image is not, and say
/// [`stored`](Self::stored) or [`failed`](Self::failed); for `WriteFirst` then
/// [`check_again`](Self::check_again), until the request is decided. Between a draft and its end
/// anything else may be done, also another check and another draft; a draft that never ends (a task
/// was cancelled) raises nothing. Drafts are to be stored in the order in which they were taken, and
/// an image must stay whole until a newer one is. Two places are the least: write the one that does
/// not hold the last image that was stored, and after a write that failed the same one again.
///
/// What the plain limiter offers and is not here is behind [`limiter`](Self::limiter).
#[derive(Clone, Debug)]
pub struct ReservedIn<T, U, B> {
    limiter: LimiterIn<T, U>,
    /// By the users' places.
    bounds: B,
    reserve: KeptReserve,
    /// The number of the last draft.
    number: u64,
    /// Drafts up to this one raise no bound any more: a newer one is stored, all of them failed, or
    /// what they reserve was given up.
    settled: u64,
    /// Drafts that failed since.
    failures: u64,
    /// The outcome of the write that ended last: true if it failed.
    has_failed: bool,
    /// The reading of the last request that a write came before, and the time that it stood for.
    waiting: (Instant, Instant),
    /// The UTC day and the refills of the image that is stored.
    stored_day: (Option<u32>, u32),
    /// The number of the last draft when a block last began or was lifted that no stored image
    /// holds yet.
    block_after: Option<u64>,
    /// The moment of the last draft.
    drafted_at: Option<Instant>,
    counts: ReserveCounts,
}

impl<const TOKENS: usize, const USERS: usize> Reserved<TOKENS, USERS> {
    /// An empty limiter that nothing is reserved for.
    #[must_use]
    pub const fn new(policy: Policy, reserve: Reserve) -> Self {
        Self {
            limiter: Limiter::new(policy),
            bounds: [Bound::NONE; USERS],
            reserve: KeptReserve::new(reserve),
            number: 0,
            settled: 0,
            failures: 0,
            has_failed: false,
            waiting: (Instant::ZERO, Instant::ZERO),
            stored_day: NOTHING,
            block_after: None,
            drafted_at: None,
            counts: ReserveCounts::ZERO,
        }
    }
}

impl<T, U, B> ReservedIn<T, U, B>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
    B: AsRef<[Bound]> + AsMut<[Bound]>,
{
    /// An empty limiter over memory of yours, which is cleared. A user without a bound, where there
    /// are fewer bounds than user rows, is never handed out what counts daily.
    #[must_use]
    pub fn with_rows(policy: Policy, reserve: Reserve, tokens: T, users: U, mut bounds: B) -> Self {
        bounds.as_mut().fill(Bound::NONE);
        Self {
            limiter: LimiterIn::with_rows(policy, tokens, users),
            bounds,
            reserve: KeptReserve::new(reserve),
            number: 0,
            settled: 0,
            failures: 0,
            has_failed: false,
            waiting: (Instant::ZERO, Instant::ZERO),
            stored_day: NOTHING,
            block_after: None,
            drafted_at: None,
            counts: ReserveCounts::ZERO,
        }
    }

    /// Decides a request as [`LimiterIn::check`] does, unless that would hand out permits that are
    /// not reserved: then a write comes first, and nothing is charged, though the calendar, the
    /// window's expiry and the block's end are as after a decision (O8).
    ///
    /// A request that does not count daily, or that is refused, waits for no write. One write serves
    /// all who wait for it, also several of one user. *O*(1) but for two look-ups.
    pub fn check(&mut self, request: &Request, now: Now) -> Verdict {
        self.decide(request, now, None, Bound::ask_behind)
    }

    /// Decides a request again whose write has come to an end. If that failed, and its permits are
    /// not reserved, it is refused `store_failed` (O8). If it was stored and they are not reserved all
    /// the same, since midnight lay between or others were quicker, another write comes first: so a
    /// request is never refused for want of a storage that works.
    ///
    /// Call it once for each [`Verdict::WriteFirst`], however the write went.
    pub fn check_again(&mut self, request: &Request, now: Now) -> Verdict {
        // The same reading is taken once (M1).
        let (reading, time) = self.waiting;
        let time = Some(time).filter(|_| reading == now.monotonic());
        // Its demand is in the line already.
        let verdict = self.decide(request, now, time, |bound, _, used, cost| {
            bound.ask(used, cost)
        });
        let refuses =
            self.has_failed && self.reserve.get().on_failed_write == OnFailedWrite::Refuse;
        match verdict {
            Verdict::WriteFirst(_) if refuses => {
                let place = self.daily_row(request).map(|(_, row)| row.user);
                if let Some(bound) = place.and_then(|place| self.bound_mut(place)) {
                    *bound = bound.leave(request.cost.get());
                }
                self.refuse_unstored(request)
            }
            verdict => verdict,
        }
    }

    /// Writes the next image into `buffer`: one that reserves permits for every user who needs some
    /// now, or will soon. So one write serves them all.
    ///
    /// It holds nothing that is handed out yet: only [`ReservedIn::stored`] makes that so.
    /// *O*(bytes); does not allocate.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; nothing is changed.
    pub fn draft<M>(
        &mut self,
        key: &HashKey,
        mut buffer: M,
        now: Instant,
    ) -> Result<Draft<M>, EncodeError>
    where
        M: AsRef<[u8]> + AsMut<[u8]>,
    {
        let policy = self.limiter.policy;
        let calendar = self.limiter.calendar;
        let refills = calendar.refills();
        let number = self.number.wrapping_add(1);
        let bounds = self.bounds.as_mut();
        let length =
            self.limiter
                .write_image(key, number, buffer.as_mut(), now, |place, record| {
                    let Some(bound) = bounds.get_mut(math::to_index(place)) else {
                        return record;
                    };
                    if record.id == 0 || calendar.is_lost() {
                        return record;
                    }
                    let settled = bound.settle(refills);
                    let reach = settled.next(&policy.daily, &self.reserve.get(), record.used);
                    *bound = settled.draft(reach);
                    record.reserved_to(reach, &policy.daily, refills)
                })?;
        self.number = number;
        self.drafted_at = Some(now);
        Ok(Draft {
            buffer,
            length,
            number,
            day: (calendar.day(), refills),
        })
    }

    /// Takes note that a draft is stored, whole and for good: what it reserves may be handed out.
    /// *O*(users).
    pub fn stored<M: AsRef<[u8]>>(&mut self, draft: Draft<M>) {
        self.counts.stored = self.counts.stored.wrapping_add(1);
        self.has_failed = false;
        self.stored_day = draft.day;
        if self.block_after.is_some_and(|number| draft.number > number) {
            self.block_after = None;
        }
        if draft.number > self.settled {
            self.raise(&draft);
            self.settle_drafts(draft.number);
        }
    }

    /// Takes note that a draft could not be stored. Under [`OnFailedWrite::Refuse`] what needs its
    /// reserve stays refused; under [`OnFailedWrite::GoOn`] it is handed out unprotected, and
    /// counted. *O*(users).
    pub fn failed<M: AsRef<[u8]>>(&mut self, draft: Draft<M>) {
        self.counts.failed = self.counts.failed.wrapping_add(1);
        self.has_failed = true;
        if draft.number <= self.settled {
            return;
        }
        if self.reserve.get().on_failed_write == OnFailedWrite::GoOn {
            let risen = self.raise(&draft);
            self.counts.unprotected_permits = self.counts.unprotected_permits.wrapping_add(risen);
        }
        self.failures = self.failures.wrapping_add(1);
        if self.number.wrapping_sub(self.settled) == self.failures {
            // None is under way any more, so the next one need not reach as far.
            self.settle_drafts(self.number);
            for bound in self.bounds.as_mut() {
                *bound = bound.without_drafts();
            }
        }
    }

    /// A write that is due though no request asks for it: for a block that began or was lifted soon
    /// after the write before ([`Reserve::block_write_ms`]). A decision mentions it too, so it takes
    /// a look of its own, once a second or so, only where requests may stay away. *O*(1).
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<WriteDue> {
        if self.is_block_due(now) {
            Some(self.write_due())
        } else {
            None
        }
    }

    /// Gives all reserves up and writes an image with the exact counts, for shutting down in order:
    /// stored as the last one it makes the restart cost nobody a permit. A request that counts daily
    /// after this needs a write first. *O*(bytes).
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; the reserves are given up all the same.
    pub fn last_draft<M>(
        &mut self,
        key: &HashKey,
        buffer: M,
        now: Instant,
    ) -> Result<Draft<M>, EncodeError>
    where
        M: AsRef<[u8]> + AsMut<[u8]>,
    {
        self.bounds.as_mut().fill(Bound::NONE);
        let draft = self.draft(key, buffer, now);
        // Earlier drafts may yet be said to be stored; they must not raise a bound again.
        self.settle_drafts(self.number);
        draft
    }

    /// Takes over what an image holds, as [`LimiterIn::restore`] does. Nothing is reserved yet: the
    /// counts resume at the bounds that the image holds.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; nothing is changed. If storage held something and no whole image was
    /// found, call [`ReservedIn::lose_state`]. A new device is one whose every place is
    /// [`RestoreError::Blank`], or where the caller knows that nothing was ever stored (no file is
    /// there) and does not call this at all.
    pub fn restore(
        &mut self,
        key: &HashKey,
        image: &[u8],
        off_time: OffTime,
        now: Instant,
    ) -> Result<Restored, RestoreError> {
        let image = Image::verify(image, key)?;
        let restored = self.limiter.take_over(&image, off_time, now)?;
        self.number = restored.number;
        self.settle_drafts(restored.number);
        let calendar = &self.limiter.calendar;
        self.stored_day = (calendar.day(), calendar.refills());
        Ok(restored)
    }

    /// Says that storage held something, but nothing whole (R5): until the calendar's next advance
    /// every request that counts daily is refused as if the day were spent, in every daily mode,
    /// and is no offence. If `policy` says [`OnLostState::Fresh`], nothing changes.
    ///
    /// Like [`ReservedIn::restore`] it belongs before the first decision. An image that is stored
    /// from then on says it too.
    pub const fn lose_state(&mut self, policy: OnLostState) {
        if let OnLostState::Refuse = policy {
            self.limiter.calendar.lose();
        }
        self.stored_day = NOTHING;
    }

    /// What [`ReservedIn::check`] would say once all is stored; see [`LimiterIn::peek`].
    pub fn peek(&self, request: &Request, now: Now) -> Decision {
        let limiter = &self.limiter;
        if let (Some((token, row)), true) = (self.daily_row(request), limiter.calendar.is_lost()) {
            let (mut row, now) = (*row, limiter.time_of(now));
            let mut calendar = limiter.calendar;
            calendar.feed(now);
            if calendar.is_lost() {
                let account = row.account(token, None);
                return rules::decide_lost(&limiter.policy, &calendar, account, request, now);
            }
        }
        limiter.peek(request, now)
    }

    /// How the writes went.
    #[must_use]
    pub const fn reserve_counts(&self) -> ReserveCounts {
        self.counts
    }

    /// The row of the token whose request counts daily.
    fn daily_row(&self, request: &Request) -> Option<(TokenId, &TokenRow)> {
        let token = request
            .token
            .filter(|_| request.origin != Origin::Webhook)?;
        let row = self.limiter.row(token)?;
        if rules::counts_daily(&self.limiter.policy, row.terms().kind(), request) {
            Some((token, row))
        } else {
            None
        }
    }

    /// The place of the user whose day the request counts in, and the time of the decision, which the
    /// calendar was fed with, if there is one. It is `time` if the time line took the reading before.
    fn feed_for_daily(
        &mut self,
        request: &Request,
        reading: Now,
        time: Option<Instant>,
    ) -> Option<(u32, Now)> {
        let (_, row) = self.daily_row(request)?;
        let place = row.user;
        let time = match time {
            Some(time) => time,
            None => self.limiter.line.take(reading.monotonic()),
        };
        Some((place, self.limiter.feed(reading, time)))
    }

    /// Decides what counts daily while the counts are lost.
    fn refuse_lost(&mut self, request: &Request, now: Now) -> Decision {
        let limiter = &mut self.limiter;
        let token = request.token;
        let row = token.and_then(|token| {
            let row = limiter.tokens.find_mut::<TokenRow>(token.as_u64())?;
            Some(row.account(token, None))
        });
        // There always is one: its day was looked for.
        let decision = match row {
            Some(account) => {
                rules::decide_lost(&limiter.policy, &limiter.calendar, account, request, now)
            }
            None => Decision::refused(Reason::Unauthenticated, 0),
        };
        limiter.counts.count(decision.outcome());
        decision
    }

    /// Decides a request, or has a write come first: then `ask` notes how far that has to reach. The
    /// time line took the reading before if there is a `time`.
    fn decide(
        &mut self,
        request: &Request,
        reading: Now,
        time: Option<Instant>,
        ask: Ask,
    ) -> Verdict {
        let fed = self.feed_for_daily(request, reading, time);
        let decision = match fed {
            Some((place, now)) if self.limiter.calendar.is_lost() => {
                let decision = self.refuse_lost(request, now);
                let due = if self.is_low(place) {
                    Some(self.write_due())
                } else {
                    None
                };
                return Verdict::Decided { decision, due };
            }
            Some((place, now)) => match self.reserve_for(place, request, now, ask) {
                Covered::Yes => self.limiter.check_fed(request, now),
                Covered::AfterWrite => {
                    self.waiting = (reading.monotonic(), now.monotonic());
                    return Verdict::WriteFirst(self.write_due());
                }
                Covered::Never => return self.refuse_unstored(request),
            },
            None => self.limiter.check(request, reading),
        };
        if self.begins_block(request, &decision) {
            self.note_block();
        }
        let is_due = fed.is_some_and(|(place, _)| self.is_low(place));
        let is_due = is_due || self.is_block_due(reading.monotonic());
        Verdict::Decided {
            decision,
            due: if is_due { Some(self.write_due()) } else { None },
        }
    }

    /// Whether the refusal was the offence that starts a block (B2): a token that is blocked already
    /// is refused for that reason.
    fn begins_block(&self, request: &Request, decision: &Decision) -> bool {
        let is_offence = matches!(decision.reason(), Some(Reason::Window | Reason::Daily));
        is_offence
            && request
                .token
                .and_then(|token| self.limiter.row(token))
                .is_some_and(|row| row.terms().kind() == Kind::ApiToken && row.abuse.is_blocked())
    }

    const fn note_block(&mut self) {
        self.block_after = Some(self.number);
    }

    /// Whether a block is to be stored now. A clock that was set back makes nothing wait.
    fn is_block_due(&self, now: Instant) -> bool {
        self.block_after.is_some()
            && self.drafted_at.is_none_or(|at| {
                now < at || now.saturating_since(at) >= u64::from(self.reserve.get().block_write_ms)
            })
    }

    fn refuse_unstored(&mut self, request: &Request) -> Verdict {
        Verdict::Decided {
            decision: self.refuse_for(request, Outage::StoreFailed),
            due: None,
        }
    }

    /// Whether the request would be admitted beyond the bound. Then it notes how far the bound has
    /// to reach, and settles what O8 says a failed write leaves settled.
    fn reserve_for(&mut self, place: u32, request: &Request, now: Now, ask: Ask) -> Covered {
        let limiter = &mut self.limiter;
        let refills = limiter.calendar.refills();
        let Some(user) = limiter.users.get(place) else {
            return Covered::Yes;
        };
        let used = user.day.settle(refills).used();
        let cost = request.cost.get();
        let bound = self.bounds.as_mut().get_mut(math::to_index(place));
        let settled = bound
            .as_ref()
            .map_or(Bound::NONE, |bound| bound.settle(refills));
        if settled.covers(used, cost) || !limiter.foresee(request, now).is_admitted() {
            return Covered::Yes;
        }
        let Some(bound) = bound else {
            return Covered::Never;
        };
        *bound = ask(settled, &limiter.policy.daily, used, cost);
        if let Some(row) = request
            .token
            .and_then(|token| limiter.tokens.find_mut::<TokenRow>(token.as_u64()))
        {
            let at = now.monotonic();
            row.window = row.window.settle(at, limiter.policy.window_ms);
            row.abuse = row.abuse.settle(at);
        }
        Covered::AfterWrite
    }

    /// Whether a write is due beside a decision: a reserve is nearly used, or the stored calendar
    /// is of another day.
    fn is_low(&self, place: u32) -> bool {
        let limiter = &self.limiter;
        let refills = limiter.calendar.refills();
        if self.stored_day != (limiter.calendar.day(), refills) {
            return true;
        }
        let Some(user) = limiter.users.get(place) else {
            return false;
        };
        let Some(bound) = self.bounds.as_ref().get(math::to_index(place)) else {
            return false;
        };
        let used = user.day.settle(refills).used();
        let bound = bound.settle(refills);
        !limiter.calendar.is_lost()
            && bound.is_low(&limiter.policy.daily, &self.reserve.get(), used)
    }

    fn write_due(&self) -> WriteDue {
        WriteDue {
            bytes: self.limiter.snapshot_size(),
        }
    }

    /// From now on only drafts after this one raise bounds.
    const fn settle_drafts(&mut self, number: u64) {
        self.settled = number;
        self.failures = 0;
    }

    /// Raises the bounds to what the draft reserves; says by how many permits in all.
    fn raise<M: AsRef<[u8]>>(&mut self, draft: &Draft<M>) -> u64 {
        let refills = self.limiter.calendar.refills();
        let (_, drafted_refills) = draft.day;
        if drafted_refills != refills {
            return 0;
        }
        let mut all = 0_u64;
        let rows = self.limiter.users.rows().iter();
        let bounds = self.bounds.as_mut().iter_mut();
        for ((record, row), bound) in drafted_users(draft.bytes()).zip(rows).zip(bounds) {
            if record.id != 0 && record.id == row.id() {
                let (raised, risen) = bound.settle(refills).raise(record.used);
                *bound = raised;
                all = all.wrapping_add(u64::from(risen));
            }
        }
        all
    }

    fn bound_mut(&mut self, place: u32) -> Option<&mut Bound> {
        self.bounds.as_mut().get_mut(math::to_index(place))
    }
}

/// A way to note a demand: [`Bound::ask`] or [`Bound::ask_behind`].
type Ask = fn(Bound, &DailyRule, u32, u32) -> Bound;

/// The state of the permits that a request asks for.
enum Covered {
    Yes,
    /// Once an image is stored.
    AfterWrite,
    /// The user has no bound.
    Never,
}

/// No calendar's day and refills: nothing is stored yet.
const NOTHING: (Option<u32>, u32) = (Some(u32::MAX), 0);
