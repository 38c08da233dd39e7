//! A caller that asks the pacer.

use super::{Client, Poll};
use limiter_core::{Method, Now};
use limiter_pacer::{Pacer, PacerPolicy, ResponseInfo, SendDecision, SendRequest, Ticket};
use std::collections::HashMap;

/// A caller that asks a pacer before each request, and tells it every answer.
#[derive(Debug)]
pub struct Paced {
    pacer: Box<Pacer<4096>>,
    tickets: HashMap<u64, Ticket>,
}

impl Paced {
    /// A caller with a pacer of this policy.
    #[must_use]
    pub fn new(policy: PacerPolicy) -> Self {
        Self {
            pacer: Box::new(Pacer::new(policy)),
            tickets: HashMap::new(),
        }
    }
}

impl Client for Paced {
    fn poll(&mut self, method: Method, id: u64, now: Now) -> Poll {
        match self.pacer.poll_send(SendRequest::new(method), now) {
            SendDecision::Go(ticket) => {
                self.tickets.insert(id, ticket);
                Poll::Send
            }
            SendDecision::Wait(millis) => Poll::Wait(millis),
            SendDecision::Stop(stop) => Poll::Stop(stop.retry_ms.unwrap_or(u32::MAX)),
        }
    }

    fn on_response(&mut self, id: u64, answer: &ResponseInfo, now: Now) {
        if let Some(ticket) = self.tickets.remove(&id) {
            self.pacer.on_response(ticket, answer, now);
        }
    }

    fn announce(&mut self, permits: u32) {
        self.pacer.set_cap(Some(permits));
    }
}
