//! What is simulated: a service, a network, a device, and what is wanted of them.

use limiter_core::{Kind, Method, Plan, Policy};

/// One simulation, wholly described. Times of the world are in true milliseconds.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Everything that is random follows from it.
    pub seed: u64,
    /// How long it lasts.
    pub duration_ms: u64,
    /// UTC at its start, in Unix seconds.
    pub start_utc: u64,
    /// The token's kind.
    pub kind: Kind,
    /// The token's plan at the start.
    pub plan: Plan,
    /// Later plans, in the order of their times.
    pub plan_changes: Vec<PlanChange>,
    /// Writes that the user has already used up when it starts.
    pub daily_used: u32,
    /// Shortest time from sending to arriving, each way.
    pub latency_ms: u64,
    /// By how much that time varies, each way; requests and answers overtake each other.
    pub jitter_ms: u64,
    /// Requests, and answers, that get lost, in a thousand.
    pub loss_permille: u64,
    /// How much faster than true the device's clock runs, in millionths.
    pub clock_ppm: i64,
    /// How much later than true UTC the device's UTC is; `None`: the device has none.
    pub utc_skew_ms: Option<i64>,
    /// Whether answers have a `date`.
    pub sends_date: bool,
    /// Permits that others take of the token's windows: at most so many in any window's length.
    pub others: u64,
    /// Writes that the user's other programs make over the whole time.
    pub daily_others: u64,
    /// What the caller wants to send.
    pub lanes: Vec<Lane>,
}

impl Scenario {
    /// An Advanced plan's `api_token`, read without end over a perfect network for two minutes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            duration_ms: 120_000,
            start_utc: NOON,
            kind: Kind::ApiToken,
            plan: Plan::ADVANCED,
            plan_changes: Vec::new(),
            daily_used: 0,
            latency_ms: 0,
            jitter_ms: 0,
            loss_permille: 0,
            clock_ppm: 0,
            utc_skew_ms: Some(0),
            sends_date: false,
            others: 0,
            daily_others: 0,
            lanes: vec![Lane::without_end(Method::Get)],
        }
    }

    /// Permits per window at the start.
    ///
    /// # Panics
    ///
    /// If the preset has no such plan.
    #[must_use]
    pub fn limit(&self) -> u32 {
        Policy::pipedrive()
            .window_limit(self.plan, self.kind)
            .expect("a plan of the preset")
    }
}

/// Requests of one method that a caller wants to send.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// Their method.
    pub method: Method,
    /// How far apart they are wanted; 0: as fast as can be.
    pub every_ms: u64,
}

impl Lane {
    /// As many as can be sent.
    #[must_use]
    pub const fn without_end(method: Method) -> Self {
        Self {
            method,
            every_ms: 0,
        }
    }
}

/// The token gets another plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanChange {
    /// When.
    pub at_ms: u64,
    /// Which.
    pub plan: Plan,
    /// How long before it the caller is told; `None`: it has to find out.
    pub announced_ms: Option<u64>,
}

/// 2026-11-24T12:00:00Z.
pub const NOON: u64 = 1_795_521_600;
