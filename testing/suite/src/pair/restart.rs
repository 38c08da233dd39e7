//! Restarts (SPEC 10): the subject from its image, the model from what that should say.

use std::collections::BTreeMap;

use limiter_core::{Instant, OffTime, Registered};
use limiter_model::{self as model, Model};

use super::{Choices, Failure, Pair, decode_policy, pick};
use crate::{LosesState, Restarts, now, token};

impl<S: LosesState> Pair<S> {
    /// A pair that begins where storage held nothing whole (R5).
    ///
    /// # Errors
    ///
    /// What differs.
    pub fn without_state(policy: [u8; 8], blocks: bool) -> Result<Self, Failure> {
        let mut pair = Self::unregistered(policy, blocks, (1..=6).collect(), false);
        pair.subject = S::begun_without_state(decode_policy(policy, blocks));
        pair.model.lose_state();
        pair.log.push("without state".to_owned());
        pair.register_all(&[])?;
        Ok(pair)
    }
}

impl<S: Restarts> Pair<S> {
    /// Does one operation on both, among which there are restarts.
    ///
    /// # Errors
    ///
    /// What differs, and the operations that led there.
    pub fn apply_or_restart(&mut self, choices: Choices) -> Result<(), Failure> {
        if choices.act >= 240 {
            self.restart(choices)
        } else {
            self.apply(choices)
        }
    }

    fn restart(&mut self, choices: Choices) -> Result<(), Failure> {
        let (off_time, wanted) = if choices.act.is_multiple_of(2) {
            (OffTime::Trust, model::OffTime::Trust)
        } else {
            (OffTime::Ignore, model::OffTime::Ignore)
        };
        let known: Vec<u64> = self
            .ids
            .iter()
            .copied()
            .filter(|&id| self.model.is_known(id))
            .collect();
        let policy = decode_policy(self.policy, self.model.policy().block.is_some());
        let before = self.now;
        let t_ms = pick(&[0, 5_000, before.t_ms, 90_000_000], choices.step);
        let off_s = pick(&[0, 60, 86_400, 3 * 86_400, -7_200], choices.wall);
        self.clocks.restart(t_ms, off_s);
        self.now = model::Now { t_ms, utc: None };
        self.note(&("restart", off_time, off_s));
        let millis = Instant::from_millis;
        self.subject = self
            .subject
            .restarted(policy, off_time, millis(before.t_ms), millis(t_ms));
        let saved = self.model.save(before);
        self.model = Model::restored(self.model.policy().clone(), &saved, wanted, self.now);
        self.receipts.clear();
        self.counts = BTreeMap::new();
        self.table_full = 0;
        self.register_all(&known)?;
        self.compare_what_is_left(self.ids[0])
    }

    /// Registers tokens as they were; those given, or all.
    fn register_all(&mut self, ids: &[u64]) -> Result<(), Failure> {
        let all = self.ids.clone();
        for &id in if ids.is_empty() { &all } else { ids } {
            let terms = self.terms[&id];
            let wanted = match self.model.limit(id) {
                Some(_) => Registered::Resumed,
                None => Registered::New,
            };
            let given =
                self.subject
                    .register(token(id), terms.registration(), now(self.now.t_ms, None));
            self.same("registered", given, Ok(wanted))?;
            self.model.register(id, terms.user, terms.kind, terms.limit);
        }
        Ok(())
    }
}
