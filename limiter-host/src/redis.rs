//! The limiter for many machines: the same decisions, with the counts in Redis or Valkey.
//!
//! | file | what it is about |
//! |---|---|
//! | `config`, `topology` | how the store is used; where it is |
//! | `tls` | certificates |
//! | `link`, `members` | the connection; the nodes of a cluster, one by one |
//! | `checkup` | how the store is set up, and what to warn of |
//! | `error`, `outage`, `recovery` | why and where the store cannot be used, and its return |
//! | `check.lua`, `packed`, `records`, `script` | the decision in the store, and how it is asked for |
//! | `trip` | from a request to its decision, with a round trip or without |
//! | `decide` | one decision: asked of the store, made again by the core |
//! | `refund` | permits that go back |
//! | `local`, `leases` | refusals that last and permits held ahead of need: decided without a round trip |
//! | `share` | what is decided while the store cannot be used |
//! | `front`, `blocking` | the limiter behind a tower layer; for threads that wait |
//! | `registry`, `manage` | who is known to this instance |
//!
//! # What is where
//!
//! An instance knows the tokens that were registered with it, and the policy. The store holds what
//! they have used: of each token its window and conduct, of each user the day and the strikes, and
//! the calendar. Every key ends by itself when it says nothing any more, so an idle token costs
//! nothing. Keys are made of keyed ids, never of a token or a name (T4), and no caller's text
//! reaches a script.
//!
//! A decision is one round trip, of one script that runs alone on the server: never more than L in
//! a window and D in a day, by the server's clock, however many instances ask.
//!
//! # In a cluster
//!
//! A script may touch the keys of one slot. Those of a user and of the user's tokens lie in one, by
//! a hash tag, and there each user has a calendar of their own, fed by that user's requests alone.
//! With a sane server clock every calendar turns at the same midnight; D10b then bounds the refills
//! of each user rather than of all.

mod blocking;
mod checkup;
mod config;
mod decide;
mod error;
mod front;
mod leases;
mod link;
mod local;
mod manage;
mod members;
mod observe;
mod outage;
mod packed;
mod records;
mod recovery;
mod refund;
mod registry;
mod script;
mod share;
mod tls;
mod topology;
mod trip;

pub use self::blocking::Blocking;
pub use self::checkup::StoreWarning;
pub use self::config::{OnStoreFailure, RedisConfig, RedisConfigError, StoreTime};
pub use self::error::StoreError;
pub use self::manage::ManageError;
pub use self::observe::Switch;
#[cfg(feature = "redis-tls")]
pub use self::tls::CertificateError;

use self::checkup::Checkup;
use self::leases::Leases;
use self::link::Link;
use self::local::Autonomy;
use self::observe::{OnSwitch, Seldom};
use self::outage::Outage;
use self::registry::{KeyNames, Registry, SLOTS};
use self::share::Share;
use self::trip::Begun;
use limiter_core::{
    Decision, Instant, Now, Outcome, Policy, PolicyError, Receipt, Refunded, RegisterError,
    Registered, Registration, Request, Statistics, TokenId, TokenLimit, UpdateError,
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// A limiter whose counts are in Redis, shared by all who name the same store and key prefix.
///
/// Cheap to clone; the clones are one limiter. It needs a tokio runtime.
///
/// ```no_run
/// use limiter_host::core::{HashKey, Kind, Method, Plan, Policy, Registration, Request};
/// use limiter_host::redis::{RedisConfig, RedisLimiter};
/// use limiter_host::SharedClock;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (key, clock) = (HashKey::new(*b"the same for all"), SharedClock::system());
/// let config = RedisConfig::from_url("redis://127.0.0.1")?;
/// let limiter = RedisLimiter::connect(Policy::pipedrive(), config).await?;
/// let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
/// limiter.register(key.token(b"a1b2c3"), martin).await?;
///
/// let request = Request::new(key.token(b"a1b2c3"), Method::Post);
/// let decision = limiter.check(&request, clock.now()?).await;
/// assert_eq!(decision.quota().map(|quota| quota.limit), Some(40));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisLimiter {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    outage: Arc<Outage>,
    leases: Leases,
    checkup: Checkup,
    unreadable_told: Seldom,
    /// When the calendar was born that was met last, 0 before the first.
    born: AtomicU64,
    time: StoreTime,
    on_store_failure: OnStoreFailure,
    on_switch: OnSwitch,
    autonomy: Autonomy,
    share: RwLock<Option<Share>>,
    figures: Figures,
    calendar_key: String,
    registry: RwLock<Registry>,
    /// By [`Statistics::place`].
    counts: [AtomicU64; Statistics::OUTCOMES],
}

