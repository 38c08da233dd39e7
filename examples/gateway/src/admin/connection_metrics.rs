//! The metrics of clients' connections, and of the requests that are under way on them.

use super::metrics::real;
use crate::listener::Connections;
use metrics::{Counter, Gauge, Unit};

#[derive(Debug)]
pub(super) struct ConnectionMetrics {
    open: Gauge,
    most: Gauge,
    in_flight: Gauge,
    refused: [Counter; 3],
    closed: [Counter; 2],
    timed_out: [Counter; 2],
}

impl ConnectionMetrics {
    /// The metrics of a listener, in the recorder that is the thread's at this moment.
    pub(super) fn register(connections: &Connections) -> Self {
        describe();
        let refused = connections.refused();
        let (closed, timed_out) = (connections.closed(), connections.timed_out());
        Self {
            open: metrics::gauge!(OPEN),
            most: metrics::gauge!(MOST),
            in_flight: metrics::gauge!(IN_FLIGHT),
            refused: refused.map(|(by, _)| metrics::counter!(REFUSED, "by" => by)),
            closed: closed.map(|(state, _)| metrics::counter!(CLOSED, "state" => state)),
            timed_out: timed_out.map(|(of, _)| metrics::counter!(TIMED_OUT, "of" => of)),
        }
    }

    pub(super) fn set(&self, connections: &Connections) {
        self.open.set(real(connections.open() as u64));
        self.most.set(real(connections.most() as u64));
        self.in_flight.set(real(connections.in_flight() as u64));
        advance(&self.refused, connections.refused());
        advance(&self.closed, connections.closed());
        advance(&self.timed_out, connections.timed_out());
    }
}

fn advance<const N: usize>(counters: &[Counter; N], counts: [(&str, u64); N]) {
    for (counter, (_, count)) in counters.iter().zip(counts) {
        counter.absolute(count);
    }
}

fn describe() {
    metrics::describe_gauge!(OPEN, Unit::Count, "Clients' connections that are open.");
    metrics::describe_gauge!(
        MOST,
        Unit::Count,
        "Clients' connections that may be open at once."
    );
    metrics::describe_gauge!(IN_FLIGHT, Unit::Count, "Requests that are under way.");
    metrics::describe_counter!(
        REFUSED,
        Unit::Count,
        "Requests refused since too many were under way, by limit: token, address, without_token."
    );
    metrics::describe_counter!(
        CLOSED,
        Unit::Count,
        "Connections closed to make room for new ones, by state: idle, slow."
    );
    metrics::describe_counter!(
        TIMED_OUT,
        Unit::Count,
        "Transfers broken off since the client was too slow: of a body, of an answer."
    );
}

const OPEN: &str = "gateway_connections";
const MOST: &str = "gateway_connections_limit";
const IN_FLIGHT: &str = "gateway_requests_in_flight";
const REFUSED: &str = "gateway_in_flight_refused_total";
const CLOSED: &str = "gateway_connections_closed_total";
const TIMED_OUT: &str = "gateway_transfers_timed_out_total";
