//@ gates: panic float division
//@ complete: limiter-core/src
//@ complete: limiter-pacer/src
//! Links every public function, so that what is proved absent here is absent everywhere.
//!
//! Taking a function's address keeps a compiled form of it that knows nothing of its arguments: the strictest
//! one. The runner holds this list to the library's source (`complete`).

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt;
use core::hint::black_box;

use board::Singleton;
use embedded_time::fraction::Fraction;
use images::footprint;
use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::clock::{
    Clock, ClockError, Clocks, EmbassyClock, EmbeddedTimeClock, FnClock, FnUtc, MonotonicClock,
    NoUtc, TestClock, TestTicks, TickClock, TickCounter, TickRate, TickReading, UtcClock,
};
use limiter_core::daily::{DailyRule, Day, Strikes};
use limiter_core::http::{self, Challenge, Headers, Style, Value};
use limiter_core::limiter::Terms;
use limiter_core::policy::{BlockRule, PolicyBuilder};
use limiter_core::snapshot::{self, Image, SnapshotWriter, UserRecord};
use limiter_core::timeline::TimeLine;
use limiter_core::window::Window;
use limiter_core::{
    Bound, Decision, Draft, EncodeError, HashKey, Instant, Limiter, LimiterIn, Method, Methods,
    Now, Outage, Plan, Policy, PolicyError, Reason, Receipt, RegisterError, Registered,
    Registration, Request, Reserved, ReservedIn, RestoreError, Shared, Statistics, TokenId,
    TokenLimit, TokenRow, UnixTime, UpdateError, UserId, UserRow, rules,
};
use limiter_pacer::{HeaderReader, Pacer, PacerPolicy, ResponseInfo, SendRequest, StopReason};

type Full = Limiter<32, 16>;
type Slices = LimiterIn<&'static mut [TokenRow], &'static mut [UserRow]>;
type Metered = Reserved<32, 16>;
type MeteredSlices =
    ReservedIn<&'static mut [TokenRow], &'static mut [UserRow], &'static mut [Bound]>;
type Buffer = &'static mut [u8];
type Reading = fn() -> Result<u64, ClockError>;

static SHARED: Shared<Full> = Shared::new();
static LIMITER: Singleton<Full> = Singleton::new(Limiter::new(Policy::pipedrive()));

/// Keeps functions in the image.
macro_rules! keep {
    ($($function:expr),+ $(,)?) => { $( black_box($function as *const ()); )+ };
}

#[board::entry]
fn main() -> ! {
    let Some(limiter) = LIMITER.take() else {
        board::exit(1)
    };
    values();
    states();
    terms_and_rules();
    policy();
    pacer();
    limiters();
    restarts();
    clocks(limiter);
    texts(limiter);
    board::exit(0)
}

#[inline(never)]
fn values() {
    keep!(
        Instant::from_millis,
        Instant::as_millis,
        Instant::saturating_add,
        Instant::saturating_since,
        UnixTime::from_secs,
        UnixTime::as_secs,
        UnixTime::day,
        Now::new,
        Now::monotonic,
        Now::utc,
        Now::with_floor,
        HashKey::new,
        HashKey::token,
        HashKey::user,
        HashKey::check_value,
        TokenId::from_hash,
        TokenId::from_u32,
        TokenId::as_u64,
        UserId::from_hash,
        UserId::from_u32,
        UserId::as_u64,
        Request::new,
        Request::anonymous,
        Request::with_cost,
        Request::with_origin,
        Method::from_name,
        Method::from_exact_name,
        Registration::new,
        Registration::with_own_limit,
        Registration::pinned,
        Decision::outcome,
        Decision::is_admitted,
        Decision::reason,
        Decision::status,
        Decision::quota,
        Decision::retry_after_ms,
        Decision::into_receipt,
        Decision::receipt,
        Reason::status,
        Reason::word,
        Receipt::cost,
        Receipt::token,
        Receipt::user,
        Receipt::refills,
        Receipt::give_back_window,
        Receipt::give_back_day,
        Decision::refused,
        Decision::with_daily_left,
        Decision::without_receipt,
        Statistics::place,
        Statistics::with_decisions,
        TokenLimit::permits,
        Statistics::admitted,
        Statistics::exempt,
        Statistics::refused,
        Statistics::refused_in_all,
    );
}

