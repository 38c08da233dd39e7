//! Collects the figures: sizes and symbols from ELF files, stack and instructions from images that print them.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value, json};

use crate::{
    baseline,
    check::{self, Tally},
    compile, complete,
    elf::Elf,
    figures::Figures,
    image::{self, Image, Profile},
    machine::{MACHINES, Machine},
    project, table, workspace,
};

/// Measures everything, writes the report, prints the table, and judges by the baseline, or makes it the baseline.
pub(crate) fn run(bless: bool, tally: &mut Tally) -> Result<()> {
    let images = image::discover(&workspace())?;
    let mut figures = Figures::default();
    let mut symbols = Map::new();
    for machine in &MACHINES {
        check::progress(&format!("build and measure for {}", machine.target));
        let elves = read_elves(&images, machine)?;
        for image in images.iter().filter(|image| image.fits(machine)) {
            if let Some(elf) = elves.get(image.name.as_str()) {
                check_gates(image, machine, elf, tally);
                collect_sizes(image, machine, &elves, &mut figures)?;
                collect_ram(image, machine, elf, &mut figures);
            }
            collect_printed(image, machine, &mut figures, tally);
        }
        symbols.insert(machine.target.to_owned(), largest_symbols(&elves));
    }

    for image in &images {
        for library in &image.wants.complete {
            let verdict = complete::check(&image.source, &project().join(library));
            tally.count(&format!("{} uses all of {library}", image.name), &verdict);
        }
    }

    let rustc = rustc_version()?;
    write_report(&rustc, &figures, symbols)?;
    println!("\n{}", table::markdown(&figures));
    if bless {
        baseline::bless(&rustc, &figures)?;
    }
    let accepted = baseline::read(&rustc)?;
    for (what, verdict) in baseline::judge(&accepted, &figures) {
        tally.count(&what, &verdict);
    }
    // What is shown is what was accepted: a change within the tolerance asks nobody to edit a text.
    let table = table::markdown(&accepted);
    for path in [project().join("README.md"), workspace().join("README.md")] {
        if path.exists()
            && let Some(is_there) = table::place(&path, &table::FIGURES, &table, bless)?
        {
            let verdict = is_there
                .then_some(())
                .ok_or("differs; `--bless` writes it".to_owned());
            tally.count(&format!("the table in {}", path.display()), &verdict);
        }
    }
    Ok(())
}

/// Builds what is measured for `machine` and reads the files of the small profile.
fn read_elves<'a>(images: &'a [Image], machine: &Machine) -> Result<BTreeMap<&'a str, Elf>> {
    let fitting = || images.iter().filter(|image| image.fits(machine));
    let is_compared_with = |name: &str| {
        fitting()
            .filter_map(|image| image.wants.size.as_ref())
            .any(|size| size.above == name)
    };
    let small: Vec<&Image> = fitting()
        .filter(|image| {
            let wants = &image.wants;
            !wants.gates.is_empty()
                || wants.size.is_some()
                || wants.ram
                || is_compared_with(&image.name)
        })
        .collect();
    compile::build(&small, machine, Profile::Small)?;
    for profile in [Profile::Small, Profile::Fast] {
        let printing: Vec<&Image> = fitting()
            .filter(|image| image.wants.figures.contains(&profile))
            .collect();
        compile::build(&printing, machine, profile)?;
    }
    small
        .into_iter()
        .map(|image| {
            let path = compile::elf(image, machine, Profile::Small);
            Ok((image.name.as_str(), Elf::read(&path)?))
        })
        .collect()
}

fn check_gates(image: &Image, machine: &Machine, elf: &Elf, tally: &mut Tally) {
    for gate in &image.wants.gates {
        let forbidden = gate.forbidden(elf);
        let verdict = if forbidden.is_empty() {
            Ok(())
        } else {
            Err(forbidden.join(", "))
        };
        tally.count(
            &format!(
                "no {} code in {} on {}",
                gate.name(),
                image.name,
                machine.target
            ),
            &verdict,
        );
    }
}

