//! One limiter and its clock for the interrupts and threads of one device, behind a critical
//! section.

use crate::clock::{Clock, ClockError};
use crate::decision::Decision;
use crate::limiter::{Blank, LimiterIn, Outage, ReservedIn, TokenRow, UserRow, Verdict};
use crate::request::Request;
use crate::reserve::Bound;
use crate::time::Now;
use core::cell::{Cell, RefCell};
use core::fmt;
use critical_section::Mutex;

/// A limiter and its clock behind a critical section.
///
/// The clock lies with the limiter, because a limiter needs *one*: [`Shared::check`] reads it
/// inside the section, so no reading is late, and no part of the program can bring a clock with
/// another origin. A plain function that returns a [`Now`] is a clock; [`crate::clock`] has
/// others.
///
/// As a `static` it is all zeros before [`Shared::start`], so it lies in `.bss` and takes RAM
/// alone. (A `static` [`Limiter`](crate::Limiter) that begins with a policy lies in `.data`: its
/// rows of zeros are in flash too.)
///
/// Hash the token *before*: [`crate::HashKey::token`] needs no lock. The section then lasts as
/// long as the reading of the clock and the decision, some hundred instructions.
///
/// ```
/// use limiter_core::clock::ClockError;
/// use limiter_core::{HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy, Registration};
/// use limiter_core::{Request, Shared};
///
/// static LIMITER: Shared<Limiter<32, 16>> = Shared::new();
///
/// fn now() -> Result<Now, ClockError> {
///     Ok(Now::new(Instant::from_millis(5_000), None)) // stands for a timer, and an RTC
/// }
///
/// // Once, at the start:
/// LIMITER.start(Policy::pipedrive(), now)?;
/// let key = HashKey::new(*b"provisioned once");
/// let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
/// LIMITER.with(|limiter, now| limiter.register(key.token(b"a1b2"), martin, now))??;
///
/// // For each request, anywhere:
/// let request = Request::new(key.token(b"a1b2"), Method::Get);
/// assert!(LIMITER.check(&request)?.is_admitted());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// Another clock is part of the type. A function pointer has a name that a `static` can use:
///
/// ```
/// use limiter_core::clock::{Clocks, NoUtc, TickClock};
/// use limiter_core::{Limiter, Policy, Shared};
///
/// type DeviceClock = Clocks<TickClock<fn() -> u32>, NoUtc>;
/// static LIMITER: Shared<Limiter<32, 16>, DeviceClock> = Shared::new();
///
/// fn timer() -> u32 {
///     7 // stands for a register that counts microseconds
/// }
///
/// let clock = Clocks { monotonic: TickClock::from_hz::<1_000_000>(timer as _), utc: NoUtc };
/// LIMITER.start(Policy::pipedrive(), clock)?;
/// # Ok::<(), limiter_core::StartError>(())
/// ```
pub struct Shared<L, C = fn() -> Result<Now, ClockError>> {
    inner: Mutex<RefCell<Inner<L, C>>>,
}

struct Inner<L, C> {
    limiter: L,
    /// `None` until the start. In a cell, which hides the clock's invalid values from the compiler:
    /// with one of those for `None` the whole would not be all zeros.
    clock: Option<Cell<C>>,
}

impl<L: Blank, C> Shared<L, C> {
    /// A limiter that waits for [`Shared::start`]: until then every request is refused with
    /// [`Reason::ClockFailed`](crate::Reason::ClockFailed).
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "const, for a static; a default would be neither"
    )]
    pub const fn new() -> Self {
        Self {
            inner: Mutex::new(RefCell::new(Inner {
                limiter: L::BLANK,
                clock: None,
            })),
        }
    }

    /// Gives the limiter its policy and its clock, for good. The first reading may come at once.
    ///
    /// [`Reserved`](crate::Reserved) takes a pair, the policy and its
    /// [`Reserve`](crate::Reserve).
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is changed.
    pub fn start(&self, setup: L::Setup, clock: C) -> Result<(), StartError> {
        self.locked(|inner| {
            if inner.clock.is_some() {
                return Err(StartError::Started);
            }
            inner.limiter.start(setup);
            inner.clock = Some(Cell::new(clock));
            Ok(())
        })
        .unwrap_or(Err(StartError::Busy))
    }
}

impl<L, C: Clock> Shared<L, C> {
    /// Shares a limiter that exists already, over rows of your own, say. As a `static` it lies in
    /// `.data`, if its rows do.
    #[must_use]
    pub const fn from_parts(limiter: L, clock: C) -> Self {
        Self {
            inner: Mutex::new(RefCell::new(Inner {
                limiter,
                clock: Some(Cell::new(clock)),
            })),
        }
    }

    /// Runs `f` with the limiter and a reading of its clock, interrupts held off: to register, to
    /// give back, to look.
    ///
    /// # Errors
    ///
    /// [`SharedError`]; `f` does not run.
    pub fn with<R>(&self, f: impl FnOnce(&mut L, Now) -> R) -> Result<R, SharedError> {
        let result = self.locked(|inner| {
            let now = inner.read()?;
            Ok(f(&mut inner.limiter, now))
        })?;
        result.map_err(SharedError::Clock)
    }

