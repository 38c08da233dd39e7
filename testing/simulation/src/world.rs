//! The events, in the order of their times.

use crate::clients::{Client, Poll};
use crate::network::{DeviceClock, Network};
use crate::outcome::Outcome;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::server::{Response, Server};
use limiter_core::{Kind, Method, Plan, Policy, Reason};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Runs a scenario with a caller, from beginning to end.
///
/// # Panics
///
/// If the caller asks to be woken without end at one moment, or the scenario has a plan that the
/// preset lacks.
pub fn simulate(scenario: &Scenario, client: &mut dyn Client) -> Outcome {
    let mut world = World::new(scenario);
    world.plan_others();
    for change in &scenario.plan_changes {
        if let Some(before) = change.announced_ms {
            let at = change.at_ms.saturating_sub(before) * 1_000;
            world.schedule(at, Event::Announce(change.plan));
        }
        world.schedule(change.at_ms * 1_000, Event::ChangePlan(change.plan));
    }
    for lane in 0..scenario.lanes.len() {
        world.schedule(0, Event::Wish(lane));
    }
    while let Some(Reverse(Scheduled { at_us, event, .. })) = world.queue.pop() {
        if at_us >= scenario.duration_ms * 1_000 {
            break;
        }
        world.now_us = at_us;
        world.happen(event, client);
    }
    world.outcome
}

enum Event {
    /// A lane would like to send another request.
    Wish(usize),
    /// The caller looks again what it may send.
    Wake,
    Arrive {
        id: u64,
        method: Method,
    },
    ResponseInfo {
        id: u64,
        response: Response,
    },
    Announce(Plan),
    ChangePlan(Plan),
    UserInterface,
    Sibling,
}

struct Scheduled {
    at_us: u64,
    /// Events of one moment happen in the order in which they were scheduled.
    order: u64,
    event: Event,
}

