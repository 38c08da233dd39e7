//! governor: the keyed stores, the hashers, and with the state that tells what remains.

use super::{ID, LIMIT, TOKEN, each};
use crate::clock::Virtual;
use crate::measure::Subject;
use crate::steps::Step;
use foldhash::fast::RandomState as FoldHash;
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::nanos::Nanos;
use governor::state::keyed::{
    DashMapStateStore, HashMapStateStore, KeyedStateStore, ShrinkableKeyedStateStore,
};
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What rows are compared with.
pub const BASE: &str = "governor dashmap, StateInformationMiddleware";
/// What writes are compared with.
pub const TWO: &str = "two governors dashmap, StateInformationMiddleware";

/// The quickest of its forms.
const HASHMAP: &str = "governor hashmap, foldhash";
/// The quickest of its forms that tell what remains.
const INFORMING_HASHMAP: &str = "governor hashmap, foldhash, StateInformationMiddleware";

/// A keyed governor that tells what remains.
pub type Informing<K> = RateLimiter<K, DashMapStateStore<K>, Virtual, StateInformationMiddleware>;

/// What rows are keyed by: a token, or a number that was hashed before, which the store hashes again.
trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    /// What such a limiter is told of a request.
    const FORM: &'static str;

    /// Calls `ask` with the key of a step.
    fn of<T>(step: &Step, ask: impl FnOnce(&Self) -> T) -> T;
}

impl Key for String {
    const FORM: &'static str = TOKEN;

    #[inline]
    fn of<T>(step: &Step, ask: impl FnOnce(&Self) -> T) -> T {
        ask(&step.token)
    }
}

impl Key for u64 {
    const FORM: &'static str = ID;

    #[inline]
    fn of<T>(step: &Step, ask: impl FnOnce(&Self) -> T) -> T {
        ask(&step.id.as_u64())
    }
}

/// [`LIMIT`] permits in two seconds.
#[must_use]
pub fn quota() -> Quota {
    per(Duration::from_secs(2), LIMIT)
}

/// `permits` in `span`, all at once if they were saved.
#[must_use]
pub fn per(span: Duration, permits: u32) -> Quota {
    let permits = NonZeroU32::new(permits).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(span / permits.get())
        .unwrap_or(Quota::per_second(permits))
        .allow_burst(permits)
}

/// All keyed forms, of which the one called [`BASE`] is among the first.
#[must_use]
pub fn keyed() -> Vec<Subject> {
    let dashmap = RateLimiter::dashmap_with_clock(quota(), Virtual::new());
    let hashmap = RateLimiter::hashmap_with_clock(quota(), Virtual::new());
    let dashmap_foldhash =
        RateLimiter::dashmap_with_clock_and_hasher(quota(), Virtual::new(), FoldHash::default());
    let of_token = hashmap_foldhash::<String>;
    let of_id = hashmap_foldhash::<u64>;
    let informing_of_token = of_token().with_middleware();
    let informing_of_id = of_id().with_middleware();
    vec![
        informing(BASE, LACKS_INFORMING, informing_dashmap::<String>()),
        plain::<String, _>("governor dashmap", LACKS, dashmap),
        plain::<String, _>("governor dashmap, foldhash", LACKS_HASH, dashmap_foldhash),
        plain::<String, _>("governor hashmap", LACKS, hashmap),
        plain(HASHMAP, LACKS_HASH, of_token()),
        informing(BASE, LACKS_INFORMING, informing_dashmap::<u64>()),
        plain(HASHMAP, LACKS, of_id()),
        informing(INFORMING_HASHMAP, LACKS_INFORMING_HASH, informing_of_token),
        informing(INFORMING_HASHMAP, LACKS_INFORMING, informing_of_id),
        allocating(),
    ]
}

/// The limiter of [`BASE`].
#[must_use]
pub fn informing_dashmap<K: Hash + Eq + Clone>() -> Informing<K> {
    RateLimiter::dashmap_with_clock(quota(), Virtual::new()).with_middleware()
}

fn hashmap_foldhash<K: Key>()
-> RateLimiter<K, HashMapStateStore<K, FoldHash>, Virtual, NoOpMiddleware<Nanos>> {
    RateLimiter::hashmap_with_clock_and_hasher(quota(), Virtual::new(), FoldHash::default())
}

