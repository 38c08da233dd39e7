//! A store that gateways share: how it is used, and how it is doing.

use crate::error::StartError;
use limiter_host::RedisLimiter;
use limiter_host::config::TokenEntry;
use limiter_host::core::{HashKey, Policy};
use limiter_host::redis::{
    ManageError, OnStoreFailure, RedisConfig, StoreStatistics, StoreWarning, Switch,
};
use metrics::{Counter, Gauge, Unit};
use serde::Serialize;

/// A store that gateways share, and the key under which all of them hash tokens.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The store.
    pub config: RedisConfig,
    /// The key.
    pub key: HashKey,
}

impl StoreSettings {
    /// A limiter on the store that knows nobody yet.
    pub(crate) async fn connect(
        &self,
        policy: Policy,
        capacity: usize,
    ) -> Result<RedisLimiter, StartError> {
        let config = self.config.clone().capacity(capacity).on_switch(say);
        let limiter = RedisLimiter::connect(policy, config).await;
        limiter.map_err(StartError::Store)
    }
}

/// Makes tokens known to a limiter.
pub(crate) async fn register(
    limiter: &RedisLimiter,
    key: &HashKey,
    tokens: &[TokenEntry],
) -> Result<(), StartError> {
    for entry in tokens {
        let (token, registration) = entry.registration(key);
        match limiter.register(token, registration).await {
            Ok(_) => {}
            Err(ManageError::Refused(error)) => return Err(StartError::Register(error)),
            // OK because a new token asks nothing of the store.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Writes a line to the log for each event.
fn say(switch: Switch<'_>) {
    match switch {
        Switch::Lost(error) => eprintln!("gateway: the store cannot be used: {error}"),
        Switch::Back => eprintln!("gateway: the store is back"),
        Switch::Emptied(_) => {
            eprintln!("gateway: the store was emptied, or lost its calendar: counts begin anew");
        }
        Switch::Unreadable(requests) => eprintln!(
            "gateway: the store holds a record that cannot be read; {requests} requests of its \
             token or user were refused"
        ),
        Switch::Warning(warning) => eprintln!("gateway: warning: {warning}"),
        _ => {}
    }
}

/// What operators see of a store; counts are this gateway's since its start.
#[derive(Debug, Serialize)]
pub(crate) struct StoreStatus {
    available: bool,
    /// Why it cannot be used; `null` while it can.
    error: Option<String>,
    /// What is decided meanwhile: `refuse`, `admit`, or `local`.
    on_failure: &'static str,
    outages: u64,
    /// How many of them began within the last minute.
    recent_outages: u32,
    /// The share of a cluster that cannot be used, in thousandths.
    unavailable_per_mille: u32,
    /// How the store is set up so that limits may not hold.
    warnings: Vec<String>,
    /// How often it was emptied, or lost its calendar.
    emptied: u64,
    /// Requests refused because a record cannot be read.
    unreadable: u64,
    round_trips: u64,
    /// Requests that needed none: refusals that were known to last, and permits held ahead.
    refused_here: u64,
    admitted_ahead: u64,
    /// Requests that were decided while it could not be used.
    decided_without_store: u64,
    /// Permits held ahead that are gone, at most.
    lost_permits: u64,
    /// How often permits held ahead were not asked for in time, and went back.
    leases_ended: u64,
    /// The day that its calendar is at; `null` if there is none, or it cannot be asked.
    day_start_utc_s: Option<u64>,
}

impl StoreStatus {
    /// How things stand; one round trip.
    pub(crate) async fn of(limiter: &RedisLimiter) -> Self {
        let StoreStatistics {
            available,
            outages,
            recent_outages,
            unavailable_per_mille,
            emptied,
            unreadable,
            leases_ended,
            round_trips,
            refused_here,
            admitted_ahead,
            decided_without_store,
            lost_permits,
            ..
        } = limiter.store_statistics();
        let error = limiter.last_failure().filter(|_| !available);
        let day = if available {
            limiter.accounting_day().await.ok()
        } else {
            None
        };
        Self {
            available,
            error: error.map(|error| error.to_string()),
            on_failure: match limiter.on_store_failure() {
                OnStoreFailure::Refuse => "refuse",
                OnStoreFailure::Admit => "admit",
                _ => "local",
            },
            outages,
            recent_outages,
            unavailable_per_mille,
            warnings: limiter.warnings().iter().map(ToString::to_string).collect(),
            emptied,
            unreadable,
            leases_ended,
            round_trips,
            refused_here,
            admitted_ahead,
            decided_without_store,
            lost_permits,
            day_start_utc_s: day.and_then(|(day, _)| Some(u64::from(day?) * 86_400)),
        }
    }
}

/// A store's numbers for Prometheus.
#[derive(Debug)]
pub(crate) struct StoreMetrics {
    up: Gauge,
    unavailable: Gauge,
    warnings: [(StoreWarning, Gauge); StoreWarning::ALL.len()],
    outages: Counter,
    emptied: Counter,
    unreadable: Counter,
    leases_ended: Counter,
    round_trips: Counter,
    refused_here: Counter,
    admitted_ahead: Counter,
    without_store: Counter,
    lost_permits: Counter,
}

impl StoreMetrics {
    /// Describes and registers them with the recorder in force.
    pub(crate) fn register() -> Self {
        for (name, text) in DESCRIBED {
            metrics::describe_counter!(name, Unit::Count, text);
        }
        metrics::describe_gauge!(
            UP,
            Unit::Count,
            "Whether all of the store can be used: 1 if it can, else 0."
        );
        metrics::describe_gauge!(
            UNAVAILABLE,
            Unit::Count,
            "The share of the store that cannot be used, 0 to 1."
        );
        metrics::describe_gauge!(
            WARNING,
            Unit::Count,
            "1 while the store is set up so that limits may not hold, by what is wrong; else 0."
        );
        let decided = |by: &'static str| metrics::counter!(DECIDED, "by" => by);
        Self {
            up: metrics::gauge!(UP),
            unavailable: metrics::gauge!(UNAVAILABLE),
            warnings: StoreWarning::ALL.map(|warning| {
                (
                    warning,
                    metrics::gauge!(WARNING, "what" => warning.as_str()),
                )
            }),
            emptied: metrics::counter!(EMPTIED),
            unreadable: metrics::counter!(UNREADABLE),
            leases_ended: metrics::counter!(LEASES_ENDED),
            outages: metrics::counter!(OUTAGES),
            round_trips: metrics::counter!(ROUND_TRIPS),
            refused_here: decided("refused_here"),
            admitted_ahead: decided("admitted_ahead"),
            without_store: decided("without_store"),
            lost_permits: metrics::counter!(LOST),
        }
    }

    pub(crate) fn set(&self, statistics: &StoreStatistics, warnings: &[StoreWarning]) {
        let share = f64::from(statistics.unavailable_per_mille) / 1_000.0;
        self.unavailable.set(share);
        for (warning, gauge) in &self.warnings {
            gauge.set(f64::from(u8::from(warnings.contains(warning))));
        }
        self.emptied.absolute(statistics.emptied);
        self.unreadable.absolute(statistics.unreadable);
        self.leases_ended.absolute(statistics.leases_ended);
        self.up.set(if statistics.available { 1.0 } else { 0.0 });
        self.outages.absolute(statistics.outages);
        self.round_trips.absolute(statistics.round_trips);
        self.refused_here.absolute(statistics.refused_here);
        self.admitted_ahead.absolute(statistics.admitted_ahead);
        self.without_store
            .absolute(statistics.decided_without_store);
        self.lost_permits.absolute(statistics.lost_permits);
    }
}

const UP: &str = "gateway_store_up";
const UNAVAILABLE: &str = "gateway_store_unavailable_ratio";
const WARNING: &str = "gateway_store_warning";
const EMPTIED: &str = "gateway_store_emptied_total";
const UNREADABLE: &str = "gateway_store_unreadable_total";
const LEASES_ENDED: &str = "gateway_store_leases_ended_total";
const OUTAGES: &str = "gateway_store_outages_total";
const ROUND_TRIPS: &str = "gateway_store_round_trips_total";
const DECIDED: &str = "gateway_store_decided_here_total";
const LOST: &str = "gateway_store_lost_permits_total";
const DESCRIBED: [(&str, &str); 7] = [
    (
        EMPTIED,
        "How often the store was emptied, or lost its calendar.",
    ),
    (
        UNREADABLE,
        "Requests refused because the record of their token or user cannot be read.",
    ),
    (
        LEASES_ENDED,
        "How often permits held ahead were not asked for in time, and went back.",
    ),
    (OUTAGES, "How often the store failed."),
    (ROUND_TRIPS, "Scripts that the store was asked for."),
    (
        DECIDED,
        "Requests decided without a round trip, by: refused_here, admitted_ahead, without_store.",
    ),
    (LOST, "Permits held ahead that are gone, at most."),
];
