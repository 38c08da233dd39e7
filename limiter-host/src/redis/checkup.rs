//! A look at how the store is set up, at the start and every minute: settings under which counts
//! disappear, and steps of its clock.
//!
//! It needs the command `INFO`. Without it the limiter works, and says that it could not look.

use super::Inner;
use super::error::StoreError;
use super::link::Connection;
use super::observe::{self, Switch};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A circumstance of the store under which limits may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StoreWarning {
    /// A server removes keys when its memory is full, by its `maxmemory-policy`.
    Evicts,
    /// A server writes no log (`appendonly no`): a restart forgets what was counted since its last
    /// snapshot.
    NotPersistent,
    /// A server's last snapshot or write to its log failed.
    PersistenceFails,
    /// A master with replicas accepts writes without them (`min-replicas-to-write 0`): cut off from
    /// them, it hands out permits that the next master hands out again.
    ReplicasUnguarded,
    /// A server's clock stepped within the last minute.
    ClockStepped,
    /// The settings could not be read: the store's user may not run `INFO`.
    Unchecked,
}

impl StoreWarning {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Evicts,
        Self::NotPersistent,
        Self::PersistenceFails,
        Self::ReplicasUnguarded,
        Self::ClockStepped,
        Self::Unchecked,
    ];

    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evicts => "evicts",
            Self::NotPersistent => "not_persistent",
            Self::PersistenceFails => "persistence_fails",
            Self::ReplicasUnguarded => "replicas_unguarded",
            Self::ClockStepped => "clock_stepped",
            Self::Unchecked => "unchecked",
        }
    }
}

impl fmt::Display for StoreWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evicts => {
                "the store removes counts when its memory is full; set maxmemory-policy noeviction"
            }
            Self::NotPersistent => {
                "the store writes no log, so a restart forgets counts; set appendonly yes"
            }
            Self::PersistenceFails => "the store's last write to its disk failed",
            Self::ReplicasUnguarded => {
                "the store's master writes without its replicas, so a split network doubles limits; \
                 set min-replicas-to-write 1"
            }
            Self::ClockStepped => "the store's clock stepped; let its host slew the clock",
            Self::Unchecked => {
                "the store's settings could not be checked: its user may not run INFO"
            }
        })
    }
}

/// The findings of the last look.
#[derive(Debug, Default)]
pub(super) struct Checkup {
    warnings: Mutex<Vec<StoreWarning>>,
    /// Of each server: when it was looked at last, and its clock's microseconds then.
    clocks: Mutex<BTreeMap<String, (Instant, u64)>>,
}

impl Checkup {
    pub(super) fn warnings(&self) -> Vec<StoreWarning> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what was found; answers what is new, and what is over.
    fn replace(&self, found: Vec<StoreWarning>) -> (Vec<StoreWarning>, Vec<StoreWarning>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *warnings, found.clone());
        let is_new = |warning: &StoreWarning| !before.contains(warning);
        let new = found.iter().copied().filter(is_new).collect();
        let is_over = |warning: &StoreWarning| !found.contains(warning);
        (new, before.iter().copied().filter(is_over).collect())
    }

    /// Takes a reading of a server's clock, between two of this machine's; says whether it stepped
    /// since the last.
    fn has_stepped(&self, server: &str, (asked, answered): (Instant, Instant), us: u64) -> bool {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((last, last_us)) = clocks.insert(server.to_owned(), (answered, us)) else {
            return false;
        };
        let passed = answered.duration_since(last);
        let on_server = i128::from(us) - i128::from(last_us);
        let difference = on_server - i128::try_from(passed.as_micros()).unwrap_or(i128::MAX);
        let slack = answered.duration_since(asked) + STEP + passed / DRIFT;
        difference.unsigned_abs() > slack.as_micros()
    }
}

/// The warnings that follow from an answer to `INFO`.
fn warnings_of(info: &str) -> Vec<StoreWarning> {
    let fields: BTreeMap<&str, &str> = info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|found| *found == value);
    let has_some = |name: &str| fields.get(name).is_some_and(|found| *found != "0");
    [
        (
            StoreWarning::Evicts,
            has_some("maxmemory") && !is("maxmemory_policy", "noeviction"),
        ),
        (StoreWarning::NotPersistent, is("aof_enabled", "0")),
        (
            StoreWarning::PersistenceFails,
            is("rdb_last_bgsave_status", "err")
                || is("aof_last_write_status", "err")
                || is("aof_last_bgrewrite_status", "err"),
        ),
        (
            StoreWarning::ReplicasUnguarded,
            has_some("connected_slaves") && !fields.contains_key("min_slaves_good_slaves"),
        ),
    ]
    .into_iter()
    .filter_map(|(warning, applies)| applies.then_some(warning))
    .collect()
}

