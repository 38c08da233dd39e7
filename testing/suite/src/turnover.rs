//! A table through generations of tokens: each is replaced by a new one, in an order that tells
//! nothing of places, and none is revoked. What a look-up costs must depend on what the table
//! holds, not on what it has been through.

use limiter_core::{
    Decision, HashKey, Kind, Method, Plan, Policy, Reason, RegisterError, Registered, Registration,
    Request, Statistics, TokenId,
};

use crate::{Subject, now};

/// Generations of tokens that a table goes through.
#[derive(Clone, Copy, Debug)]
pub struct Turnover {
    /// Tokens in use at any time, in percent of the rows.
    pub occupancy: usize,
    /// Tokens of each user.
    pub tokens_of_user: u64,
    /// The number of times that every token in use is replaced.
    pub generations: u64,
    /// True if the oldest token is replaced first, false if any one is.
    pub oldest_first: bool,
}

/// The table after it.
#[derive(Clone, Copy, Debug)]
pub struct Turned {
    /// Of all generations but the first, which fills the table, the worst.
    pub longest_probe: u32,
    /// The same of users.
    pub longest_user_probe: u32,
    /// Rows that a search for an idle one visited, over registrations, in hundredths, after the
    /// first generation.
    pub searched_hundredths: u64,
    /// At the end.
    pub statistics: Statistics,
}

/// A host that looks a token up and registers it when the limiter does not know it.
struct Host<S> {
    subject: S,
    key: HashKey,
    tokens_of_user: u64,
    t_ms: u64,
    registered: u64,
}

impl<S: Subject> Host<S> {
    fn token(&self, number: u64) -> TokenId {
        self.key.token(&number.to_le_bytes())
    }

    /// Opens the token's window.
    fn ask(&mut self, number: u64) -> Decision {
        let (token, at) = (
            self.token(number),
            now(
                self.t_ms,
                Some(1_716_000_000 + (self.t_ms / 1_000).cast_signed()),
            ),
        );
        let request = Request::new(token, Method::Get);
        let decision = self.subject.check(&request, at);
        if decision.reason() != Some(Reason::Unauthenticated) {
            return decision;
        }
        let user = self.key.user(&(number / self.tokens_of_user).to_le_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
        let registered: Result<Registered, RegisterError> =
            self.subject.register(token, registration, at);
        assert!(registered.is_ok(), "{registered:?}: idle rows abound");
        self.registered += 1;
        self.subject.check(&request, at)
    }
}

impl Turnover {
    /// Turns a table over.
    ///
    /// # Panics
    ///
    /// If a token is refused anything, or a newcomer a row.
    #[must_use]
    pub fn run<S: Subject>(self) -> Turned {
        let in_use = S::TOKENS * self.occupancy / 100;
        let mut host = Host {
            subject: S::new(Policy::pipedrive()),
            key: HashKey::new([7; 16]),
            tokens_of_user: self.tokens_of_user,
            t_ms: 0,
            registered: 0,
        };
        let mut tokens: Vec<u64> = Vec::new();
        let mut random = 1_u64;
        let mut below = |end: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).expect("31 bits") % end
        };
        let (mut turned, mut filled) = (None::<Turned>, (0, 0));
        for generation in 0..=self.generations {
            for step in 0..in_use {
                // Four seconds for the whole table: windows are two seconds long.
                let per_ms = (S::TOKENS / 4_000).max(1);
                let step_ms = 4_000_u64.div_ceil(S::TOKENS as u64);
                host.t_ms += if step % per_ms == 0 { step_ms } else { 0 };
                let newcomer = generation * u64::try_from(in_use).expect("few") + step as u64;
                match tokens.len() {
                    few if few < in_use => tokens.push(newcomer),
                    _ if self.oldest_first => tokens[step] = newcomer,
                    _ => tokens[below(in_use)] = newcomer,
                }
                assert!(host.ask(newcomer).is_admitted());
                for _ in 0..2 {
                    let token = tokens[below(tokens.len())];
                    let _ = host.ask(token);
                }
            }
            let statistics = host.subject.statistics();
            if generation == 0 {
                filled = (statistics.searched_rows, host.registered);
                continue;
            }
            let searched = statistics.searched_rows - filled.0;
            let before = turned.map_or((0, 0), |turned| {
                (turned.longest_probe, turned.longest_user_probe)
            });
            turned = Some(Turned {
                longest_probe: statistics.longest_probe.max(before.0),
                longest_user_probe: statistics.longest_user_probe.max(before.1),
                searched_hundredths: 100 * searched / (host.registered - filled.1).max(1),
                statistics,
            });
        }
        turned.expect("there is a generation after the first")
    }
}