impl Inner {
    fn count(&self, outcome: Outcome) {
        self.counts[Statistics::place(outcome)].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a record that cannot be read. The store itself works.
    fn found_unreadable(&self, error: &StoreError) {
        let before = self.figures.unreadable.fetch_add(1, Ordering::Relaxed);
        let told = self.unreadable_told.is_due(tokio::time::Instant::now());
        observe::record_unreadable(error, told);
        if told {
            self.on_switch.call(Switch::Unreadable(before + 1));
        }
    }

    /// Notes the calendar that a decision met; another one than before means that counts were lost.
    fn learn_born(&self, born: u64) {
        // In a cluster every user has one, which ends when the user is idle.
        if self.link.is_cluster() || self.born.load(Ordering::Relaxed) >= born {
            return;
        }
        let before = self.born.fetch_max(born, Ordering::Relaxed);
        if before != 0 && before < born {
            let emptied = self.figures.emptied.fetch_add(1, Ordering::Relaxed);
            observe::store_emptied();
            self.on_switch.call(Switch::Emptied(emptied + 1));
        }
    }
}

impl RedisLimiter {
    /// A limiter that nobody is known to yet, connected if the store can be reached.
    ///
    /// If it cannot, that is an outage like a later one: decided upon as the configuration says,
    /// and ended when the store is there. All instances must be given the same policy.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError`] if the address cannot be used.
    pub async fn connect(policy: Policy, config: RedisConfig) -> Result<Self, RedisConfigError> {
        let link = Link::new(&config).map_err(|_| RedisConfigError::Address)?;
        let names = KeyNames {
            prefix: config.key_prefix,
            calendar_per_user: link.is_cluster(),
        };
        let share = match config.on_store_failure {
            OnStoreFailure::Local { instances } => {
                Some(Share::new(&policy, instances, config.capacity))
            }
            _ => None,
        };
        let spare = Arc::new(names.of_nobody());
        let inner = Arc::new(Inner {
            link,
            outage: Arc::new(Outage::new(if names.calendar_per_user { SLOTS } else { 1 })),
            leases: Leases::default(),
            checkup: Checkup::default(),
            unreadable_told: Seldom::default(),
            born: AtomicU64::new(0),
            autonomy: Autonomy::new(
                config.refusal_cache,
                config.lease,
                config.time == StoreTime::Server,
            ),
            share: RwLock::new(share),
            figures: Figures::default(),
            time: config.time,
            on_store_failure: config.on_store_failure,
            on_switch: config.on_switch,
            calendar_key: spare.calendar.clone(),
            registry: RwLock::new(Registry::new(policy, names, config.capacity)),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
        });
        if let Err(error) = inner.try_to_return(&spare).await {
            inner.failed(&spare, &error);
        }
        if inner.time == StoreTime::Server {
            tokio::spawn(checkup::check_up_every_minute(Arc::downgrade(&inner)));
        }
        Ok(Self { inner })
    }

    /// Decides a request and charges what it admits.
    ///
    /// One round trip, and none for a webhook or an unknown token. `now` is the caller's clock; see
    /// [`StoreTime`] for what it is used for. Dropping the future gives nothing up that was charged.
    pub async fn check(&self, request: &Request, now: Now) -> Decision {
        let decision = match self.inner.begin(request, now) {
            Begun::Decided(decision) => decision,
            Begun::Trip(trip) => trip.finish(request, now).await,
        };
        self.inner.count(decision.outcome());
        decision
    }