#[inline(never)]
fn states() {
    keep!(
        Window::from_bits,
        Window::to_bits,
        Window::is_open,
        Window::used,
        Window::start,
        Window::settle,
        Window::fits,
        Window::charge,
        Window::give_back,
        Window::remaining,
        Window::reset_ms,
        Abuse::from_bits,
        Abuse::to_bits,
        Abuse::is_blocked,
        Abuse::offences,
        Abuse::settle,
        Abuse::blocked_ms,
        Abuse::hit,
        Abuse::offend,
        Abuse::is_forgotten,
        Abuse::blocked_for,
        Day::new,
        Day::from_bits,
        Day::to_bits,
        Day::used,
        Day::refills,
        Day::settle,
        Day::charge,
        Day::give_back,
        Strikes::new,
        Strikes::count,
        Strikes::settle,
        Strikes::from_bits,
        Strikes::to_bits,
        Strikes::is_none,
        DailyRule::can_never_fit,
        DailyRule::has_room,
        DailyRule::judge,
        Calendar::new,
        Calendar::day,
        Calendar::refills,
        Calendar::feed,
        Calendar::wait_ms,
        Calendar::is_steady,
        Calendar::from_words,
        Calendar::to_words,
        Calendar::is_started,
        Calendar::is_lost,
        Calendar::lose,
        Calendar::save,
        Calendar::restore,
        Calendar::can_be_steady,
        Calendar::steady_refills,
        Calendar::from_parts,
        TimeLine::new,
        TimeLine::steady,
        TimeLine::take,
        TimeLine::peek,
        TimeLine::from_words,
        TimeLine::to_words,
        TimeLine::from_parts,
        TimeLine::mark,
        TimeLine::shift_ms,
        TimeLine::outlier,
        Now::at,
    );
}

#[inline(never)]
fn terms_and_rules() {
    keep!(
        Terms::from_bits,
        Terms::to_bits,
        Terms::new,
        Terms::with_limit,
        Terms::limit,
        Terms::plan,
        Terms::kind,
        Terms::is_pinned,
        Terms::unpinned,
        Terms::is_revoked,
        Terms::revoked,
        rules::is_idle_token,
        rules::idle_from,
        Registered::is_new,
        rules::is_unused_user,
        rules::standing_strikes,
        rules::counts_daily,
        rules::decide,
        rules::admit,
        rules::Charge::decision,
        rules::Charge::with_daily_left,
        rules::decide_lost,
    );
}

#[inline(never)]
fn policy() {
    keep!(
        Policy::pipedrive,
        Policy::pipedrive_builder,
        Policy::builder,
        Policy::window_limit,
        Policy::window_ms,
        Policy::has_daily_limit,
        Policy::daily,
        Policy::writes,
        Policy::block,
        Policy::utc_floor,
        Policy::with_utc_floor,
        PolicyBuilder::window,
        PolicyBuilder::plan,
        PolicyBuilder::daily_limit,
        PolicyBuilder::no_daily_limit,
        PolicyBuilder::daily_mode,
        PolicyBuilder::writes,
        PolicyBuilder::block,
        PolicyBuilder::no_block,
        PolicyBuilder::extend_block_on_hit,
        PolicyBuilder::utc_floor,
        PolicyBuilder::build,
        PolicyError::message,
        BlockRule::new,
        BlockRule::offences,
        BlockRule::within_ms,
        BlockRule::duration_ms,
        BlockRule::extend_on_hit,
        Plan::new,
        Plan::index,
        Methods::with,
        Methods::is_empty,
        Methods::contains,
    );
}

