//! The numbers as Prometheus reads them: those of the limiter
//! ([`limiter_host::meters`]), and a few of the gateway's own.
//!
//! | metric | kind | what it is |
//! |---|---|---|
//! | `gateway_connections`, `gateway_connections_limit` | gauge | clients' connections that are open, and that may be |
//! | `gateway_requests_in_flight` | gauge | requests that are under way |
//! | `gateway_in_flight_refused_total` by `by` | counter | requests refused since too many were under way: for a `token`, an `address`, or `without_token` |
//! | `gateway_connections_closed_total` by `state` | counter | connections closed to make room for new ones: `idle`, `slow` |
//! | `gateway_transfers_timed_out_total` by `of` | counter | transfers broken off since the client was too slow: of a `body`, of an `answer` |
//! | `gateway_upstream_failures_total` by `kind` | counter | requests that the server behind failed: `failed` (502), `timed_out` (504), `broken_off` amid the answer |
//! | `gateway_client_failures_total` by `kind` | counter | requests that their clients failed: `bad_head`, `bad_body`, `long_body`, `slow_body`, `cancelled` |
//! | `gateway_upstream_retries_total` | counter | requests sent a second time since the server behind closed the connection |
//! | `gateway_state_writes_total` by `outcome` | counter | images of the state: `stored`, `failed` |
//! | `gateway_state_failing` | gauge | 1 while the last write failed, else 0 |
//! | `gateway_state_reserved_permits` | gauge | what a crash now would cost all users together |
//! | `gateway_state_unprotected_permits` | gauge | what a crash now would let be used a second time |
//! | `gateway_store_up` | gauge | 1 while the store can be used, else 0; with a store, as the next four |
//! | `gateway_store_outages_total`, `gateway_store_round_trips_total` | counter | how often it failed, and was asked |
//! | `gateway_store_decided_here_total` by `by` | counter | requests that needed no round trip: `refused_here`, `admitted_ahead`, `without_store` |
//! | `gateway_store_lost_permits_total` | counter | permits held ahead that are gone, at most |
//! | `gateway_config_refused` | gauge | 1 while the newest configuration file is refused, else 0 |

use super::connection_metrics::ConnectionMetrics;
use super::fault_metrics::FaultMetrics;
use super::status::Sources;
use crate::limits::Limits;
use crate::listener::Connections;
#[cfg(feature = "redis")]
use crate::store::StoreMetrics;
use limiter_host::meters::LimiterMetrics;
use limiter_host::persist::Health;
use metrics::{Counter, Gauge, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::Arc;

/// A recorder of one gateway's metrics; clones share one.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Recorded>);

#[derive(Debug)]
struct Recorded {
    handle: PrometheusHandle,
    limiter: LimiterMetrics,
    connections: ConnectionMetrics,
    faults: FaultMetrics,
    config_refused: Gauge,
    state: StateMetrics,
    #[cfg(feature = "redis")]
    store: Option<StoreMetrics>,
}

/// All 0 if there is no state.
#[derive(Debug)]
struct StateMetrics {
    stored: Counter,
    failed: Counter,
    failing: Gauge,
    reserved: Gauge,
    unprotected: Gauge,
}

impl Metrics {
    pub(crate) fn new(limits: &Limits, connections: &Connections) -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS_S)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        #[cfg(not(feature = "redis"))]
        let _ = limits;
        // Not the process's: a gateway counts for itself.
        let recorded = metrics::with_local_recorder(&recorder, || {
            describe();
            Recorded {
                handle,
                limiter: LimiterMetrics::register(),
                connections: ConnectionMetrics::register(connections),
                faults: FaultMetrics::register(),
                config_refused: metrics::gauge!(CONFIG_REFUSED),
                state: StateMetrics {
                    stored: metrics::counter!(STATE_WRITES, "outcome" => "stored"),
                    failed: metrics::counter!(STATE_WRITES, "outcome" => "failed"),
                    failing: metrics::gauge!(STATE_FAILING),
                    reserved: metrics::gauge!(STATE_RESERVED),
                    unprotected: metrics::gauge!(STATE_UNPROTECTED),
                },
                #[cfg(feature = "redis")]
                store: limits.store().map(|_| StoreMetrics::register()),
            }
        });
        Self(Arc::new(recorded))
    }

    /// Those that are told of every decision.
    pub(crate) fn limiter(&self) -> &LimiterMetrics {
        &self.0.limiter
    }

    /// Puts what was recorded since the last time where it takes no more room; once a second.
    pub(super) fn upkeep(&self) {
        self.0.handle.run_upkeep();
    }

    /// All metrics in the text format. Visits every row of the tables.
    pub(super) fn text(&self, sources: &Sources) -> String {
        let Recorded {
            handle, limiter, ..
        } = &*self.0;
        let limits = sources.limits();
        if limits.is_shared() {
            limiter.sample_statistics(&limits.statistics());
            #[cfg(feature = "redis")]
            if let (Some(store), Some(shared)) = (&self.0.store, limits.store()) {
                store.set(&shared.store_statistics(), &shared.warnings());
            }
        } else if let Ok(now) = limits.clock.now() {
            let now = now.with_floor(limits.limiter.policy().utc_floor());
            limiter.sample(&limits.limiter, now);
        }
        self.0.connections.set(sources.connections());
        self.0.faults.set(sources.faults());
        let refused = limits
            .follow
            .as_ref()
            .is_some_and(|f| f.state().is_refused());
        self.0.config_refused.set(real(u64::from(refused)));
        if let Some(kept) = &limits.kept {
            self.0.state.set(&kept.health());
        }
        handle.render()
    }
}

impl StateMetrics {
    fn set(&self, health: &Health) {
        self.stored.absolute(health.counts.stored);
        self.failed.absolute(health.counts.failed);
        self.failing.set(real(u64::from(health.error.is_some())));
        self.reserved.set(real(health.reserved_permits));
        self.unprotected.set(real(health.unprotected_permits));
    }
}

fn describe() {
    metrics::describe_gauge!(
        CONFIG_REFUSED,
        Unit::Count,
        "Whether the newest configuration file is refused: 1 if it is, else 0."
    );
    describe_state();
}

fn describe_state() {
    metrics::describe_counter!(
        STATE_WRITES,
        Unit::Count,
        "Images of the state that were to be written, by outcome: stored, failed."
    );
    metrics::describe_gauge!(
        STATE_FAILING,
        Unit::Count,
        "Whether the last write of the state failed: 1 if it did, else 0."
    );
    metrics::describe_gauge!(
        STATE_RESERVED,
        Unit::Count,
        "Permits that a crash now would cost all users together."
    );
    metrics::describe_gauge!(
        STATE_UNPROTECTED,
        Unit::Count,
        "Permits that a crash now would let be used a second time."
    );
}

#[allow(
    clippy::cast_precision_loss,
    reason = "there are fewer connections and permits than 2^53"
)]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

const STATE_WRITES: &str = "gateway_state_writes_total";
const STATE_FAILING: &str = "gateway_state_failing";
const STATE_RESERVED: &str = "gateway_state_reserved_permits";
const STATE_UNPROTECTED: &str = "gateway_state_unprotected_permits";
const CONFIG_REFUSED: &str = "gateway_config_refused";
/// From the quickest decision to one that waited for a processor, in seconds.
const BUCKETS_S: [f64; 10] = [
    1e-7, 2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2,
];
