//! A whole log in memory: every line checked, its tokens hashed, its order kept.
//!
//! A line takes 48 bytes here, however long it was, and a distinct token about 60 more. The text of
//! a token is hashed when its line is read and is not kept (SPEC T4).

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use limiter_core::{Kind, Method, Now, Origin, Plan, Registration, Request, TokenId, UserId};

/// What one line says, its defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Both clocks.
    pub now: Now,
    /// The token and its user, if a token was shown.
    pub caller: Option<(TokenId, UserId)>,
    /// The token's kind, as this line has it.
    pub kind: Kind,
    /// The token's plan from this line on (P3).
    pub plan: Plan,
    /// The method.
    pub method: Method,
    /// The origin.
    pub origin: Origin,
    /// Permits that the request takes.
    pub cost: NonZeroU32,
}

/// One request, ready to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Both clocks.
    pub now: Now,
    /// The request.
    pub request: Request,
    /// Whose it is; `None` where no token was shown.
    pub caller: Option<Caller>,
}

impl Entry {
    /// The token that is to be registered before the request is decided, and as what (SPEC 11): a
    /// webhook's line registers and changes nothing.
    #[must_use]
    pub fn registration(&self) -> Option<(TokenId, Registration)> {
        let (token, caller) = (self.request.token?, self.caller?);
        let registration = Registration::new(caller.user, caller.kind, caller.plan);
        (self.request.origin != Origin::Webhook).then_some((token, registration))
    }
}

/// The caller of one request, as SPEC 11 has it registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user of the token's first line.
    pub user: UserId,
    /// The token's place in [`Log::tokens`].
    pub token: u32,
    /// The kind of the token's first line.
    pub kind: Kind,
    /// The plan of this line.
    pub plan: Plan,
}

/// What is known of a token over the whole log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its keyed hash.
    pub id: TokenId,
    /// The line that shows it first, counted from 1.
    pub first_line: u64,
    /// The user and the kind of its first line that is no webhook: only such a line registers.
    terms: Option<(UserId, Kind)>,
}

/// A log that has been read.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
    tokens: Vec<Token>,
    places: HashMap<TokenId, u32>,
    users: HashSet<UserId>,
}

impl Log {
    /// Adds what a line says; lines are counted from 1.
    ///
    /// Amortized *O*(1); allocates for a token that was not seen before.
    ///
    /// # Panics
    /// At the 2^32nd token.
    pub fn push(&mut self, line: u64, record: &Record) {
        let caller = record
            .caller
            .map(|(token, user)| self.caller(line, record, token, user));
        let request = Request {
            token: record.caller.map(|(token, _)| token),
            cost: record.cost,
            method: record.method,
            origin: record.origin,
        };
        self.entries.push(Entry {
            now: record.now,
            request,
            caller,
        });
    }

    /// The requests in their order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tokens, in the order in which they are first seen.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// How many users the registered tokens belong to.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    fn caller(&mut self, line: u64, record: &Record, token: TokenId, user: UserId) -> Caller {
        let next = u32::try_from(self.tokens.len()).expect("fewer than 2^32 tokens fit memory");
        let place = *self.places.entry(token).or_insert(next);
        if place == next {
            self.tokens.push(Token {
                id: token,
                first_line: line,
                terms: None,
            });
        }
        let mut terms = (user, record.kind);
        if record.origin != Origin::Webhook {
            terms = *self.tokens[place as usize].terms.get_or_insert(terms);
            self.users.insert(terms.0);
        }
        Caller {
            user: terms.0,
            token: place,
            kind: terms.1,
            plan: record.plan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::{HashKey, Instant};

    fn record(key: &HashKey, token: &str, user: &str, origin: Origin) -> Record {
        Record {
            now: Now::new(Instant::ZERO, None),
            caller: Some((key.token(token.as_bytes()), key.user(user.as_bytes()))),
            kind: Kind::ApiToken,
            plan: Plan::ESSENTIAL,
            method: Method::Get,
            origin,
            cost: NonZeroU32::MIN,
        }
    }

    #[test]
    fn user_and_kind_are_those_of_the_first_line_that_registers() {
        let key = HashKey::new([1; 16]);
        let mut log = Log::default();
        log.push(3, &record(&key, "t", "hook", Origin::Webhook));
        log.push(4, &record(&key, "t", "first", Origin::Ui));
        let later = Record {
            kind: Kind::AccessToken,
            plan: Plan::ENTERPRISE,
            ..record(&key, "t", "later", Origin::Api)
        };
        log.push(9, &later);

        let caller = log.entries()[2].caller.unwrap();
        assert_eq!(caller.user, key.user(b"first"));
        assert_eq!(
            (caller.kind, caller.plan),
            (Kind::ApiToken, Plan::ENTERPRISE)
        );
        assert_eq!((log.tokens().len(), log.users()), (1, 1));
        assert_eq!(log.tokens()[0].first_line, 3);
    }

    #[test]
    fn a_line_takes_as_many_bytes_as_the_module_says() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