#[inline(never)]
fn pacer() {
    keep!(
        Pacer::<32>::new,
        Pacer::<32>::poll_send,
        Pacer::<32>::on_sent,
        Pacer::<32>::cancel,
        Pacer::<32>::on_response,
        Pacer::<32>::set_cap,
        Pacer::<32>::denial,
        Pacer::<32>::acknowledge_denial,
        Pacer::<32>::lift_denial,
        Pacer::<32>::status,
        Pacer::<32>::policy,
        PacerPolicy::of,
        PacerPolicy::with_limit,
        PacerPolicy::with_window,
        PacerPolicy::with_counting,
        PacerPolicy::writes,
        PacerPolicy::with_writes,
        PacerPolicy::with_margin,
        PacerPolicy::with_transit_spread,
        PacerPolicy::with_lost_after,
        PacerPolicy::reserve_for_others,
        PacerPolicy::reserve_daily_for_others,
        PacerPolicy::with_daily_spending,
        PacerPolicy::with_writes_first_below,
        PacerPolicy::with_utc_skew,
        PacerPolicy::with_silent_window,
        PacerPolicy::denied_backoff,
        PacerPolicy::with_seed,
        PacerPolicy::limit,
        PacerPolicy::window_ms,
        PacerPolicy::default,
        SendRequest::new,
        SendRequest::with_cost,
        SendRequest::with_priority,
        ResponseInfo::bare,
        ResponseInfo::has_quota,
        HeaderReader::new,
        HeaderReader::header,
        HeaderReader::finish,
        <StopReason as fmt::Display>::fmt,
    );
    let header: (&[u8], &[u8]) = (b"retry-after", black_box(b"2"));
    black_box(&ResponseInfo::read(
        black_box(429),
        [header],
        footprint::now(),
    ));
}

#[inline(never)]
fn limiters() {
    keep!(
        Full::new,
        Full::check,
        Full::refuse_for,
        Full::peek,
        Full::refund,
        Full::next_reset,
        Full::statistics,
        Full::calendar,
        Full::policy,
        Full::register,
        Full::update,
        Full::revoke,
        Full::unblock,
        Full::set_policy,
        Slices::with_rows,
        Slices::check,
        Slices::peek,
        Slices::refund,
        Slices::next_reset,
        Slices::register,
        Slices::update,
        Slices::revoke,
        Slices::unblock,
        Slices::set_policy,
        Shared::<Full>::new,
        Shared::<Full>::check,
        Shared::<Full>::start,
        Shared::<Metered>::from_parts,
        Shared::<Metered>::check,
        Shared::<Metered>::check_again,
    );
    let _ = SHARED.start(black_box(Policy::pipedrive()), || Err(ClockError::Failed));
    let busy = SHARED.with_limiter(|limiter| limiter.statistics().tokens);
    let read = SHARED.with(|limiter, now| limiter.next_reset(footprint_token(), now.monotonic()));
    black_box(&(busy, read));
}

fn footprint_token() -> TokenId {
    TokenId::from_hash(footprint::id())
}

#[inline(never)]
fn restarts() {
    keep!(
        snapshot::size,
        Image::<'_>::verify,
        Image::<'_>::header,
        Full::snapshot_size,
        Full::snapshot,
        Full::restore,
        Full::snapshot_step,
        SnapshotWriter::<'_>::new,
        SnapshotWriter::<'_>::finish,
        Slices::snapshot,
        Slices::restore,
        Metered::new,
        Metered::check,
        Metered::check_again,
        Metered::draft::<Buffer>,
        Metered::last_draft::<Buffer>,
        Metered::stored::<Buffer>,
        Metered::failed::<Buffer>,
        Metered::restore,
        Metered::lose_state,
        Metered::peek,
        Metered::refuse_for,
        Metered::refund,
        Metered::register,
        Metered::update,
        Metered::revoke,
        Metered::unblock,
        Metered::set_policy,
        Metered::limiter,
        Metered::reserve_counts,
        Metered::due,
        MeteredSlices::with_rows,
        MeteredSlices::check,
        MeteredSlices::draft::<Buffer>,
        MeteredSlices::stored::<Buffer>,
        UserRecord::reserved_to,
        Bound::settle,
        Bound::covers,
        Bound::ask,
        Bound::ask_behind,
        Bound::leave,
        Bound::draft,
        Bound::without_drafts,
        Bound::next,
        Bound::is_low,
        Bound::raise,
        Draft::<Buffer>::bytes,
        Draft::<Buffer>::number,
        <EncodeError as fmt::Display>::fmt,
        <RestoreError as fmt::Display>::fmt,
    );
    let key = HashKey::new(black_box([7; 16]));
    let mut bytes = black_box([0; snapshot::size(1, 1)]);
    if let Ok(image) = Image::verify(&bytes, &key) {
        black_box(&image.users().last());
        black_box(&image.blocks().last());
        let (header, users, blocks) =
            (*image.header(), image.users().next(), image.blocks().next());
        black_box(&snapshot::encode(
            &mut bytes,
            &header,
            users.into_iter(),
            blocks.into_iter(),
        ));
    }
}

