//! Who is known to this instance: its tokens, their terms, their users, and their keys in the store.
//!
//! Only counts are in the store. Every instance registers the same tokens by itself, and a store
//! that was emptied knows none less. A token stays known until it is revoked: rows are not evicted.

use super::local::{Changes, Local};
use super::records::VERSION;
use limiter_core::limiter::Terms;
use limiter_core::{
    Kind, Origin, Policy, PolicyError, RegisterError, Registered, Registration, Request, TokenId,
    TokenLimit, UpdateError, UserId,
};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// The keys of one token's decisions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// The token's window and conduct.
    pub(super) token: String,
    /// The calendar.
    pub(super) calendar: String,
    /// The record that a probe charges, in the place of a token's.
    pub(super) probe: String,
    /// The slot of all these in a cluster, else 0.
    pub(super) slot: u16,
    /// The user's day and strikes.
    pub(super) user: String,
}

impl Keys {
    /// A key in the same slot that no other question has, of this instance or another.
    pub(super) fn once(&self) -> String {
        static INSTANCE: LazyLock<u64> =
            LazyLock::new(|| RandomState::new().build_hasher().finish());
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        format!("{}:{:016x}:{number:x}", self.probe, *INSTANCE)
    }
}

/// How keys are written. A cluster keeps the keys of one user in one slot, by the tag in braces.
#[derive(Clone, Debug)]
pub(super) struct KeyNames {
    pub(super) prefix: String,
    /// Whether every user has a calendar of their own, in their slot.
    pub(super) calendar_per_user: bool,
}

impl KeyNames {
    fn of(&self, token: TokenId, user: UserId) -> Keys {
        self.of_numbers(token.as_u64(), user.as_u64())
    }

    /// Keys that no user has, to see whether the store is there.
    pub(super) fn of_nobody(&self) -> Keys {
        self.of_numbers(0, 0)
    }

    fn of_numbers(&self, token: u64, user: u64) -> Keys {
        let prefix = format!("{}:{VERSION}", self.prefix);
        Keys {
            token: format!("{prefix}:{{{user:016x}}}:t:{token:016x}"),
            calendar: if self.calendar_per_user {
                format!("{prefix}:{{{user:016x}}}:c")
            } else {
                format!("{prefix}:c")
            },
            user: format!("{prefix}:{{{user:016x}}}:u"),
            probe: format!("{prefix}:{{{user:016x}}}:p"),
            slot: if self.calendar_per_user {
                slot(format!("{user:016x}").as_bytes())
            } else {
                0
            },
        }
    }
}

/// What is known of one token.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) terms: Terms,
    pub(super) user: UserId,
    /// The user's place, for receipts.
    pub(super) place: u32,
    pub(super) keys: Arc<Keys>,
    /// What this instance remembers of the token.
    pub(super) local: Arc<Local>,
    /// What it knows of changes to the user.
    pub(super) user_changes: Arc<Changes>,
    /// And to the calendar, or any of them.
    pub(super) calendar_changes: Arc<Changes>,
}

#[derive(Debug)]
struct User {
    id: UserId,
    tokens: u32,
    keys: Arc<Keys>,
    changes: Arc<Changes>,
}

/// All that this instance knows.
#[derive(Debug)]
pub(super) struct Registry {
    names: KeyNames,
    capacity: usize,
    pub(super) policy: Policy,
    /// The policy as the scripts take it.
    pub(super) packed_policy: Arc<[u8]>,
    tokens: HashMap<TokenId, Entry>,
    users: HashMap<UserId, u32>,
    /// By place. A place is never given to another user, for a receipt may still tell it.
    places: HashMap<u32, User>,
    next_place: u32,
    /// Places of users that had no token left, in the order in which that came to be.
    idle: VecDeque<u32>,
    pub(super) table_full: u64,
    pub(super) calendar_changes: Arc<Changes>,
}