    /// Decides many requests, in their order: their scripts go to the server, and their answers come
    /// back, in one pipeline. In a cluster they are as many [`check`](Self::check)s, whose round trips
    /// overlap.
    pub async fn check_many(&self, requests: &[Request], now: Now) -> Vec<Decision> {
        let mut decisions = Vec::with_capacity(requests.len());
        for batch in requests.chunks(AT_ONCE) {
            if self.inner.link.is_cluster() {
                let batch = batch.iter().map(|request| self.check(request, now));
                decisions.extend(futures_util::future::join_all(batch).await);
                continue;
            }
            for decision in self.inner.check_batch(batch, now).await {
                self.inner.count(decision.outcome());
                decisions.push(decision);
            }
        }
        decisions
    }

    /// Decides a request that cannot be judged (O8).
    pub fn refuse_for(&self, request: &Request, outage: limiter_core::Outage) -> Decision {
        let decision = outage.decide(request);
        self.inner.count(decision.outcome());
        decision
    }

    /// Says what [`check`](Self::check) would say, without any change that a later decision could
    /// see (P1); `store_failed` while the store cannot be used. One round trip.
    pub async fn peek(&self, request: &Request, now: Now) -> Decision {
        self.inner.peek(request, now).await
    }

    /// Gives the permits of an admission back (P2): at most four round trips.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be used: some or none went back.
    #[allow(clippy::needless_pass_by_value, reason = "a receipt is used up")]
    pub async fn refund(&self, receipt: Receipt, now: Now) -> Result<Refunded, StoreError> {
        self.inner.refund(&receipt, now).await
    }

    /// Makes a token known to this instance. As the core's
    /// [`register`](limiter_core::LimiterIn::register), but no row is ever evicted: a full table
    /// stays full until a token is revoked.
    ///
    /// # Errors
    ///
    /// [`ManageError`]. Only where a revoked token is resumed with another user the store is asked.
    pub async fn register(
        &self,
        token: TokenId,
        registration: Registration,
    ) -> Result<Registered, ManageError<RegisterError>> {
        self.inner.register(token, &registration).await
    }

    /// Changes what sets a token's window limit in this instance; what is used stays (P3).
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing is changed.
    pub fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.inner.registry_mut().update(token, limit)
    }

    /// Makes a token unknown to this instance from now on; says whether it was known. What it used,
    /// and a block, stay in the store, so that revoking lifts nothing (P4).
    pub async fn revoke(&self, token: TokenId, now: Now) -> bool {
        self.inner.revoke(token, now).await
    }

    /// Ends a token's block, which leaves it without offences; one that is not blocked keeps those
    /// it has. One round trip.
    ///
    /// # Errors
    ///
    /// [`ManageError`]; nothing is changed.
    pub async fn unblock(&self, token: TokenId) -> Result<(), ManageError<UpdateError>> {
        self.inner.unblock(token).await
    }

