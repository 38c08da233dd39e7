//! Takes a limiter from what one file says to what another says, or leaves it as it was.
//!
//! While tokens change, a policy is in force that has the plans of both files, so that none is ever
//! without a limit. A token's registration is changed in place where it can be (P3), and else taken
//! up again where it was (P4).

use super::live::{Changes, ReloadError};
use super::policy::{Plans, PolicyFile};
use super::tokens::TokenEntry;
use super::whole::Config;
use crate::clock::SharedClock;
use crate::manage::Manage;
use limiter_core::policy::PolicyBuilder;
use limiter_core::{HashKey, Kind, Now, Policy, RegisterError, Registration, TokenId};
use std::collections::HashMap;
use std::sync::Arc;

/// What a limiter has of a file.
pub(super) struct Applied {
    /// Its policy, with the plans that were kept.
    pub(super) limits: PolicyFile,
    tokens: HashMap<TokenId, Registration>,
}

impl Applied {
    /// The number of tokens.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// A policy, and no tokens yet.
    pub(super) fn nothing(limits: &PolicyFile) -> Self {
        Self {
            limits: limits.clone(),
            tokens: HashMap::new(),
        }
    }
}

/// The limiter, and what ids are made with.
pub(super) struct Apply<D> {
    pub(super) file: String,
    pub(super) limiter: Arc<D>,
    pub(super) key: HashKey,
    pub(super) clock: SharedClock,
}

impl<D: Manage> Apply<D> {
    /// Does what a file says; on an error, nothing.
    pub(super) fn all(
        &self,
        applied: &mut Applied,
        config: &Config,
        builder: PolicyBuilder,
    ) -> Result<Changes, ReloadError> {
        let old = applied.limits.clone();
        let (both, left) = with_plans_of(&old, &config.limits, builder);
        if both != old.policy {
            self.set_policy(both)?;
        }
        let tokens = config.tokens.as_deref().unwrap_or_default();
        let mut changes = match self.tokens(applied, tokens) {
            Ok(changes) => changes,
            Err(error) => {
                // OK because its plans have the places they had, and all tokens have those again.
                let _ = self.limiter.set_policy(old.policy);
                return Err(error);
            }
        };
        changes.policy = config.limits.policy != old.policy;
        applied.limits = config.limits.clone();
        if both != config.limits.policy && self.limiter.set_policy(config.limits.policy).is_err() {
            applied.limits.policy = both;
            for (name, plan) in left.iter() {
                applied.limits.plans = applied.limits.plans.clone().with(name, plan);
                changes.kept_plans.push(name.to_owned());
            }
            changes.policy = both != old.policy;
        }
        Ok(changes)
    }

    /// Registers, updates and revokes until the limiter has these tokens; on an error, it has those
    /// that it had.
    pub(super) fn tokens(
        &self,
        applied: &mut Applied,
        entries: &[TokenEntry],
    ) -> Result<Changes, ReloadError> {
        let now = self.clock.now()?;
        let wanted: Vec<_> = entries
            .iter()
            .map(|entry| self.registration(entry))
            .collect();
        let next: HashMap<_, _> = wanted.iter().copied().collect();
        let mut changes = Changes::default();
        for token in applied.tokens.keys().filter(|t| !next.contains_key(t)) {
            self.limiter.revoke(*token, now);
            changes.revoked += 1;
        }
        for (index, &(token, registration)) in wanted.iter().enumerate() {
            let before = applied.tokens.get(&token);
            if before == Some(&registration) {
                continue;
            }
            if let Err(error) = self.register(token, registration, now) {
                self.restore(applied, &next, now);
                let file = self.file.clone();
                return Err(match error {
                    RegisterError::TableFull => ReloadError::TableFull {
                        file,
                        tokens: wanted.len(),
                    },
                    error => ReloadError::Register { file, index, error },
                });
            }
            match before {
                Some(_) => changes.updated += 1,
                None => changes.registered += 1,
            }
        }
        applied.tokens = next;
        Ok(changes)
    }

    fn registration(&self, entry: &TokenEntry) -> (TokenId, Registration) {
        let (token, registration) = entry.registration(&self.key);
        // Nothing registers it again, so its row must not go.
        (token, registration.pinned())
    }

    fn register(
        &self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<(), RegisterError> {
        let registered = match self.limiter.register(token, registration, now) {
            Err(RegisterError::OtherUser | RegisterError::OtherKind) => {
                self.limiter.revoke(token, now);
                self.limiter.register(token, registration, now)
            }
            registered => registered,
        };
        registered.map(|_| ())
    }

    /// Makes the tokens those that the limiter had before `tried` was tried.
    fn restore(&self, applied: &Applied, tried: &HashMap<TokenId, Registration>, now: Now) {
        for token in tried.keys().filter(|t| !applied.tokens.contains_key(t)) {
            self.limiter.revoke(*token, now);
        }
        for (token, registration) in &applied.tokens {
            // OK because it had a row, and whoever took one since has been revoked.
            let _ = self.register(*token, *registration, now);
        }
    }

    fn set_policy(&self, policy: Policy) -> Result<(), ReloadError> {
        let set = self.limiter.set_policy(policy);
        set.map_err(|error| ReloadError::Policy {
            file: self.file.clone(),
            error,
        })
    }
}

/// The new policy with the plans that only the old one names, in the places that are free; and those
/// plans.
fn with_plans_of(old: &PolicyFile, new: &PolicyFile, builder: PolicyBuilder) -> (Policy, Plans) {
    let (mut builder, mut left) = (builder, Plans::none());
    for (name, plan) in old.plans.iter() {
        let limit = |kind| old.policy.window_limit(plan, kind);
        if new.plans.name(plan).is_none()
            && new.plans.find(name).is_none()
            && let (Some(api_token), Some(access_token)) =
                (limit(Kind::ApiToken), limit(Kind::AccessToken))
        {
            builder = builder.plan(plan, api_token, access_token);
            left = left.with(name, plan);
        }
    }
    // OK because each of its numbers was right in a policy.
    (builder.build().unwrap_or(new.policy), left)
}