struct World<'a> {
    scenario: &'a Scenario,
    queue: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    now_us: u64,
    network: Network,
    clock: DeviceClock,
    server: Server,
    outcome: Outcome,
    /// Requests that each lane still wishes to send.
    wishes: Vec<u64>,
    next_id: u64,
    /// When the caller is woken next, so that it is not woken twice.
    wake_us: Option<u64>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            queue: BinaryHeap::new(),
            order: 0,
            now_us: 0,
            network: Network::new(scenario),
            clock: DeviceClock::new(scenario),
            server: Server::new(scenario),
            outcome: Outcome {
                allowed: allowed(scenario),
                ..Outcome::default()
            },
            wishes: vec![0; scenario.lanes.len()],
            next_id: 0,
            wake_us: None,
        }
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse(Scheduled {
            at_us,
            order: self.order,
            event,
        }));
    }

    /// Others come one by one, or several at once after a pause: never more than the scenario
    /// says within a window's length.
    fn plan_others(&mut self) {
        let mut random = Random::new(!self.scenario.seed);
        let end_us = self.scenario.duration_ms * 1_000;
        if let Some(gap) = WINDOW_US.checked_div(self.scenario.others) {
            let mut at = random.between(0, WINDOW_US);
            while at < end_us {
                if random.chance(100) {
                    at += WINDOW_US;
                    for _ in 0..self.scenario.others {
                        self.schedule(at, Event::UserInterface);
                    }
                    at += WINDOW_US;
                } else {
                    self.schedule(at, Event::UserInterface);
                    at += gap + 1 + random.between(0, gap);
                }
            }
        }
        for _ in 0..self.scenario.daily_others {
            self.schedule(random.between(0, end_us), Event::Sibling);
        }
    }

    fn happen(&mut self, event: Event, client: &mut dyn Client) {
        match event {
            Event::Wish(lane) => {
                let every_ms = self.scenario.lanes[lane].every_ms;
                if every_ms == 0 {
                    self.wishes[lane] = u64::MAX;
                } else {
                    self.wishes[lane] += 1;
                    self.schedule(self.now_us + every_ms * 1_000, Event::Wish(lane));
                }
                self.send(client);
            }
            Event::Wake => {
                // Of several, the one that was wanted last.
                if self.wake_us == Some(self.now_us) {
                    self.wake_us = None;
                    self.send(client);
                }
            }
            Event::Arrive { id, method } => self.arrive(id, method),
            Event::ResponseInfo { id, response } => {
                let now = self.clock.at(self.now_us);
                client.on_response(id, &response.read(now), now);
                self.send(client);
            }
            Event::Announce(plan) => client.announce(self.limit(plan)),
            Event::ChangePlan(plan) => self.server.change_plan(plan),
            Event::UserInterface => {
                self.outcome.others += u64::from(self.server.serve_ui(self.now_us));
            }
            Event::Sibling => self.server.serve_sibling(self.now_us),
        }
    }

    /// Lets the caller send all that it will at this moment.
    fn send(&mut self, client: &mut dyn Client) {
        let now = self.clock.at(self.now_us);
        let mut wake_ms: Option<u32> = None;
        for lane in 0..self.wishes.len() {
            let method = self.scenario.lanes[lane].method;
            for round in 0.. {
                assert!(round < 100_000, "a caller that sends without end");
                if self.wishes[lane] == 0 {
                    break;
                }
                match client.poll(method, self.next_id, now) {
                    Poll::Send => {
                        self.wishes[lane] -= u64::from(self.wishes[lane] != u64::MAX);
                        self.depart(method);
                    }
                    Poll::Wait(millis) => {
                        wake_ms = Some(wake_ms.map_or(millis, |wake| wake.min(millis)));
                        break;
                    }
                    Poll::Stop(millis) => {
                        self.outcome.stopped += 1;
                        wake_ms = Some(wake_ms.map_or(millis, |wake| wake.min(millis)));
                        break;
                    }
                    Poll::Answers => break,
                }
            }
        }
        if let Some(millis) = wake_ms {
            let at = self.clock.after(self.now_us, u64::from(millis.max(1)));
            if self
                .wake_us
                .is_none_or(|wake| at < wake || wake <= self.now_us)
            {
                self.wake_us = Some(at);
                self.schedule(at, Event::Wake);
            }
        }
    }

    fn depart(&mut self, method: Method) {
        let id = self.next_id;
        self.next_id += 1;
        self.outcome.sent += 1;
        match self.network.transit_us() {
            Some(transit) => self.schedule(self.now_us + transit, Event::Arrive { id, method }),
            None => self.outcome.lost += 1,
        }
    }

    fn arrive(&mut self, id: u64, method: Method) {
        let response = self.server.serve(method, self.now_us);
        match response.reason {
            None => {
                self.outcome.admitted += 1;
                let write = matches!(method, Method::Post | Method::Put);
                self.outcome.writes += u64::from(write);
            }
            Some(Reason::Window) => self.outcome.refused_window += 1,
            Some(Reason::Daily) => self.outcome.refused_daily += 1,
            Some(_) => self.outcome.blocked += 1,
        }
        match self.network.transit_us() {
            Some(transit) => {
                self.schedule(self.now_us + transit, Event::ResponseInfo { id, response });
            }
            None => self.outcome.lost += 1,
        }
    }

    fn limit(&self, plan: Plan) -> u32 {
        limit(plan, self.scenario.kind)
    }
}

fn limit(plan: Plan, kind: Kind) -> u32 {
    Policy::pipedrive()
        .window_limit(plan, kind)
        .expect("a plan of the preset")
}

/// Permits of all windows of the time, back to back.
fn allowed(scenario: &Scenario) -> u64 {
    let mut allowed = 0;
    let mut since = 0;
    let mut plan = scenario.plan;
    for change in &scenario.plan_changes {
        allowed += u64::from(limit(plan, scenario.kind)) * (change.at_ms - since);
        (since, plan) = (change.at_ms, change.plan);
    }
    allowed += u64::from(limit(plan, scenario.kind)) * (scenario.duration_ms - since);
    allowed * 1_000 / WINDOW_US
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.order).cmp(&(other.at_us, other.order))
    }
}

/// The window of the preset.
const WINDOW_US: u64 = 2_000_000;