    /// Runs `f` with the limiter alone, interrupts held off, and reads no clock: for what takes no
    /// time, such as [`LimiterIn::statistics`].
    ///
    /// A [`Now`] that is passed by hand here must come from a clock with the origin of the one that
    /// was given to [`Shared::start`]. One that does not is an outlier: time stands still for the
    /// decision, and if the clocks take turns that is so for every one of their readings (SPEC M3).
    ///
    /// # Errors
    ///
    /// [`Busy`]; `f` does not run.
    pub fn with_limiter<R>(&self, f: impl FnOnce(&mut L) -> R) -> Result<R, Busy> {
        self.locked(|inner| f(&mut inner.limiter))
    }
}

impl<T, U, C: Clock> Shared<LimiterIn<T, U>, C>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// Reads the clock and decides, interrupts held off; see [`LimiterIn::check`]. A clock that
    /// cannot be read, or that there is none of yet, refuses the request (SPEC O8).
    ///
    /// # Errors
    ///
    /// [`Busy`]; nothing is decided.
    pub fn check(&self, request: &Request) -> Result<Decision, Busy> {
        self.locked(|inner| match inner.read() {
            Ok(now) => inner.limiter.check(request, now),
            Err(_) => inner.limiter.refuse_for(request, Outage::ClockFailed),
        })
    }
}

impl<T, U, B, C: Clock> Shared<ReservedIn<T, U, B>, C>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
    B: AsRef<[Bound]> + AsMut<[Bound]>,
{
    /// Reads the clock and decides, interrupts held off; see [`ReservedIn::check`]. A clock that
    /// cannot be read, or that there is none of yet, refuses the request (SPEC O8).
    ///
    /// # Errors
    ///
    /// [`Busy`]; nothing is decided.
    pub fn check(&self, request: &Request) -> Result<Verdict, Busy> {
        self.decide(request, ReservedIn::check)
    }

    /// Reads the clock and decides a request again whose write has come to an end, interrupts held
    /// off; see [`ReservedIn::check_again`].
    ///
    /// # Errors
    ///
    /// [`Busy`]; nothing is decided.
    pub fn check_again(&self, request: &Request) -> Result<Verdict, Busy> {
        self.decide(request, ReservedIn::check_again)
    }

    fn decide(
        &self,
        request: &Request,
        check: impl FnOnce(&mut ReservedIn<T, U, B>, &Request, Now) -> Verdict,
    ) -> Result<Verdict, Busy> {
        self.locked(|inner| match inner.read() {
            Ok(now) => check(&mut inner.limiter, request, now),
            Err(_) => Verdict::Decided {
                decision: inner.limiter.refuse_for(request, Outage::ClockFailed),
                due: None,
            },
        })
    }
}

impl<L, C> Shared<L, C> {
    fn locked<R>(&self, f: impl FnOnce(&mut Inner<L, C>) -> R) -> Result<R, Busy> {
        critical_section::with(
            |section| match self.inner.borrow(section).try_borrow_mut() {
                Ok(mut inner) => Ok(f(&mut inner)),
                Err(_) => Err(Busy),
            },
        )
    }
}

impl<L, C: Clock> Inner<L, C> {
    fn read(&mut self) -> Result<Now, ClockError> {
        match &mut self.clock {
            Some(clock) => clock.get_mut().read(),
            None => Err(ClockError::NotRunning),
        }
    }
}

impl<L, C> fmt::Debug for Shared<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

/// The limiter was in use by the very context that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limiter is in use further up this call stack")
    }
}

impl core::error::Error for Busy {}

/// The reason that a shared limiter could not be used with its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SharedError {
    /// It was in use by the very context that asked for it.
    Busy,
    /// Its clock could not be read; [`ClockError::NotRunning`] before [`Shared::start`].
    Clock(ClockError),
}

