//! Runs the comparison and shows what came of it. `./ci.sh bench` is the way to call it.

use limiter_bench::allocator::Counting;
use limiter_bench::measure::Effort;
use limiter_bench::report::machine::Machine;
use limiter_bench::report::{Summary, aims, markdown, page, plots, target};
use limiter_bench::works;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
limiter-bench compare [--quick]   runs everything, writes target/bench/summary.json, summary.md, plots
limiter-bench render              writes summary.md and plots from summary.json anew
limiter-bench publish             puts target/bench/summary.json into benches/results and the READMEs
limiter-bench memory NAME TOKENS  one figure, in a process of its own (compare calls this)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["compare"] => compare(Effort::FULL),
        ["compare", "--quick"] => compare(Effort::QUICK),
        ["render"] => read().and_then(|summary| render(&summary)),
        ["publish"] => read().and_then(|summary| page::publish(&summary)),
        ["memory", name, tokens] => memory(name, tokens),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limiter-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(effort: Effort) -> Result<(), Box<dyn Error>> {
    let machine = Machine::look();
    let rows = works::all(effort)?;
    let aims = aims::judge(&rows);
    let summary = Summary {
        machine,
        quick: effort.quick,
        rows,
        aims,
    };
    fs::create_dir_all(target())?;
    let json = serde_json::to_string_pretty(&summary)? + "\n";
    fs::write(target().join("summary.json"), json)?;
    render(&summary)?;
    print!("{}", markdown::aims(&summary));
    println!("all rows: {}", target().join("summary.md").display());
    Ok(())
}

fn read() -> Result<Summary, Box<dyn Error>> {
    let path = target().join("summary.json");
    let json = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&json)?)
}

fn render(summary: &Summary) -> Result<(), Box<dyn Error>> {
    fs::write(target().join("summary.md"), markdown::all(summary))?;
    for (name, svg) in plots::all(summary)? {
        fs::write(target().join(name), svg)?;
    }
    Ok(())
}

fn memory(name: &str, tokens: &str) -> Result<(), Box<dyn Error>> {
    let tokens = tokens.parse()?;
    let measured = works::memory::measure(name, tokens);
    let (allocated, resident) = measured.ok_or_else(|| format!("nobody is called {name}"))?;
    println!("{allocated} {resident}");
    Ok(())
}
