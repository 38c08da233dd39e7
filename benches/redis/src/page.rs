//! The tables, and the part of the README that is made of them.

use crate::floor::FLOOR;
use crate::ours;
use crate::rounds::{Effort, Row};
use crate::shape::{SHAPES, Shape};
use limiter_bench::measure::percentile;
use limiter_bench::report::machine::Machine;
use limiter_bench::report::markdown::figure;
use limiter_bench::report::page::between;
use limiter_redis_servers::Server;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Where, when, and of what.
pub fn head(machine: &Machine, server: &Server, effort: Effort) -> String {
    format!(
        "{}\nRedis {}; {}. {} rounds of {} ms each.\n",
        machine.circumstances(", shared by client and server"),
        version(server),
        machine.releases(),
        effort.rounds,
        effort.span.as_millis(),
    )
}

fn version(server: &Server) -> String {
    let info = server.command(&["INFO", "server"]);
    let info: String = redis::from_redis_value(info).unwrap_or_default();
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"));
    version.unwrap_or("?").to_owned()
}

/// All subjects of one shape, the quickest first.
pub fn table(shape: &Shape, rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| middle(&b.rates).total_cmp(&middle(&a.rates)));
    let mut text = format!("\n### {}\n\n", shape.name);
    if shape.name == SHAPES[0].name {
        text.push_str(&aim(&rows));
    }
    text.push_str("| subject | decisions/s | half of all | of the floor | half of all | p50 µs | p99 µs | does less |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|--:|---|\n");
    for row in rows {
        let name = match row.name.as_str() {
            ours::READ | ours::WRITE => format!("**{}**", row.name),
            _ => row.name.clone(),
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.2} | {:.2}–{:.2} | {} | {} | {} |",
            figure(middle(&row.rates).round()),
            quartiles(&row.rates),
            middle(&row.ratios),
            percentile(&row.ratios, 25),
            percentile(&row.ratios, 75),
            figure(middle(&row.waits).round()),
            figure(percentile(&row.waits, 99).round()),
            row.lacks,
        );
    }
    text
}

/// What was hoped for, and what came of it.
fn aim(rows: &[&Row]) -> String {
    let of = |name: &str| rows.iter().find(|row| row.name == name);
    let Some(read) = of(ours::READ) else {
        return String::new();
    };
    let ratio = middle(&read.ratios);
    let met = if ratio >= AIM { "met" } else { "**missed**" };
    format!("Aim: a read at {AIM} of `{FLOOR}`, or more. Measured: {ratio:.2}, {met}.\n\n")
}

fn middle(values: &[f64]) -> f64 {
    percentile(values, 50)
}

fn quartiles(values: &[f64]) -> String {
    let [low, high] = [25, 75].map(|share| figure(percentile(values, share).round()));
    format!("{low}–{high}")
}

/// What is decided without asking.
pub fn trips(found: &[(String, u64)]) -> String {
    let mut text = String::from(
        "\n### Round trips for 1 000 decisions about one token\n\n| decisions | round trips |\n|---|--:|\n",
    );
    for (what, trips) in found {
        let _ = writeln!(text, "| {what} | {trips} |");
    }
    text
}

/// Puts the tables into the README.
pub fn publish(package: &Path, page: &str) -> Result<(), Box<dyn std::error::Error>> {
    let path = package.join("README.md");
    let text = fs::read_to_string(&path)?;
    let text = between(&text, [BEGIN, END], page);
    fs::write(&path, text.ok_or("README.md: nothing to write between")?)?;
    Ok(())
}

const AIM: f64 = 0.85;
const BEGIN: &str = "<!-- results: `./ci.sh bench-redis` writes this -->";
const END: &str = "<!-- end of the results -->";
