//! The metrics of requests that failed, by the side that caused it.

use crate::faults::{Counts, Faults};
use metrics::{Counter, Unit};

#[derive(Debug)]
pub(super) struct FaultMetrics {
    upstream: [Counter; 3],
    client: [Counter; 5],
    retries: Counter,
}

impl FaultMetrics {
    /// The metrics in the recorder that is the thread's at this moment.
    pub(super) fn register() -> Self {
        describe();
        let none = Faults::default();
        let (Counts(upstream), Counts(client)) = (none.upstream(), none.client());
        Self {
            upstream: upstream.map(|(kind, _)| metrics::counter!(UPSTREAM, "kind" => kind)),
            client: client.map(|(kind, _)| metrics::counter!(CLIENT, "kind" => kind)),
            retries: metrics::counter!(RETRIES),
        }
    }

    pub(super) fn set(&self, faults: &Faults) {
        let (Counts(upstream), Counts(client)) = (faults.upstream(), faults.client());
        for (counter, (_, count)) in self.upstream.iter().zip(upstream) {
            counter.absolute(count);
        }
        for (counter, (_, count)) in self.client.iter().zip(client) {
            counter.absolute(count);
        }
        self.retries.absolute(faults.retries());
    }
}

fn describe() {
    metrics::describe_counter!(
        UPSTREAM,
        Unit::Count,
        "Requests that the server behind failed, by kind: failed, timed_out, broken_off."
    );
    metrics::describe_counter!(
        CLIENT,
        Unit::Count,
        "Requests that their clients failed, by kind: bad_head, bad_body, long_body, slow_body, cancelled."
    );
    metrics::describe_counter!(
        RETRIES,
        Unit::Count,
        "Requests sent a second time since the server behind closed the connection."
    );
}

const UPSTREAM: &str = "gateway_upstream_failures_total";
const CLIENT: &str = "gateway_client_failures_total";
const RETRIES: &str = "gateway_upstream_retries_total";
