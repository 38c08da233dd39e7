//! Permits that go back to the store: of requests that failed behind the limiter, and such that were
//! held ahead of need.

use super::Inner;
use super::decide::Found;
use super::error::StoreError;
use super::packed::{Ask, Back, BackTo, Held, Permits};
use super::registry::{Entry, Keys};
use super::script::{CHECK, GIVE_BACK};
use limiter_core::{Now, Receipt, Refunded};
use redis::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Inner {
    /// Gives the permits of an admission back (P2).
    pub(super) async fn refund(&self, receipt: &Receipt, now: Now) -> Result<Refunded, StoreError> {
        let (policy, token_entry, user_keys) = {
            let registry = self.registry();
            let token = std::num::NonZeroU64::new(receipt.token());
            let token = token.map(limiter_core::TokenId::from_hash);
            let row = token.and_then(|token| registry.row(token));
            (
                registry.policy,
                row.cloned(),
                receipt
                    .user()
                    .and_then(|place| registry.user_to_change(place)),
            )
        };
        let mut refunded = Refunded {
            window: 0,
            daily: 0,
        };
        // A receipt does not tell its window and day, only whether one shown to it is the one.
        if let Some(Entry { keys, local, .. }) = token_entry {
            local.forget();
            let found = self.look_and_take(&keys, now).await?;
            let at = found.time();
            let window = found.token.window;
            if receipt
                .give_back_window(window, at, policy.window_ms())
                .is_some()
            {
                let back = BackTo::Window(window.start()).receipt(receipt);
                refunded.window = self.give_back(&keys, back).await?;
            }
        }
        if let Some(keys) = user_keys {
            let found = self.look(&keys, now).await?;
            let refills = found.calendar.refills();
            if receipt.give_back_day(found.user.day, refills).is_some() {
                let back = BackTo::Day(refills).receipt(receipt);
                refunded.daily = self.give_back(&keys, back).await?;
            }
        }
        Ok(refunded)
    }

    /// Gives permits back to a window or a day; says how many went back.
    pub(super) async fn give_back(&self, keys: &Keys, back: Back) -> Result<u32, StoreError> {
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        let packed = back.pack();
        let record = match back.to {
            BackTo::Window { .. } => &keys.token,
            BackTo::Day(_) => &keys.user,
        };
        let once = keys.once();
        let keys: [&str; 3] = [record, &keys.calendar, &once];
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        match GIVE_BACK.run(&mut connection, &keys, &[&packed]).await? {
            Value::Int(back) => u32::try_from(back).map_err(|_| StoreError::Foreign),
            _ => Err(StoreError::Foreign),
        }
    }

    /// Reads the records behind a token's keys, and the clock.
    pub(super) async fn look(&self, keys: &Keys, now: Now) -> Result<Found, StoreError> {
        self.read(keys, now, false).await
    }

    /// The same for an operation whose reading is one of the time line's (M1).
    pub(super) async fn look_and_take(&self, keys: &Keys, now: Now) -> Result<Found, StoreError> {
        self.read(keys, now, true).await
    }

    async fn read(&self, keys: &Keys, now: Now, take: bool) -> Result<Found, StoreError> {
        if self.outage.lasts(keys.slot) {
            return Err(StoreError::NotConnected);
        }
        let ask = Ask {
            peek: true,
            take,
            offends: false,
            immune: false,
            limit: 0,
            cost: 0,
            now: self.injected(now),
            want: Permits::default(),
            back: Held::default(),
            fenced: false,
            pending: None,
        };
        let packed_policy = Arc::clone(&self.registry().packed_policy);
        let (packed, more) = (ask.pack(&packed_policy), ask.pack_more());
        let arguments: [&[u8]; 2] = [&packed, more.as_deref().unwrap_or_default()];
        let arguments = &arguments[..if more.is_some() { 2 } else { 1 }];
        let keys: [&str; 3] = [&keys.token, &keys.calendar, &keys.user];
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        let value = CHECK.run(&mut connection, &keys, arguments).await?;
        if ask.take && ask.now.is_some() {
            // The caller's reading may have moved the mark, which ages what is known by it.
            self.registry().calendar_changes.count();
        }
        Ok(Found::read(&value, self.time)?.0)
    }
}
