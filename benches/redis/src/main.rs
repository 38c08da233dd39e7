//! The limiter on Redis beside its peers, on one machine and in one run. `./ci.sh bench-redis` is
//! the way to call it; it builds what is not a library first.
//!
//! | module | what it is about |
//! |---|---|
//! | `shape` | how many connections, requests under way, and decisions in a pipeline |
//! | `floor` | what a counter on Redis costs at the least: no limiter |
//! | `ours` | the limiter, alone on the wire and with what it does by itself |
//! | `peers` | limitador, redis-cell, throttlecrab |
//! | `rounds` | interleaved rounds, and what is made of them |
//! | `page` | the tables |

mod floor;
mod ours;
mod page;
mod peers;
mod rounds;
mod shape;

use limiter_bench::report::machine::Machine;
use limiter_bench::report::target;
use limiter_redis_servers::{Options, Server};
use peers::Throttlecrab;
use rounds::Effort;
use shape::{SHAPES, Shape, Subject};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
limiter-bench-redis compare            runs everything, puts the tables into benches/redis/README.md
limiter-bench-redis compare --quick    the same work, smaller; the tables are only shown
limiter-bench-redis profile NAME       asks one subject, one at a time, for some seconds: to be watched

REDIS_CELL            redis-cell's module, to compare with it
THROTTLECRAB_SERVER   throttlecrab's server, likewise
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["compare"] => compare(Effort::FULL).await,
        ["compare", "--quick"] => compare(Effort::QUICK).await,
        ["profile", name] => profile(name).await,
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limiter-bench-redis: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Who is there to be asked.
struct World {
    server: Server,
    has_cell: bool,
    throttlecrab: Option<Throttlecrab>,
}

impl World {
    fn start() -> Result<Self, Box<dyn Error>> {
        let module = std::env::var("REDIS_CELL").ok();
        let options = module.iter().fold(Options::default(), |options, module| {
            options.with("loadmodule", module)
        });
        Ok(Self {
            server: Server::start_with(&options).ok_or("there is no redis-server")?,
            has_cell: module.is_some(),
            throttlecrab: std::env::var("THROTTLECRAB_SERVER")
                .ok()
                .map(|program| Throttlecrab::start(&program))
                .transpose()?,
        })
    }

    async fn subjects(&self, shape: &Shape) -> Result<Vec<Subject>, Box<dyn Error>> {
        let mut subjects = floor::subjects(self, shape).await?;
        subjects.extend(ours::subjects(self, shape).await?);
        subjects.extend(peers::subjects(self, shape).await?);
        Ok(subjects)
    }
}

async fn profile(name: &str) -> Result<(), Box<dyn Error>> {
    let world = World::start()?;
    let [shape, ..] = &SHAPES;
    let mut subjects = world.subjects(shape).await?;
    subjects.retain(|subject| subject.name == name);
    let rows = rounds::run(&subjects, shape, Effort::QUICK).await;
    print!("{}", page::table(shape, &rows));
    Ok(())
}

async fn compare(effort: Effort) -> Result<(), Box<dyn Error>> {
    let machine = Machine::look_at(include_str!("../Cargo.lock"), &COMPARED);
    let world = World::start()?;
    let mut page = page::head(&machine, &world.server, effort);
    for shape in &SHAPES {
        let subjects = world.subjects(shape).await?;
        let rows = rounds::run(&subjects, shape, effort).await;
        let table = page::table(shape, &rows);
        print!("{table}");
        page.push_str(&table);
    }
    let trips = page::trips(&ours::trips(&world.server).await?);
    print!("{trips}");
    page.push_str(&trips);
    std::fs::create_dir_all(target())?;
    std::fs::write(target().join("redis.md"), &page)?;
    if !effort.quick {
        page::publish(Path::new(env!("CARGO_MANIFEST_DIR")), &page)?;
    }
    Ok(())
}

const COMPARED: [&str; 4] = ["limitador", "limiter-core", "limiter-host", "redis"];