impl Registry {
    pub(super) fn new(policy: Policy, names: KeyNames, capacity: usize) -> Self {
        Self {
            names,
            capacity,
            packed_policy: super::packed::pack_policy(&policy).into(),
            policy,
            tokens: HashMap::new(),
            users: HashMap::new(),
            places: HashMap::new(),
            next_place: 0,
            idle: VecDeque::new(),
            table_full: 0,
            calendar_changes: Arc::default(),
        }
    }

    /// A token that is registered and not revoked.
    pub(super) fn known(&self, token: TokenId) -> Option<&Entry> {
        self.row(token).filter(|entry| !entry.terms.is_revoked())
    }

    /// A token that is registered, also if it is revoked.
    pub(super) fn row(&self, token: TokenId) -> Option<&Entry> {
        self.tokens.get(&token)
    }

    /// The keys of the user at a place, whose record changes: one who has tokens, or lost the last
    /// one not long ago.
    pub(super) fn user_to_change(&self, place: u32) -> Option<Arc<Keys>> {
        let user = self.places.get(&place)?;
        user.changes.count();
        Some(Arc::clone(&user.keys))
    }

    /// The keys of every user.
    pub(super) fn all_user_keys(&self) -> Vec<Arc<Keys>> {
        let users = self.places.values();
        users.map(|user| Arc::clone(&user.keys)).collect()
    }

    pub(super) fn tokens(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn users(&self) -> u32 {
        u32::try_from(self.users.len()).unwrap_or(u32::MAX)
    }

    /// Registers a token; where that gives a revoked token another user, the keys it had.
    pub(super) fn register(
        &mut self,
        token: TokenId,
        registration: &Registration,
    ) -> Result<(Registered, Option<Arc<Keys>>), RegisterError> {
        let limit = registration
            .limit
            .permits(&self.policy, registration.kind)?;
        let terms = Terms::new(registration, limit);
        let Some(entry) = self.tokens.get_mut(&token) else {
            if self.tokens.len() >= self.capacity {
                self.table_full += 1;
                return Err(RegisterError::TableFull);
            }
            let entry = self.entry(token, registration.user, terms);
            self.tokens.insert(token, entry);
            return Ok((Registered::New, None));
        };
        let revoked = entry.terms.is_revoked();
        if !revoked && entry.terms.kind() != registration.kind {
            return Err(RegisterError::OtherKind);
        }
        if entry.user == registration.user {
            entry.terms = terms;
            let how = if revoked {
                Registered::Resumed
            } else {
                Registered::Updated
            };
            return Ok((how, None));
        }
        if !revoked {
            return Err(RegisterError::OtherUser);
        }
        let (old_keys, old_place) = (Arc::clone(&entry.keys), entry.place);
        let entry = self.entry(token, registration.user, terms);
        self.tokens.insert(token, entry);
        self.drop_reference(old_place);
        Ok((Registered::Resumed, Some(old_keys)))
    }

    pub(super) fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        let policy = self.policy;
        let entry = self.tokens.get_mut(&token);
        let entry = entry.filter(|entry| !entry.terms.is_revoked());
        let entry = entry.ok_or(UpdateError::UnknownToken)?;
        let permits = limit.permits(&policy, entry.terms.kind())?;
        entry.terms = entry.terms.with_limit(limit, permits);
        Ok(())
    }

    /// Makes a token unknown; its row stays. Says whether it was known.
    pub(super) fn revoke(&mut self, token: TokenId) -> bool {
        match self.tokens.get_mut(&token) {
            Some(entry) if !entry.terms.is_revoked() => {
                // A revoked row is no longer worth a pin.
                entry.terms = entry.terms.revoked(true).unpinned();
                true
            }
            _ => false,
        }
    }

    /// Drops the row of a revoked token, unless it was registered again meanwhile.
    pub(super) fn forget_revoked(&mut self, token: TokenId) {
        if let Some(entry) = self.tokens.get(&token)
            && entry.terms.is_revoked()
        {
            let place = entry.place;
            self.tokens.remove(&token);
            self.drop_reference(place);
        }
    }