/// Notes what an image adds to another.
fn collect_sizes(
    image: &Image,
    machine: &Machine,
    elves: &BTreeMap<&str, Elf>,
    figures: &mut Figures,
) -> Result<()> {
    let Some(size) = &image.wants.size else {
        return Ok(());
    };
    let find = |name: &str| {
        elves
            .get(name)
            .with_context(|| format!("there is no image {name}"))
    };
    let (of, above) = (find(&image.name)?, find(&size.above)?);
    let difference = |of: u64, above: u64| {
        of.checked_sub(above)
            .ok_or_else(|| anyhow!("{} is smaller than {}", image.name, size.above))
    };
    let text = difference(of.text_bytes, above.text_bytes)?;
    figures.set(machine.target, format!("text B: {}", size.what), text);
    let rodata = difference(of.rodata_bytes, above.rodata_bytes)?;
    figures.set(machine.target, format!("rodata B: {}", size.what), rodata);
    figures.set(
        machine.target,
        format!(
            "data B (initial values, in flash and in RAM): {}",
            size.what
        ),
        of.data_bytes,
    );
    Ok(())
}

/// Notes the sizes of the statics whose names begin with `RAM_`.
fn collect_ram(image: &Image, machine: &Machine, elf: &Elf, figures: &mut Figures) {
    if !image.wants.ram {
        return;
    }
    for symbol in elf.symbols.iter().filter(|symbol| !symbol.is_code) {
        let name = symbol.name.rsplit("::").next().unwrap_or_default();
        if let Some(what) = name.strip_prefix("RAM_") {
            let what = what.to_lowercase().replace('_', " ");
            figures.set(machine.target, format!("RAM B: {what}"), symbol.bytes);
        }
    }
}

/// Runs an image that prints figures and notes them.
fn collect_printed(image: &Image, machine: &Machine, figures: &mut Figures, tally: &mut Tally) {
    for &profile in &image.wants.figures {
        let result = check::said_by(image, machine, profile).and_then(|text| {
            for (name, value) in printed(&text).map_err(|error| error.to_string())? {
                figures.set(
                    machine.target,
                    format!("{name} ({})", profile.opt_level()),
                    value,
                );
            }
            Ok(())
        });
        let what = format!(
            "{} ({}) on {}",
            image.name,
            profile.opt_level(),
            machine.name
        );
        tally.count(&what, &result);
    }
}

/// Reads lines `<name> = <value>`.
fn printed(text: &str) -> Result<Vec<(&str, u64)>> {
    let figures: Vec<_> = text
        .lines()
        .map(|line| {
            let (name, value) = line
                .split_once(" = ")
                .with_context(|| format!("no figure: `{line}`"))?;
            Ok((
                name,
                value
                    .parse()
                    .with_context(|| format!("no number: `{line}`"))?,
            ))
        })
        .collect::<Result<_>>()?;
    if figures.is_empty() {
        bail!("prints no figure");
    }
    Ok(figures)
}

/// The symbols that make up most of each image, for whoever wonders where the bytes went.
fn largest_symbols(elves: &BTreeMap<&str, Elf>) -> Value {
    let of_one = |elf: &Elf| -> Value {
        let symbols = elf
            .symbols
            .iter()
            .filter(|symbol| symbol.bytes > 0)
            .take(SYMBOLS_IN_REPORT);
        symbols
            .map(|symbol| json!({"name": symbol.name, "bytes": symbol.bytes}))
            .collect()
    };
    elves
        .iter()
        .map(|(&name, elf)| (name.to_owned(), of_one(elf)))
        .collect()
}

fn write_report(rustc: &str, figures: &Figures, symbols: Map<String, Value>) -> Result<()> {
    let report = json!({
        "rustc": rustc,
        "figures": baseline::to_json(figures),
        "largest_symbols": symbols,
    });
    let folder = project().join("target/firmware");
    fs::create_dir_all(&folder)?;
    let path = folder.join("report.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| path.display().to_string())
}

fn rustc_version() -> Result<String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .context("rustc does not start")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

const SYMBOLS_IN_REPORT: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_printed_figures_and_refuses_anything_else() {
        let figures = printed("instructions: read = 130\nstack B: check = 268\n").unwrap();
        assert_eq!(
            figures,
            [("instructions: read", 130), ("stack B: check", 268)]
        );
        for text in ["", "hello\n", "a = b\n", "a = -1\n"] {
            assert!(printed(text).is_err(), "{text}");
        }
    }
}