impl Inner {
    /// Looks at all servers, as far as they answer.
    async fn check_up(&self) -> Result<Vec<StoreWarning>, StoreError> {
        let mut found = Vec::new();
        if self.link.is_cluster() {
            for node in self.link.nodes().await? {
                if let Ok(mut connection) = self.link.connect_to(&node).await {
                    let name = format!("{}:{}", node.host, node.port);
                    found.extend(self.check_server(&name, &mut connection).await?);
                }
            }
        } else {
            let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
            found = self.check_server("", &mut connection).await?;
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    async fn check_server(
        &self,
        name: &str,
        connection: &mut Connection,
    ) -> Result<Vec<StoreWarning>, StoreError> {
        let asked = Instant::now();
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
        let us = seconds.saturating_mul(1_000_000).saturating_add(micros);
        let times = (asked, Instant::now());
        let stepped = self.checkup.has_stepped(name, times, us);
        let info = redis::cmd("INFO").query_async::<String>(connection).await;
        let mut found = match info.map_err(StoreError::from) {
            Ok(info) => warnings_of(&info),
            Err(StoreError::NotPermitted(_)) => vec![StoreWarning::Unchecked],
            Err(error) => return Err(error),
        };
        found.extend(stepped.then_some(StoreWarning::ClockStepped));
        Ok(found)
    }

    /// Looks, and reports what is new; answers when to look again.
    async fn check_up_and_report(&self) -> Duration {
        // That a store does not answer is reported elsewhere.
        let Ok(found) = self.check_up().await else {
            return SOON;
        };
        let (new, over) = self.checkup.replace(found);
        for warning in new {
            observe::warned(warning);
            self.on_switch.call(Switch::Warning(warning));
        }
        for warning in over {
            observe::warning_over(warning);
        }
        EVERY
    }
}

/// Looks at the store every minute, until the limiter is gone.
pub(super) async fn check_up_every_minute(limiter: Weak<Inner>) {
    loop {
        let Some(inner) = limiter.upgrade() else {
            return;
        };
        let pause = inner.check_up_and_report().await;
        drop::<Arc<_>>(inner);
        sleep(pause).await;
    }
}

const EVERY: Duration = Duration::from_secs(60);
/// After a store did not answer.
const SOON: Duration = Duration::from_secs(5);
/// The difference between two looks from which a clock has stepped,
const STEP: Duration = Duration::from_millis(500);
/// in addition to one part in this many, by which a clock may drift or be slewed.
const DRIFT: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SANE: &str = "# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n\
        aof_enabled:1\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:ok\r\n\
        connected_slaves:1\r\nmin_slaves_good_slaves:1\r\n";

    #[test]
    fn each_setting_under_which_counts_disappear_has_a_warning() {
        assert_eq!(warnings_of(SANE), []);
        for (setting, instead, warning) in [
            ("noeviction", "volatile-ttl", StoreWarning::Evicts),
            (
                "aof_enabled:1",
                "aof_enabled:0",
                StoreWarning::NotPersistent,
            ),
            (
                "aof_last_write_status:ok",
                "aof_last_write_status:err",
                StoreWarning::PersistenceFails,
            ),
            (
                "min_slaves_good_slaves:1",
                "",
                StoreWarning::ReplicasUnguarded,
            ),
        ] {
            assert_eq!(warnings_of(&SANE.replace(setting, instead)), [warning]);
        }
        // Nothing is removed where memory has no bound, and nothing is split without replicas.
        let unbounded = SANE.replace("maxmemory:1000", "maxmemory:0");
        assert_eq!(
            warnings_of(&unbounded.replace("noeviction", "allkeys-lru")),
            []
        );
        let alone = "connected_slaves:0\r\naof_enabled:1";
        assert_eq!(warnings_of(alone), []);
    }

    #[test]
    fn a_clock_that_steps_is_told_from_one_that_drifts_and_from_an_answer_that_was_late() {
        let checkup = Checkup::default();
        let start = Instant::now();
        let at = |s: u64, took_ms: u64| {
            let asked = start + Duration::from_secs(s);
            (asked, asked + Duration::from_millis(took_ms))
        };
        let stepped = |times, ms: u64| checkup.has_stepped("", times, ms * 1_000);
        assert!(!stepped(at(0, 0), 1_000_000), "the first reading");
        assert!(!stepped(at(60, 0), 1_060_400), "a drift");
        assert!(!stepped(at(120, 900), 1_120_400), "a late answer");
        assert!(stepped(at(180, 0), 1_190_400), "a step forward");
        assert!(stepped(at(240, 0), 1_190_400), "a step back");
        assert!(!stepped(at(300, 0), 1_250_400));
        assert!(!checkup.has_stepped("another", at(300, 0), 5));
    }

    #[test]
    fn a_warning_is_new_once_and_over_once() {
        let checkup = Checkup::default();
        let (one, other) = (StoreWarning::Evicts, StoreWarning::Unchecked);
        assert_eq!(checkup.replace(vec![one]), (vec![one], vec![]));
        assert_eq!(checkup.replace(vec![one]), (vec![], vec![]));
        assert_eq!(checkup.replace(vec![other]), (vec![other], vec![one]));
        assert_eq!(checkup.warnings(), [other]);
    }

    #[test]
    fn warnings_begin_in_lower_case_and_have_words_of_their_own() {
        let words: std::collections::BTreeSet<_> =
            StoreWarning::ALL.map(StoreWarning::as_str).into();
        assert_eq!(words.len(), StoreWarning::ALL.len());
        for warning in StoreWarning::ALL {
            assert!(
                warning.to_string().starts_with("the store's ")
                    || warning.to_string().starts_with("the store ")
            );
        }
    }
}