    /// Whether every plan in use is one of the policy.
    pub(super) fn allows(&self, policy: &Policy) -> Result<(), PolicyError> {
        for entry in self.tokens.values() {
            if let Some(plan) = entry.terms.plan()
                && !entry.terms.is_revoked()
                && policy.window_limit(plan, entry.terms.kind()).is_none()
            {
                return Err(PolicyError::PlanInUse {
                    index: plan.index(),
                });
            }
        }
        Ok(())
    }

    /// All entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tokens.values()
    }

    /// Puts a policy in force.
    pub(super) fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        self.allows(&policy)?;
        for entry in self.tokens.values_mut() {
            let plan = entry.terms.plan();
            if let Some(plan) = plan
                && let Some(limit) = policy.window_limit(plan, entry.terms.kind())
            {
                entry.terms = entry.terms.with_limit(TokenLimit::Plan(plan), limit);
            }
        }
        for entry in self.tokens.values() {
            entry.local.forget();
        }
        self.packed_policy = super::packed::pack_policy(&policy).into();
        self.policy = policy;
        Ok(())
    }

    /// An entry of a user, who has one token more from now on.
    fn entry(&mut self, token: TokenId, user: UserId, terms: Terms) -> Entry {
        let keys = Arc::new(self.names.of(token, user));
        let place = *self.users.entry(user).or_insert_with(|| {
            let place = self.next_place;
            self.next_place = self.next_place.saturating_add(1).min(LAST_PLACE);
            place
        });
        // All users past the last place share it, and none is found there: the day of such an
        // admission is not given back.
        let mut user_changes = Arc::default();
        if place < LAST_PLACE {
            let known = self.places.entry(place).or_insert_with(|| User {
                id: user,
                tokens: 0,
                keys: Arc::clone(&keys),
                changes: Arc::default(),
            });
            known.tokens += 1;
            user_changes = Arc::clone(&known.changes);
        }
        Entry {
            terms,
            user,
            place,
            keys,
            local: Arc::default(),
            user_changes,
            calendar_changes: Arc::clone(&self.calendar_changes),
        }
    }

    fn drop_reference(&mut self, place: u32) {
        let Some(user) = self.places.get_mut(&place) else {
            return;
        };
        user.tokens -= 1;
        if user.tokens > 0 {
            return;
        }
        self.idle.push_back(place);
        if self.idle.len() > self.capacity
            && let Some(oldest) = self.idle.pop_front()
            && let Some(user) = self.places.get(&oldest)
            && user.tokens == 0
        {
            self.users.remove(&user.id);
            self.places.remove(&oldest);
        }
    }
}

impl Entry {
    /// Whether a refusal of the request would be an offence (O7, B5).
    pub(super) fn offends(&self, request: &Request) -> bool {
        self.terms.kind() == Kind::ApiToken && request.origin == Origin::Api
    }
}

const LAST_PLACE: u32 = u32::MAX - 1;

/// The slot of a hash tag in a cluster: its CRC-16 (XMODEM) modulo their number.
fn slot(tag: &[u8]) -> u16 {
    let step = |crc: u16| {
        if crc & 0x8000 == 0 {
            crc << 1
        } else {
            crc << 1 ^ 0x1021
        }
    };
    let crc = tag.iter().fold(0, |crc: u16, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| step(crc))
    });
    crc % SLOTS
}

/// The slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
    }

    #[test]
    fn the_keys_of_a_user_and_of_all_tokens_lie_in_one_slot() {
        let names = KeyNames {
            prefix: "limiter".to_owned(),
            calendar_per_user: true,
        };
        let key = limiter_core::HashKey::new([1; 16]);
        let keys = names.of(key.token(b"t"), key.user(b"u"));
        let tag = format!("limiter:3:{{{:016x}}}:", key.user(b"u").as_u64());
        for name in [&keys.token, &keys.calendar, &keys.user, &keys.probe] {
            assert!(name.starts_with(&tag), "{name}");
        }
    }
}