#[inline(never)]
fn clocks(limiter: &mut Full) {
    keep!(
        TickRate::from_hz,
        TickRate::from_seconds_per_tick,
        TickCounter::new,
        TickCounter::extend,
        TickClock::<Reading>::new,
        TickClock::<fn() -> u32>::from_hz::<1_000>,
        <TickClock<Reading> as MonotonicClock>::now,
        <Result<u32, ClockError> as TickReading>::ticks,
        <NoUtc as UtcClock>::unix_time,
        TestClock::new,
        TestClock::advance,
        TestClock::step_back,
        TestClock::set_utc,
        TestClock::freeze,
        TestClock::fail_with,
        TestClock::ticks,
        TestTicks::<'_>::read,
        EmbeddedTimeClock::<Ticks>::new,
        EmbeddedTimeClock::<Ticks>::inner,
        <EmbeddedTimeClock<Ticks> as MonotonicClock>::now,
        EmbassyClock::new,
        <EmbassyClock as MonotonicClock>::now,
    );
    let mut clock = Clocks {
        monotonic: FnClock(|| Ok(Instant::from_millis(black_box(7)))),
        utc: FnUtc(|| black_box(Err(ClockError::Failed))),
    };
    black_box(&clock.read());
    let request = Request::anonymous(black_box(Method::Get));
    black_box(&limiter.check_with(&request, &mut clock));
    black_box(&limiter.refuse_for(&request, black_box(Outage::TableFull)));
}

#[inline(never)]
fn texts(limiter: &mut Full) {
    keep!(
        http::headers,
        Value::as_str,
        <Headers<'_> as Iterator>::next,
        http::body,
        http::reason_phrase,
        http::seconds,
        Style::default,
        Challenge::new,
        Challenge::as_str,
        <Reason as fmt::Display>::fmt,
        <PolicyError as fmt::Display>::fmt,
        <RegisterError as fmt::Display>::fmt,
        <UpdateError as fmt::Display>::fmt,
        <ClockError as fmt::Display>::fmt,
    );
    if let Some(decision) = footprint::decide(limiter, TokenId::from_hash(footprint::id())) {
        let style = black_box(Style::STANDARDS);
        black_box(&http::write_headers(
            &mut Sink,
            &decision,
            limiter.policy(),
            style,
        ));
        black_box(&http::write_refusal(
            &mut Sink,
            &decision,
            limiter.policy(),
            style,
        ));
    }
}

/// Takes text and costs nothing.
struct Sink;

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        black_box(text);
        Ok(())
    }
}

/// A clock of the `embedded-time` crate.
struct Ticks;

impl embedded_time::Clock for Ticks {
    type T = u32;
    const SCALING_FACTOR: Fraction = Fraction::new(1, 32_768);

    fn try_now(&self) -> Result<embedded_time::Instant<Self>, embedded_time::clock::Error> {
        Ok(embedded_time::Instant::new(black_box(7)))
    }
}

/// A time driver of embassy.
struct Driver;

embassy_time_driver::time_driver_impl!(static DRIVER: Driver = Driver);

impl embassy_time_driver::Driver for Driver {
    fn now(&self) -> u64 {
        black_box(7)
    }

    fn schedule_wake(&self, _at: u64, _waker: &core::task::Waker) {}
}