    /// Puts another policy in force in this instance; what is used stays (P3). In the mode fair use
    /// one round trip for every user.
    ///
    /// # Errors
    ///
    /// [`ManageError`]; the policy in force stays.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), ManageError<PolicyError>> {
        self.inner.set_policy(policy).await
    }

    /// When the token next gets something back, by the clock that decides: the end of its block,
    /// else of its open window; `None` if neither is running, or the token is not known here.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn next_reset(
        &self,
        token: TokenId,
        now: Now,
    ) -> Result<Option<Instant>, StoreError> {
        self.inner.next_reset(token, now).await
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.inner.registry().policy
    }

    /// The counts of this instance's decisions, and who is known to it. It has no probes.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let registry = self.inner.registry();
        let counts = self.inner.counts.each_ref();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let mut statistics = Statistics::default().with_decisions(counts);
        statistics.tokens = registry.tokens();
        statistics.users = registry.users();
        statistics.table_full = registry.table_full;
        statistics
    }

    /// How this instance and the store get along.
    #[must_use]
    pub fn store_statistics(&self) -> StoreStatistics {
        let Inner {
            figures, outage, ..
        } = &*self.inner;
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        StoreStatistics {
            outages: outage.count(),
            available: !outage.lasts_somewhere(),
            recent_outages: outage.recent(tokio::time::Instant::now()),
            unavailable_per_mille: outage.per_mille(),
            unreadable: read(&figures.unreadable),
            emptied: read(&figures.emptied),
            round_trips: read(&figures.round_trips),
            refused_here: read(&figures.refused_here),
            admitted_ahead: read(&figures.admitted_ahead),
            lost_permits: read(&figures.lost_permits),
            leases_ended: read(&figures.leases_ended),
            decided_without_store: read(&figures.decided_without_store),
        }
    }

    /// Returns the settings of the store under which limits may not hold, as found within the last
    /// minute.
    #[must_use]
    pub fn warnings(&self) -> Vec<StoreWarning> {
        self.inner.checkup.warnings()
    }

    /// What is decided while the store cannot be used.
    #[must_use]
    pub fn on_store_failure(&self) -> OnStoreFailure {
        self.inner.on_store_failure
    }

    /// Why the store could not be used the last time, also if it is back; `None` if it never failed.
    /// While an outage lasts it is the newest reason, which may not be the first.
    #[must_use]
    pub fn last_failure(&self) -> Option<StoreError> {
        self.inner.outage.last()
    }

    /// Gives back all permits that are held ahead of need: before the instance ends. Requests that
    /// are decided after that are as before.
    pub async fn close(&self) {
        self.inner.close().await;
    }

    /// The calendar's UTC day, `None` before the first, and the number of its accounting day, which
    /// grows by one with each. In a cluster every user has a calendar, and this one is no user's.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn accounting_day(&self) -> Result<(Option<u32>, u32), StoreError> {
        let inner = &self.inner;
        let mut connection = inner.link.connection().ok_or(StoreError::NotConnected)?;
        let record: Option<Vec<u8>> = redis::cmd("GET")
            .arg(&inner.calendar_key)
            .query_async(&mut connection)
            .await?;
        let Some(record) = record else {
            return Ok((None, 0));
        };
        let (_, calendar) = records::unpack_calendar(&record).ok_or(StoreError::Foreign)?;
        Ok((calendar.day(), calendar.refills()))
    }
}

/// How an instance and its store get along, counted since it was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatistics {
    /// How often the store failed. What follows a failure until the store is back is one outage.
    pub outages: u64,
    /// Whether all of the store can be used now, as far as is known.
    pub available: bool,
    /// Outages that began within the last minute, at most 255: a store that fails again and again may
    /// be available at each look.
    pub recent_outages: u32,
    /// The share of the store that cannot be used, in thousandths of a cluster's slots.
    pub unavailable_per_mille: u32,
    /// Requests that were refused because the record of their token or user cannot be read.
    pub unreadable: u64,
    /// Times that the store had other counts than before: it was emptied, or the calendar's record
    /// was lost. Always 0 for a cluster.
    pub emptied: u64,
    /// Scripts that were asked for.
    pub round_trips: u64,
    /// Requests that were refused without a round trip.
    pub refused_here: u64,
    /// Requests that were admitted without a round trip, by permits held ahead of need.
    pub admitted_ahead: u64,
    /// Permits held ahead of need that are gone, at most: a round trip that took them along failed.
    pub lost_permits: u64,
    /// Times that permits were held ahead and not used in time, so that they went back.
    pub leases_ended: u64,
    /// Requests that were decided while the store could not be used.
    pub decided_without_store: u64,
}

#[derive(Debug, Default)]
struct Figures {
    round_trips: AtomicU64,
    refused_here: AtomicU64,
    admitted_ahead: AtomicU64,
    lost_permits: AtomicU64,
    leases_ended: AtomicU64,
    decided_without_store: AtomicU64,
    unreadable: AtomicU64,
    emptied: AtomicU64,
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisLimiter(..)")
    }
}

/// Decisions that are asked for at once, at most: some 100 KiB on the wire.
const AT_ONCE: usize = 512;
