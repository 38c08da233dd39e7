//! Builds every image for every machine it fits, runs it in QEMU, compares what it says with what is expected,
//! measures what is to be measured, and holds the figures to the committed baseline.
//!
//! `cargo xtask help` says how to call it. A run goes through the modules in this order: [`image`] discovers,
//! [`compile`] builds, [`qemu`] runs (with [`drive`] at the other end of the serial line, and [`log`] decoding
//! defmt), [`expect`] compares; [`measure`] collects [`figures`](figures::Figures) from ELF files ([`elf`],
//! [`gates`]) and from images that print some, [`baseline`] judges them, [`table`] shows them.

#![forbid(unsafe_code)]

mod baseline;
mod check;
mod compile;
mod complete;
mod drive;
mod elf;
mod expect;
mod figures;
mod gates;
mod image;
mod log;
mod machine;
mod measure;
mod profile;
mod qemu;
mod readme;
mod table;
mod wear;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};

use check::Tally;

const HELP: &str = "\
cargo xtask run [--bless] [NAME…]   build and run the images (all, or those named); --bless writes what they say
                                    as what is expected
cargo xtask measure [--bless]       sizes, symbols, stack, instructions: report, table, comparison with the
                                    baseline; --bless makes these figures the baseline
cargo xtask ci                      tests, lints, and both, with one sum at the end
cargo xtask profile [MACHINE…]      where the instructions of each measured case go, by function of the source
cargo xtask wear [--bless]          how fast the limiter's state wears a flash out, for the README; --bless writes it there
cargo xtask readme                  build the firmware that the README shows, from its text
cargo xtask exec ELF                run one image that is built (`cargo run --target …` calls this)
";

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (options, words): (Vec<_>, Vec<_>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|argument| argument.starts_with("--"));
    let bless = match options.as_slice() {
        [] => false,
        ["--bless"] => true,
        _ => bail!("unknown options {options:?}\n{HELP}"),
    };

    let mut tally = Tally::default();
    match words.as_slice() {
        ["run", names @ ..] => check::run(names, bless, &mut tally)?,
        ["measure"] => measure::run(bless, &mut tally)?,
        ["wear"] => wear::run(bless, &mut tally)?,
        ["readme"] => tally.count("the README's firmware builds", &readme::build()),
        ["ci"] if !bless => {
            check::sources(&mut tally)?;
            check::run(&[], false, &mut tally)?;
            measure::run(false, &mut tally)?;
        }
        ["profile", machines @ ..] => {
            profile::run(machines)?;
            return Ok(ExitCode::SUCCESS);
        }
        ["exec", elf] => return check::exec(Path::new(elf)),
        ["help"] => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        _ => bail!("what shall be done?\n{HELP}"),
    }
    Ok(tally.finish())
}

/// The folder of the firmware workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
        .to_path_buf()
}

/// The folder of the project.
fn project() -> PathBuf {
    workspace().join("../..")
}