/// A keyed governor that tells what remains, whose user takes tokens that are as good as new out of
/// it now and then.
pub struct Kept<S: Shrinks>(RateLimiter<String, S, Virtual, StateInformationMiddleware>);

/// A store from which keys can be taken.
pub trait Shrinks: ShrinkableKeyedStateStore<String> {}

impl<S: ShrinkableKeyedStateStore<String>> Shrinks for S {}

impl Kept<DashMapStateStore<String>> {
    /// Over a `DashMap`.
    #[must_use]
    pub fn dashmap() -> Self {
        Self(informing_dashmap())
    }
}

impl Kept<HashMapStateStore<String>> {
    /// Over a `HashMap` behind a mutex.
    #[must_use]
    pub fn hashmap() -> Self {
        Self(RateLimiter::hashmap_with_clock(quota(), Virtual::new()).with_middleware())
    }
}

impl<S: Shrinks> Kept<S> {
    /// Lets a token ask.
    pub fn check(&self, step: &Step) {
        let state = self.0.check_key(&step.token);
        black_box(&state.map(|state| state.remaining_burst_capacity()));
    }

    /// Takes tokens out that are as good as new, as governor's documentation advises.
    pub fn shrink(&self) {
        self.0.retain_recent();
    }
}

/// What a user of governor does for a window of tokens and a day of users: asks one limiter, then
/// the other.
#[must_use]
pub fn two() -> Subject {
    let window = informing_dashmap::<String>();
    let per_day = per(Duration::from_secs(86_400), DAILY);
    let day: Informing<String> =
        RateLimiter::dashmap_with_clock(per_day, Virtual::new()).with_middleware();
    Subject::shared(TWO, TOKEN, LACKS_TWO, move |steps| {
        each(steps, |step| {
            let left = window.check_key(&step.token).map(|state| {
                let day = day.check_key(&step.user);
                (
                    state.remaining_burst_capacity(),
                    day.map(|state| state.remaining_burst_capacity()),
                )
            });
            black_box(&left);
        });
    })
}

fn plain<K: Key, S>(
    name: &str,
    lacks: &'static str,
    limiter: RateLimiter<K, S, Virtual, NoOpMiddleware<Nanos>>,
) -> Subject
where
    S: KeyedStateStore<K> + Send + Sync + 'static,
{
    Subject::shared(name, K::FORM, lacks, move |steps| {
        each(steps, |step| {
            black_box(&K::of(step, |key| limiter.check_key(key)));
        });
    })
}

fn informing<K: Key, S>(
    name: &str,
    lacks: &'static str,
    limiter: RateLimiter<K, S, Virtual, StateInformationMiddleware>,
) -> Subject
where
    S: KeyedStateStore<K> + Send + Sync + 'static,
{
    Subject::shared(name, K::FORM, lacks, move |steps| {
        each(steps, |step| {
            let state = K::of(step, |key| limiter.check_key(key));
            black_box(&state.map(|state| state.remaining_burst_capacity()));
        });
    })
}

/// Keyed by strings, and asked by a caller who holds a `&str`, as from a header.
fn allocating() -> Subject {
    let limiter = Arc::new(informing_dashmap::<String>());
    Subject::shared(BASE, "&str", LACKS_INFORMING, move |steps| {
        each(steps, |step| {
            let state = limiter.check_key(&step.token.as_str().to_owned());
            black_box(&state.map(|state| state.remaining_burst_capacity()));
        });
    })
}

const LACKS: &str = "no day, block, remaining or reset; rows are never evicted";
const LACKS_HASH: &str = "no day, block, remaining or reset; rows are never evicted; a hash that gives way to chosen tokens";
const LACKS_INFORMING: &str = "no day, block or reset; rows are never evicted";
const LACKS_INFORMING_HASH: &str =
    "no day, block or reset; rows are never evicted; a hash that gives way to chosen tokens";
const LACKS_TWO: &str = "a day is no calendar day; refused by the day, the window is charged all the same; no block or reset";

/// So many that no run meets it.
const DAILY: u32 = 1_000_000_000;

/// As [`BASE`], with room for `tokens` from the start.
#[must_use]
pub fn reserved(tokens: usize) -> Subject {
    let store = DashMapStateStore::with_capacity(tokens);
    let limiter: Informing<String> = RateLimiter::new(quota(), store, Virtual::new());
    informing(&format!("{BASE}, room reserved"), LACKS_INFORMING, limiter)
}
