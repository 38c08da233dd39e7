//! Who is known, and under which policy: what an instance changes in itself and, where counts are
//! concerned, in the store.

use super::Inner;
use super::error::StoreError;
use super::packed::Packer;
use super::registry::{Entry, Keys, Registry};
use super::script::{FORGET, FORGIVE, UNBLOCK};
use limiter_core::daily::DailyMode;
use limiter_core::{
    Instant, Now, Policy, PolicyError, RegisterError, Registered, Registration, TokenId,
    UpdateError, rules,
};
use redis::Value;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};

/// Why a change was not made; nothing is changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ManageError<E> {
    /// It is wrong in itself.
    Refused(E),
    /// It concerns counts in the store, which cannot be used.
    Store(StoreError),
}

impl<E: fmt::Display> fmt::Display for ManageError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ManageError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

impl<E> From<StoreError> for ManageError<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Inner {
    pub(super) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn register(
        &self,
        token: TokenId,
        registration: &Registration,
    ) -> Result<Registered, ManageError<RegisterError>> {
        let (registered, before, after) = {
            let mut registry = self.registry_mut();
            let (registered, before) = registry
                .register(token, registration)
                .map_err(ManageError::Refused)?;
            let after = registry.row(token).map(|entry| Arc::clone(&entry.keys));
            (registered, before, after)
        };
        // A token that changes its user takes its window and its conduct along (P4).
        if let (Some(before), Some(after)) = (before, after)
            && let Err(error) = self.carry_over(&before, &after).await
        {
            self.registry_mut().revoke(token);
            return Err(error.into());
        }
        Ok(registered)
    }

    async fn carry_over(&self, before: &Keys, after: &Keys) -> Result<(), StoreError> {
        if self.outage.lasts(before.slot) || self.outage.lasts(after.slot) {
            return Err(StoreError::NotConnected);
        }
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        let record: Option<Vec<u8>> = redis::cmd("GET")
            .arg(&before.token)
            .query_async(&mut connection)
            .await?;
        let Some(record) = record else { return Ok(()) };
        let ttl_ms: i64 = redis::cmd("PTTL")
            .arg(&before.token)
            .query_async(&mut connection)
            .await?;
        if ttl_ms > 0 {
            redis::cmd("SET")
                .arg(&after.token)
                .arg(record)
                .arg("PX")
                .arg(ttl_ms)
                .query_async::<()>(&mut connection)
                .await?;
        }
        redis::cmd("DEL")
            .arg(&before.token)
            .query_async::<()>(&mut connection)
            .await?;
        Ok(())
    }

    /// Revokes a token. Its row stays if something in the store still counts, or that cannot be
    /// told (P4).
    pub(super) async fn revoke(&self, token: TokenId, now: Now) -> bool {
        let (policy, entry) = {
            let registry = self.registry();
            (registry.policy, registry.known(token).cloned())
        };
        let Some(Entry { keys, local, .. }) = entry else {
            return false;
        };
        // Unknown from now on; whether the row stays is found out after that.
        if !self.registry_mut().revoke(token) {
            return false;
        }
        if let Ok(found) = self.look_and_take(&keys, now).await {
            let at = found.time();
            let abuse = local.pending().unwrap_or(found.token.abuse);
            if rules::is_idle_token(&policy, found.token.window, abuse, at) {
                let seen = found.token.pack();
                if let Some(mut connection) = self.link.connection() {
                    // If it cannot be removed it ends by itself.
                    let _ = FORGET.run(&mut connection, &[&keys.token], &[&seen]).await;
                }
                self.registry_mut().forget_revoked(token);
            }
        }
        true
    }

    pub(super) async fn unblock(&self, token: TokenId) -> Result<(), ManageError<UpdateError>> {
        let entry = self.registry().known(token).cloned();
        let entry = entry.ok_or(ManageError::Refused(UpdateError::UnknownToken))?;
        let Entry { keys, local, .. } = entry;
        local.forget();
        if self.outage.lasts(keys.slot) {
            return Err(StoreError::NotConnected.into());
        }
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        match UNBLOCK.run(&mut connection, &[&keys.token], &[]).await {
            Ok(Value::Int(_)) => Ok(()),
            Ok(_) => Err(StoreError::Foreign.into()),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    pub(super) async fn set_policy(&self, policy: Policy) -> Result<(), ManageError<PolicyError>> {
        let (mode, users) = {
            let registry = self.registry();
            registry.allows(&policy).map_err(ManageError::Refused)?;
            (registry.policy.daily().mode, registry.all_user_keys())
        };
        // What is forgiven by now stays so, however long the new policy remembers (D3).
        if let DailyMode::FairUse {
            forgiven_after_days,
            ..
        } = mode
        {
            let argument = Packer::default().put(2, forgiven_after_days).into_bytes();
            let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
            for keys in users {
                let keys: [&str; 2] = [&keys.user, &keys.calendar];
                let forgiven = FORGIVE.run(&mut connection, &keys, &[&argument]).await;
                forgiven.map_err(StoreError::from)?;
            }
        }
        let mut registry = self.registry_mut();
        registry.set_policy(policy).map_err(ManageError::Refused)
    }

    pub(super) async fn next_reset(
        &self,
        token: TokenId,
        now: Now,
    ) -> Result<Option<Instant>, StoreError> {
        let (policy, keys) = {
            let registry = self.registry();
            let known = registry.known(token);
            let entry = known.map(|entry| (Arc::clone(&entry.keys), entry.terms.kind()));
            (registry.policy, entry)
        };
        let Some((keys, kind)) = keys else {
            return Ok(None);
        };
        let found = self.look(&keys, now).await?;
        let (reading, at) = (found.now.monotonic(), found.time());
        let can_be_blocked = policy.block().is_some() && kind == limiter_core::Kind::ApiToken;
        let blocked_ms = found.token.abuse.blocked_ms(at);
        if can_be_blocked && blocked_ms > 0 {
            return Ok(Some(reading.saturating_add(u64::from(blocked_ms))));
        }
        let window = found.token.window.settle(at, policy.window_ms());
        let reset_ms = window.reset_ms(at, policy.window_ms());
        let reset = reading.saturating_add(u64::from(reset_ms));
        Ok(window.is_open().then_some(reset))
    }
}
