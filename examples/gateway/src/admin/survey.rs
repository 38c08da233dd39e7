//! Which tokens are busy, and which are blocked.
//!
//! A window lasts two seconds, and a look at one moment finds most of them closed. So the busiest
//! are told from the looks of the last ten seconds: by the most permits that each was seen to use
//! in one window.

use limiter_host::Concurrent;
use limiter_host::concurrent::TokenView;
use limiter_host::core::{Instant as Moment, Kind};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// The looks of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    busy: VecDeque<(Instant, Vec<TokenView>)>,
}

/// What a look found.
#[derive(Debug)]
pub(super) struct Look {
    busiest: Vec<TokenView>,
    blocked: Vec<TokenView>,
    blocked_in_all: usize,
}

impl Look {
    /// Visits every row; some tens of milliseconds for a million tokens. Decisions go on.
    pub(super) fn take(limiter: &Concurrent, now: Moment) -> Self {
        let (mut busiest, mut blocked) = (Vec::new(), Vec::new());
        let mut blocked_in_all = 0;
        for token in limiter.rows(now).filter(|token| !token.revoked) {
            if token.blocked_until.is_some() {
                blocked_in_all += 1;
                blocked.push(token);
                trim(&mut blocked, BLOCKED, |token| Reverse(token.blocked_until));
            }
            if token.used > 0 {
                busiest.push(token);
                trim(&mut busiest, BUSIEST, |token| Reverse(token.used));
            }
        }
        blocked.sort_by_key(|token| Reverse(token.blocked_until));
        blocked.truncate(BLOCKED);
        busiest.sort_by_key(|token| Reverse(token.used));
        busiest.truncate(BUSIEST);
        Self {
            busiest,
            blocked,
            blocked_in_all,
        }
    }
}

/// Keeps a list below twice the length that is wanted, by what comes first.
fn trim<K: Ord>(list: &mut Vec<TokenView>, most: usize, key: impl Fn(&TokenView) -> K) {
    if list.len() >= 2 * most {
        list.sort_by_key(key);
        list.truncate(most);
    }
}

impl Surveys {
    /// Takes one more look into account.
    pub(super) fn note(&mut self, look: Look, at: Instant, now: Moment) -> Tokens {
        while self
            .busy
            .front()
            .is_some_and(|(old, _)| at.duration_since(*old) >= REMEMBERED)
        {
            self.busy.pop_front();
        }
        self.busy.push_back((at, look.busiest));
        let mut most: HashMap<u64, (u32, TokenView)> = HashMap::new();
        for token in self.busy.iter().flat_map(|(_, tokens)| tokens) {
            let known = most
                .entry(token.token.as_u64())
                .or_insert((token.used, *token));
            *known = (known.0.max(token.used), *token);
        }
        let mut busiest: Vec<(u32, TokenView)> = most.into_values().collect();
        busiest.sort_by_key(|(used, token)| (Reverse(*used), token.token.as_u64()));
        busiest.truncate(BUSIEST);
        let blocked = look.blocked.iter();
        Tokens {
            busiest: busiest
                .iter()
                .map(|(used, token)| Token::of(token, *used, now))
                .collect(),
            blocked: blocked
                .map(|token| Token::of(token, token.used, now))
                .collect(),
            blocked_in_all: look.blocked_in_all,
        }
    }
}

/// The tokens that an operator wants to see.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Tokens {
    busiest: Vec<Token>,
    /// Those whose block lasts longest.
    blocked: Vec<Token>,
    blocked_in_all: usize,
}

/// One token; its id and its user's are keyed hashes (T4).
#[derive(Clone, Debug, Serialize)]
struct Token {
    id: String,
    user: String,
    kind: &'static str,
    limit: u32,
    /// Permits used in a window; of the busiest, the most of the last seconds.
    used: u32,
    used_today: u32,
    /// `null` if it is not blocked.
    blocked_ms: Option<u64>,
}

impl Token {
    fn of(token: &TokenView, used: u32, now: Moment) -> Self {
        Self {
            id: format!("{:016x}", token.token.as_u64()),
            user: format!("{:016x}", token.user.as_u64()),
            kind: match token.kind {
                Kind::ApiToken => "api_token",
                Kind::AccessToken => "access_token",
            },
            limit: token.limit,
            used,
            used_today: token.used_today,
            blocked_ms: token.blocked_until.map(|until| until.saturating_since(now)),
        }
    }
}

const BUSIEST: usize = 10;
const BLOCKED: usize = 100;
const REMEMBERED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_host::core::{HashKey, Method, Now, Plan, Policy, Registration, Request};

    #[tokio::test(start_paused = true)]
    async fn remembers_the_busiest_for_ten_seconds_and_orders_them() {
        let limiter = Concurrent::new(Policy::pipedrive(), 64, 64);
        let key = HashKey::new([1; 16]);
        let now = |ms| Now::new(Moment::from_millis(ms), None);
        let ids: Vec<_> = (0..30_u8).map(|i| key.token(&[i])).collect();
        for (i, id) in (1..).zip(&ids) {
            let user = Registration::new(key.user(b"u"), Kind::AccessToken, Plan::ESSENTIAL);
            limiter.register(*id, user, now(0)).unwrap();
            for _ in 0..i {
                let request = Request::new(*id, Method::Get);
                assert!(limiter.check(&request, now(0)).is_admitted());
            }
        }
        let start = Instant::now();
        let mut surveys = Surveys::default();
        let look = |ms| Look::take(&limiter, Moment::from_millis(ms));
        let found = surveys.note(look(0), start, Moment::ZERO);
        let used: Vec<u32> = found.busiest.iter().map(|token| token.used).collect();
        assert_eq!(used, [30, 29, 28, 27, 26, 25, 24, 23, 22, 21]);
        assert_eq!(found.blocked_in_all, 0);
        // The windows have ended; what was seen is still told, and then no longer.
        let later = start + Duration::from_millis(9_999);
        let found = surveys.note(look(9_999), later, Moment::ZERO);
        assert_eq!(found.busiest[0].used, 30);
        let later = start + Duration::from_secs(10);
        let found = surveys.note(look(10_000), later, Moment::ZERO);
        assert!(found.busiest.is_empty());
    }

    #[test]
    fn finds_the_blocks_that_last_longest_and_counts_all() {
        let policy = Policy::builder()
            .window(Duration::from_secs(2))
            .plan(Plan::ESSENTIAL, 1, 1)
            .block(1, Duration::from_secs(60), Duration::from_secs(300))
            .build()
            .unwrap();
        let limiter = Concurrent::new(policy, 512, 512);
        let key = HashKey::new([1; 16]);
        for i in 0..250_u64 {
            let now = Now::new(Moment::from_millis(i), None);
            let id = key.token(&i.to_le_bytes());
            let user = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::ESSENTIAL);
            limiter.register(id, user, now).unwrap();
            let request = Request::new(id, Method::Get);
            assert!(limiter.check(&request, now).is_admitted());
            assert!(!limiter.check(&request, now).is_admitted());
        }
        let now = Moment::from_millis(249);
        let look = Look::take(&limiter, now);
        assert_eq!((look.blocked_in_all, look.blocked.len()), (250, BLOCKED));
        let until: Vec<u64> = look
            .blocked
            .iter()
            .map(|token| token.blocked_until.unwrap().as_millis())
            .collect();
        assert!(until.is_sorted_by(|a, b| a > b));
        assert_eq!(until[0], 300_249);
    }
}
