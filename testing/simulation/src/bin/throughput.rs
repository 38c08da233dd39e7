//! Writes throughput against latency, of the pacer and of its peers, as CSV and SVG.
//!
//! `cargo run --release -p limiter-simulation --bin throughput -- DIRECTORY`

use limiter_core::{Kind, Plan, Policy};
use limiter_pacer::PacerPolicy;
use limiter_simulation::plot::{self, Series};
use limiter_simulation::{Client, Governed, Naive, Outcome, Paced, Scenario, simulate};
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from("testing/simulation/results"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&directory)?;
    let plans = [
        ("essential", Plan::ESSENTIAL, Kind::ApiToken),
        ("advanced", Plan::ADVANCED, Kind::ApiToken),
        ("oauth-enterprise", Plan::ENTERPRISE, Kind::AccessToken),
    ];
    for (name, plan, kind) in plans {
        let series = callers(plan, kind);
        let limit = told(plan, kind).limit().unwrap_or(0);
        let title = format!("{limit} requests per 2 s ({name}), times vary by a tenth");
        std::fs::write(
            directory.join(format!("throughput-{name}.csv")),
            plot::csv(&series),
        )?;
        std::fs::write(
            directory.join(format!("throughput-{name}.svg")),
            plot::svg(&title, &series),
        )?;
        print!("{}", plot::csv(&series));
    }
    Ok(())
}

fn callers(plan: Plan, kind: Kind) -> Vec<Series> {
    let told = told(plan, kind);
    let limit = told.limit().unwrap_or(0);
    let pacer = |_: u32| -> Box<dyn Client> { Box::new(Paced::new(told)) };
    let bounded = |jitter: u32| -> Box<dyn Client> {
        Box::new(Paced::new(told.with_transit_spread(Some(jitter))))
    };
    let learner = |_: u32| -> Box<dyn Client> { Box::new(Paced::new(PacerPolicy::ADAPTIVE)) };
    let second = |_: u32| -> Box<dyn Client> { Box::new(Governed::per_second(limit)) };
    let evenly = |_: u32| -> Box<dyn Client> { Box::new(Governed::evenly(limit)) };
    let naive = |_: u32| -> Box<dyn Client> { Box::new(Naive::new(WORKERS)) };
    vec![
        measure("pacer", "#0a7d32", plan, kind, &pacer),
        measure("pacer with known spread", "#7bc043", plan, kind, &bounded),
        measure("pacer told nothing", "#1f77b4", plan, kind, &learner),
        measure("governor per second", "#d62728", plan, kind, &second),
        measure("governor evenly", "#ff7f0e", plan, kind, &evenly),
        measure("retry on 429", "#7f7f7f", plan, kind, &naive),
    ]
}

fn measure(
    name: &'static str,
    colour: &'static str,
    plan: Plan,
    kind: Kind,
    caller: &dyn Fn(u32) -> Box<dyn Client>,
) -> Series {
    let point = |latency_ms: u64| -> (u64, Outcome) {
        let mut scenario = Scenario::new(latency_ms + 1);
        scenario.duration_ms = 300_000;
        scenario.plan = plan;
        scenario.kind = kind;
        scenario.latency_ms = latency_ms;
        scenario.jitter_ms = latency_ms / 10;
        scenario.clock_ppm = 50;
        let jitter = u32::try_from(scenario.jitter_ms).unwrap_or(u32::MAX);
        (latency_ms, simulate(&scenario, &mut *caller(jitter)))
    };
    Series {
        name,
        colour,
        points: LATENCIES_MS.map(point).to_vec(),
    }
}

fn told(plan: Plan, kind: Kind) -> PacerPolicy {
    PacerPolicy::of(&Policy::pipedrive(), plan, kind).expect("a plan of the preset")
}

const LATENCIES_MS: [u64; 11] = [1, 10, 25, 50, 100, 200, 400, 800, 1_600, 3_200, 5_000];
/// Of the caller that retries.
const WORKERS: usize = 16;
