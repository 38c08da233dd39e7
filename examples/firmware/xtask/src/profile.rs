//! Where the instructions of a decision go: the image `profile`, run one instruction at a time, each counted for the
//! function whose source it comes from, inlined or not.

use std::{collections::BTreeMap, fs, path::Path, process};

use addr2line::Loader;
use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    compile,
    elf::Elf,
    image::{self, Profile},
    machine::{MACHINES, Machine},
    qemu::{Emulator, Options},
    workspace,
};

/// Prints a list per case for each of `machines`, or for the Cortex-M3.
pub(crate) fn run(machines: &[&str]) -> Result<()> {
    let images = image::discover(&workspace())?;
    let image = images
        .iter()
        .find(|image| image.name == IMAGE)
        .context("there is no image profile")?;
    let names = if machines.is_empty() {
        &["lm3s6965evb"]
    } else {
        machines
    };
    for machine in MACHINES
        .iter()
        .filter(|machine| names.contains(&machine.name))
    {
        compile::build(&[image], machine, Profile::Fast)?;
        let elf = compile::elf(image, machine, Profile::Fast);
        let trace = std::env::temp_dir().join(format!("profile-{}.log", process::id()));
        let cases = execute(machine, &elf, &trace);
        let log = fs::read_to_string(&trace);
        // Nothing depends on it.
        let _ = fs::remove_file(&trace);
        print(machine, &elf, &cases?, &log?)?;
    }
    Ok(())
}

/// Runs the image with every instruction logged; returns the names of the cases, in order.
fn execute(machine: &Machine, elf: &Path, trace: &Path) -> Result<Vec<String>> {
    let options = Options {
        trace: Some(trace),
        ..Options::default()
    };
    let outcome = Emulator::start(machine, elf, &options)?.finish()?;
    ensure!(outcome.code == 0, "the image ended with {}", outcome.code);
    Ok(String::from_utf8(outcome.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn print(machine: &Machine, elf: &Path, cases: &[String], log: &str) -> Result<()> {
    let symbols = Elf::read(elf)?;
    let address = |name: &str| {
        let found = symbols
            .symbols
            .iter()
            .find(|symbol| symbol.name.ends_with(name));
        found
            .map(|symbol| symbol.address)
            .with_context(|| format!("no symbol {name}"))
    };
    let runs = split(log, address("::profiled")?, address("::profiled_end")?);
    ensure!(
        runs.len() == cases.len(),
        "{} runs of {} cases",
        runs.len(),
        cases.len()
    );
    let source = Loader::new(elf).map_err(|error| anyhow!("{}: {error}", elf.display()))?;
    for (case, addresses) in cases.iter().zip(runs) {
        println!(
            "\n{case}, {}: {} instructions",
            machine.core,
            addresses.len()
        );
        let mut counts = BTreeMap::<String, usize>::new();
        for address in addresses {
            *counts.entry(function(&source, address)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (name, count) in counts {
            println!("{count:6}  {name}");
        }
    }
    Ok(())
}

/// The addresses between each `begin` and the next `end`.
fn split(log: &str, begin: u64, end: u64) -> Vec<Vec<u64>> {
    let mut runs = Vec::new();
    let mut current: Option<Vec<u64>> = None;
    for address in log.lines().filter_map(program_counter) {
        if address == begin {
            current.get_or_insert_default();
        } else if address == end {
            runs.extend(current.take());
        }
        if let Some(run) = &mut current {
            run.push(address);
        }
    }
    runs
}

/// Reads `Trace 0: 0x7f… [flags/program counter/…`.
fn program_counter(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("Trace ")?.split_once('[')?;
    u64::from_str_radix(rest.split('/').nth(1)?, 16).ok()
}

/// The innermost function of the source that the instruction belongs to.
fn function(source: &Loader, address: u64) -> String {
    let frame = source
        .find_frames(address)
        .ok()
        .and_then(|mut frames| frames.next().ok().flatten());
    let name = frame
        .and_then(|frame| frame.function)
        .and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
    let symbol = || {
        source
            .find_symbol(address)
            .map(|symbol| format!("{:#}", rustc_demangle::demangle(symbol)))
    };
    name.or_else(symbol).unwrap_or_else(|| "?".to_owned())
}

const IMAGE: &str = "profile";

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
Trace 0: 0x7fb7 [00800400/00000404/00000110/ff000201] Reset
Trace 0: 0x7fb7 [00800400/00000010/00000110/ff000201] profiled
Trace 0: 0x7fb7 [00800400/00000012/00000110/ff000201] profiled
something else
Trace 0: 0x7fb7 [00800400/00000020/00000110/ff000201] profiled_end
Trace 0: 0x7fb7 [00800400/00000010/00000110/ff000201] profiled
Trace 0: 0x7fb7 [00800400/00000020/00000110/ff000201] profiled_end
";

    #[test]
    fn counts_what_lies_between_begin_and_end() {
        assert_eq!(split(LOG, 0x10, 0x20), [vec![0x10, 0x12], vec![0x10]]);
    }
}
