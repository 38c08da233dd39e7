//! A gateway of this project behind the UART of a device that calls it: every request and every answer is counted.
//!
//! Three errands. Many requests with the pacer: none may be refused, and they may take little longer than the limit
//! asks for. A hundred and more as fast as the wire carries: the gateway must refuse some and block the token, or the
//! first errand would prove nothing. Two with the pacer and the blocked token: the device must stop after one.
//!
//! The device's clock and the gateway's run alike because the emulator's follows ours.

mod message;
mod service;

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use self::{
    message::Message,
    service::{Connection, Service},
};
use super::Serial;
use crate::machine::Machine;

/// Runs the errands, then says goodbye.
pub(super) fn talk(serial: &mut Serial, machine: &Machine) -> Result<()> {
    let plan = Plan::of(machine)?;
    let service = Service::start()?;
    let mut bridge = Bridge {
        serial,
        service: service.connect()?,
    };
    let paced = bridge.run(&plan.token, plan.requests, "paced")?;
    paced.check_paced(plan.requests)?;

    let hammered = bridge.run(HAMMERING_TOKEN, HAMMERED, "unpaced")?;
    for status in [200, 403, 429] {
        ensure!(
            hammered.statuses.contains_key(&status),
            "without the pacer no answer was {status}: {hammered:?}"
        );
    }
    let denied = bridge.run(HAMMERING_TOKEN, 2, "paced")?;
    ensure!(
        denied.statuses == BTreeMap::from([(403, 1)]),
        "a denied device does not stop: {denied:?}"
    );
    bridge.serial.send(b"bye\n")
}

/// What is sent with the pacer.
struct Plan {
    token: String,
    requests: u64,
}

impl Plan {
    /// A thousand on one machine, which take eight waits of 2 s, and enough for one such wait on the others; or what
    /// the environment says.
    fn of(machine: &Machine) -> Result<Self> {
        let (token, requests) = match machine.core {
            "Cortex-M3" => ("demo-enterprise", "1000"),
            _ => ("demo-advanced", "60"),
        };
        let given = |name, preset: &str| env::var(name).unwrap_or_else(|_| preset.to_owned());
        let requests = given("API_CLIENT_REQUESTS", requests);
        Ok(Self {
            token: given("API_CLIENT_TOKEN", token),
            requests: requests
                .parse()
                .with_context(|| format!("API_CLIENT_REQUESTS: `{requests}` is no number"))?,
        })
    }
}

struct Bridge<'a> {
    serial: &'a mut Serial,
    service: Connection,
}

impl Bridge<'_> {
    /// Sends the device on an errand and carries its requests and their answers until it is back.
    fn run(&mut self, token: &str, requests: u64, manner: &str) -> Result<Tally> {
        self.serial
            .send(format!("{token} {requests} {manner}\n").as_bytes())?;
        let mut tally = Tally::default();
        let started = now();
        loop {
            let first = self.serial.line()?;
            if first == "done" {
                tally.took = now().duration_since(started);
                return Ok(tally);
            }
            let request = Message::after(&first, &mut self.serial.from_image)
                .with_context(|| format!("after the request `{first}`"))?;
            tally.writes += u64::from(first.starts_with("POST "));
            let answer = self.service.exchange(&request)?;
            tally.count(&answer)?;
            self.serial.send(&answer.bytes)?;
        }
    }
}

/// What went over the wire.
#[derive(Debug, Default)]
struct Tally {
    /// Answers by status.
    statuses: BTreeMap<u16, u64>,
    writes: u64,
    /// The limit that the answers tell, in requests per window.
    limit: Option<u64>,
    took: Duration,
}

impl Tally {
    fn count(&mut self, answer: &Message) -> Result<()> {
        *self.statuses.entry(answer.status()?).or_default() += 1;
        if let Some(limit) = answer.header("x-ratelimit-limit") {
            self.limit = Some(limit.parse().context("the limit is no number")?);
        }
        Ok(())
    }

    /// All were admitted, writes among them, and in time.
    fn check_paced(&self, requests: u64) -> Result<()> {
        ensure!(
            self.statuses == BTreeMap::from([(200, requests)]) && self.writes > 0,
            "not {requests} admitted requests: {self:?}"
        );
        let limit = self.limit.context("no answer told the limit")?;
        // The first window is spent at once, and so is each one after it.
        let allowed = WINDOW * u32::try_from((requests - 1) / limit)?;
        let bound = 2 * allowed + FOR_THE_WIRE;
        let took = self.took;
        ensure!(
            took <= bound,
            "took {took:?} where the limit allows {allowed:?}, more than the bound of {bound:?}"
        );
        let writes = self.writes;
        println!(
            "        {requests} requests, {writes} writes, {took:.2?}; the limit allows {allowed:?}"
        );
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "two machines in real time: how long they take is the question"
)]
fn now() -> Instant {
    Instant::now()
}

/// 20 requests per window.
const HAMMERING_TOKEN: &str = "demo-essential";
/// A window's worth, the hundred refusals that earn a block, and some more.
const HAMMERED: u64 = 250;
const WINDOW: Duration = Duration::from_secs(2);
/// For the last window's requests on the emulated wire. Both this and the factor of two are for a machine that has
/// other things to do: alone, a thousand requests take a few hundredths longer than the limit allows.
const FOR_THE_WIRE: Duration = Duration::from_secs(2);
