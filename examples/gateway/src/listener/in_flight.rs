//! Limits on the requests under way for one caller: a token, an address, or all without a token.
//!
//! A rate limits how often a caller may ask, not how much it holds meanwhile: a client that sends bodies slowly, or
//! asks for what takes long, holds a connection for each request. Requests above these limits are refused before
//! the limiter is asked, so that they cost no permit, and before anything of them is forwarded.

use super::Peer;
use hyper::StatusCode;
use limiter_host::core::TokenId;
use limiter_host::middleware::Head;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests that may be under way at once, from the first byte of a request after its head to the last of its
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlightLimits {
    /// Those of one token, known or not.
    pub per_token: usize,
    /// Those from one address; of IPv6, from one network of 64 bits.
    pub per_address: usize,
    /// Those that show no token where one is looked at, or whose path is exempt, all together.
    pub without_token: usize,
}

impl InFlightLimits {
    /// A sixteenth of the connections for a token, a quarter for an address, and for all without a token.
    #[must_use]
    pub const fn of(connections: usize) -> Self {
        const fn at_least_1(number: usize) -> usize {
            if number == 0 { 1 } else { number }
        }
        Self {
            per_token: at_least_1(connections / 16),
            per_address: at_least_1(connections / 4),
            without_token: at_least_1(connections / 4),
        }
    }
}

/// Finds the token that a request counts for; `None` if it shows none, or needs none.
pub(crate) type FindToken = Arc<dyn Fn(&Head<'_>) -> Option<TokenId> + Send + Sync>;

/// The requests that are under way.
pub(super) struct InFlight {
    limits: InFlightLimits,
    find_token: FindToken,
    taken: Mutex<Taken>,
    refused: [AtomicU64; Excess::ALL.len()],
}

#[derive(Default)]
struct Taken {
    all: usize,
    tokens: HashMap<TokenId, usize>,
    addresses: HashMap<IpAddr, usize>,
    without_token: usize,
}

impl InFlight {
    pub(super) fn new(limits: InFlightLimits, find_token: FindToken) -> Arc<Self> {
        Arc::new(Self {
            limits,
            find_token,
            taken: Mutex::default(),
            refused: Default::default(),
        })
    }

    /// Notes that a request is under way until the permit goes.
    pub(super) fn enter(self: &Arc<Self>, head: &Head<'_>, peer: Peer) -> Result<Permit, Excess> {
        let token = (self.find_token)(head);
        let address = network(peer.address);
        let entered = self.lock().enter(token, address, &self.limits);
        match entered {
            Ok(()) => Ok(Permit {
                of: Arc::clone(self),
                token,
                address,
            }),
            Err(excess) => {
                self.refused[excess as usize].fetch_add(1, Ordering::Relaxed);
                Err(excess)
            }
        }
    }

    /// The number of requests under way.
    pub(super) fn all(&self) -> usize {
        self.lock().all
    }

    /// The number of refusals, by the limit exceeded.
    pub(super) fn refused(&self) -> [(&'static str, u64); 3] {
        Excess::ALL.map(|excess| {
            let refused = &self.refused[excess as usize];
            (excess.name(), refused.load(Ordering::Relaxed))
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn enter(
        &mut self,
        token: Option<TokenId>,
        address: IpAddr,
        limits: &InFlightLimits,
    ) -> Result<(), Excess> {
        let of = |map: Option<&usize>| map.copied().unwrap_or(0);
        if of(self.addresses.get(&address)) >= limits.per_address {
            return Err(Excess::Address);
        }
        match token {
            Some(token) if of(self.tokens.get(&token)) >= limits.per_token => {
                return Err(Excess::Token);
            }
            Some(token) => *self.tokens.entry(token).or_default() += 1,
            None if self.without_token >= limits.without_token => return Err(Excess::WithoutToken),
            None => self.without_token += 1,
        }
        *self.addresses.entry(address).or_default() += 1;
        self.all += 1;
        Ok(())
    }

    fn leave(&mut self, token: Option<TokenId>, address: IpAddr) {
        self.all -= 1;
        leave(&mut self.addresses, address);
        match token {
            Some(token) => leave(&mut self.tokens, token),
            None => self.without_token -= 1,
        }
    }
}

/// Counts one less, and keeps no place for a caller with none.
fn leave<K: Eq + Hash>(map: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut place) = map.entry(key) {
        *place.get_mut() -= 1;
        if *place.get() == 0 {
            place.remove();
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("limits", &self.limits)
            .field("all", &self.all())
            .finish_non_exhaustive()
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Permit {
    of: Arc<InFlight>,
    token: Option<TokenId>,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.lock().leave(self.token, self.address);
    }
}

/// The limit that a request is above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Token,
    Address,
    WithoutToken,
}

impl Excess {
    const ALL: [Self; 3] = [Self::Token, Self::Address, Self::WithoutToken];

    /// The status and body of its refusal: 429 where the caller itself holds too much, 503 where others may.
    pub(super) const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Token => (StatusCode::TOO_MANY_REQUESTS, TOKEN_BODY),
            Self::Address => (StatusCode::TOO_MANY_REQUESTS, ADDRESS_BODY),
            Self::WithoutToken => (StatusCode::SERVICE_UNAVAILABLE, WITHOUT_TOKEN_BODY),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Address => "address",
            Self::WithoutToken => "without_token",
        }
    }
}

/// All addresses that one subscriber has: of IPv6 that is a network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

const TOKEN_BODY: &str =
    r#"{"success":false,"error":"too many requests of this token in flight","errorCode":429}"#;
const ADDRESS_BODY: &str =
    r#"{"success":false,"error":"too many requests of this address in flight","errorCode":429}"#;
const WITHOUT_TOKEN_BODY: &str =
    r#"{"success":false,"error":"too many requests without a token in flight","errorCode":503}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    const LIMITS: InFlightLimits = InFlightLimits {
        per_token: 2,
        per_address: 3,
        without_token: 1,
    };

    fn address(text: &str) -> IpAddr {
        network(text.parse().unwrap())
    }

    #[test]
    fn counts_tokens_addresses_and_those_without_and_forgets_who_has_none() {
        let token = |id| NonZeroU64::new(id).map(TokenId::from_hash);
        let mut taken = Taken::default();
        let (one, two) = (address("127.0.0.1"), address("127.0.0.2"));
        let mut enter = |token, address| taken.enter(token, address, &LIMITS);
        assert_eq!(enter(token(1), one), Ok(()));
        assert_eq!(enter(token(1), one), Ok(()));
        assert_eq!(enter(token(1), one), Err(Excess::Token));
        assert_eq!(enter(token(1), two), Err(Excess::Token));
        assert_eq!(enter(None, one), Ok(()));
        assert_eq!(enter(token(2), one), Err(Excess::Address));
        assert_eq!(enter(None, two), Err(Excess::WithoutToken));
        assert_eq!(enter(token(2), two), Ok(()));
        for (token, address) in [
            (token(1), one),
            (token(1), one),
            (None, one),
            (token(2), two),
        ] {
            taken.leave(token, address);
        }
        assert_eq!((taken.all, taken.without_token), (0, 0));
        assert!(taken.tokens.is_empty() && taken.addresses.is_empty());
    }

    #[test]
    fn counts_the_addresses_of_an_ipv6_subscriber_together() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:0:0:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_ne!(address("127.0.0.1"), address("127.0.0.2"));
    }
}