impl From<Busy> for SharedError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => Busy.fmt(f),
            Self::Clock(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SharedError {}

/// The reason that a shared limiter was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StartError {
    /// It was started before, and keeps the policy and the clock that it has.
    Started,
    /// It was in use by the very context that asked for it.
    Busy,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("the limiter was started before"),
            Self::Busy => Busy.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clocks, NoUtc, TestClock, TickClock};
    use crate::decision::Reason;
    use crate::limiter::{Limiter, Reserved};
    use crate::policy::{Plan, Policy};
    use crate::request::{Kind, Method, Registration};
    use crate::reserve::Reserve;
    use crate::time::Instant;
    use crate::token::{TokenId, UserId};

    type Small = Limiter<2, 2>;

    const TOKEN: TokenId = TokenId::from_u32(1);

    fn zero() -> Result<Now, ClockError> {
        Ok(Now::new(Instant::ZERO, None))
    }

    fn registration() -> Registration {
        Registration::new(UserId::from_u32(1), Kind::ApiToken, Plan::ESSENTIAL)
    }

    #[test]
    fn answers_a_reentrant_use_with_an_error() {
        let shared: Shared<Small> = Shared::from_parts(Limiter::new(Policy::pipedrive()), zero);
        let request = Request::anonymous(Method::Get);
        let inner = shared.with(|_, _| shared.with(|_, _| ()));
        assert_eq!(inner, Ok(Err(SharedError::Busy)));
        let inner = shared.with(|_, _| shared.check(&request).is_err());
        assert_eq!(inner, Ok(true));
        assert_eq!(
            shared.with_limiter(|limiter| limiter.statistics().tokens),
            Ok(0)
        );
    }

    #[test]
    fn refuses_all_until_it_is_started_and_starts_once() {
        let shared: Shared<Small> = Shared::new();
        let request = Request::new(TOKEN, Method::Get);
        let reason = || shared.check(&request).unwrap().reason();
        assert_eq!(reason(), Some(Reason::ClockFailed));
        let not_running = Err(SharedError::Clock(ClockError::NotRunning));
        assert_eq!(shared.with(|_, _| ()), not_running);

        assert_eq!(shared.start(Policy::pipedrive(), zero), Ok(()));
        assert_eq!(reason(), Some(Reason::Unauthenticated));
        let registered = shared.with(|limiter, now| limiter.register(TOKEN, registration(), now));
        assert!(registered.unwrap().is_ok());
        assert_eq!(reason(), None);
        let again = shared.start(Policy::pipedrive(), zero);
        assert_eq!(again, Err(StartError::Started));
        assert_eq!(reason(), None);
    }

    #[test]
    fn a_started_limiter_is_one_that_was_made_with_its_policy() {
        let mut blank = Small::BLANK;
        blank.start(Policy::pipedrive());
        let made = Small::new(Policy::pipedrive());
        assert_eq!(std::format!("{blank:?}"), std::format!("{made:?}"));

        let mut blank = Reserved::<2, 2>::BLANK;
        blank.start((Policy::pipedrive(), Reserve::DEFAULT));
        let made = Reserved::<2, 2>::new(Policy::pipedrive(), Reserve::DEFAULT);
        assert_eq!(std::format!("{blank:?}"), std::format!("{made:?}"));
    }

    #[test]
    fn threads_that_all_check_share_one_clock_and_one_limit() {
        // The pattern that removed every limit: a clock built in each place that uses one.
        let time = TestClock::new(u64::from(u32::MAX) - 700, None);
        let clock = Clocks {
            monotonic: TickClock::from_hz::<1_000>(|| time.ticks().read()),
            utc: NoUtc,
        };
        let shared = Shared::<Small, _>::new();
        shared.start(Policy::pipedrive(), clock).unwrap();
        let registered = shared.with(|limiter, now| limiter.register(TOKEN, registration(), now));
        assert!(registered.unwrap().is_ok());
        let (main_loop, interrupt) = (&shared, &shared);
        let mut admitted = 0;
        for millis in 0..2_000 {
            let place = if millis % 2 == 0 {
                main_loop
            } else {
                interrupt
            };
            let decision = place.check(&Request::new(TOKEN, Method::Get)).unwrap();
            admitted += u32::from(decision.is_admitted());
            time.advance(1);
        }
        assert_eq!(admitted, 20);
    }

    #[test]
    fn a_clock_that_fails_refuses_with_its_reason() {
        let shared: Shared<Reserved<2, 2>> = Shared::new();
        let broken = || Err(ClockError::Failed);
        let setup = (Policy::pipedrive(), Reserve::DEFAULT);
        shared.start(setup, broken).unwrap();
        let request = Request::new(TOKEN, Method::Get);
        let Ok(Verdict::Decided {
            decision,
            due: None,
        }) = shared.check(&request)
        else {
            panic!("not decided");
        };
        assert_eq!(decision.reason(), Some(Reason::ClockFailed));
    }

    #[test]
    fn a_request_that_waited_for_a_write_is_checked_again_at_the_shared_clock() {
        let shared: Shared<Reserved<2, 2>> = Shared::new();
        let clock = || Ok(Now::new(Instant::from_millis(7), None));
        let setup = (Policy::pipedrive(), Reserve::DEFAULT);
        shared.start(setup, clock).unwrap();
        let registered = shared.with(|limiter, now| limiter.register(TOKEN, registration(), now));
        assert!(registered.unwrap().is_ok());
        let request = Request::new(TOKEN, Method::Post);
        let verdict = shared.check(&request).unwrap();
        assert!(matches!(verdict, Verdict::WriteFirst(_)));
        let key = crate::HashKey::new([1; 16]);
        let stored = shared.with(|limiter, now| {
            let buffer = [0; crate::snapshot::size(2, 2)];
            let draft = limiter.draft(&key, buffer, now.monotonic());
            draft.map(|draft| limiter.stored(draft))
        });
        assert!(stored.unwrap().is_ok());
        let Ok(Verdict::Decided { decision, .. }) = shared.check_again(&request) else {
            panic!("its permits are stored");
        };
        assert!(decision.is_admitted());
    }
}
