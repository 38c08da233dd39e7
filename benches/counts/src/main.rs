//! Counts the instructions and data accesses of single decisions on this host, under callgrind, and
//! holds them to a committed baseline. Times depend on the machine and its mood; these do not.
//!
//! This program calls itself under valgrind (`inside`), where `cases.rs` decides: only what happens
//! within its `one_…` functions is counted, so neither start-up nor libc shows. `callgrind.rs` reads
//! what valgrind wrote, `baseline.rs` judges.

mod baseline;
mod callgrind;
mod cases;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
limiter-counts [--bless]   counts, compares with the baseline, writes target/bench/counts.json;
                           --bless makes these counts the baseline
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] => run(false),
        ["--bless"] => run(true),
        [callgrind::INSIDE] => {
            cases::run_all();
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("limiter-counts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bless: bool) -> Result<ExitCode, Box<dyn Error>> {
    let counts = callgrind::count()?;
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&counts)? + "\n";
    std::fs::write(folder.join("counts.json"), text)?;
    for count in &counts {
        println!("{count}");
    }
    if !cfg!(target_arch = "x86_64") {
        println!("the baseline is for x86-64: nothing is held to it here");
        return Ok(ExitCode::SUCCESS);
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.json");
    if bless {
        baseline::bless(&path, &counts)?;
    }
    let grown = baseline::judge(&baseline::read(&path)?, &counts);
    for line in &grown {
        eprintln!("{line}");
    }
    if grown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("if that is as it should be: ./ci.sh bless-counts, and say why in the commit");
    Ok(ExitCode::FAILURE)
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"))
}
