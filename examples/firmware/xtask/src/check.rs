//! Runs images and compares; counts what passed and what failed.

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{
    compile, drive, expect,
    image::{self, Image, Profile},
    log,
    machine::{self, MACHINES, Machine},
    qemu::{Emulator, Options, Outcome},
    readme, workspace,
};

/// Checks so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Counts one check and prints its line.
    pub(crate) fn count(&mut self, what: &str, result: &Result<(), String>) {
        match result {
            Ok(()) => {
                println!("ok      {what}");
                self.passed += 1;
            }
            Err(why) => {
                println!("FAILED  {what}: {why}");
                self.failed += 1;
            }
        }
    }

    /// Prints the sum; the code tells whether all passed.
    pub(crate) fn finish(&self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        // A run that checked nothing is no success.
        if self.failed == 0 && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Tests and lints what runs on the host, and lints the images as they are for each machine.
pub(crate) fn sources(tally: &mut Tally) -> Result<()> {
    progress("test on the host");
    tally.count("tests on the host", &compile::test());
    progress("lint");
    tally.count("lints of the runner", &compile::lint_runner());
    tally.count("the README's firmware builds", &readme::build());
    let images = image::discover(&workspace())?;
    for machine in &MACHINES {
        let fitting: Vec<&Image> = images.iter().filter(|image| image.fits(machine)).collect();
        tally.count(
            &format!("lints for {}", machine.target),
            &compile::lint(&fitting, machine),
        );
    }
    Ok(())
}

/// Builds and runs the images with these names, or all; compares, or takes what they say as expected.
pub(crate) fn run(names: &[&str], bless: bool, tally: &mut Tally) -> Result<()> {
    let images = image::discover(&workspace())?;
    for name in names {
        if !images.iter().any(|image| image.name == *name) {
            bail!("there is no image {name}");
        }
    }
    let wanted: Vec<&Image> = images
        .iter()
        .filter(|image| image.wants.figures.is_empty())
        .filter(|image| names.is_empty() || names.contains(&image.name.as_str()))
        .collect();
    for machine in &MACHINES {
        let fitting: Vec<&Image> = wanted
            .iter()
            .copied()
            .filter(|image| image.fits(machine))
            .collect();
        if !fitting.is_empty() {
            progress(&format!(
                "build {} images for {}",
                fitting.len(),
                machine.target
            ));
        }
        compile::build(&fitting, machine, Profile::Small)?;
    }
    for image in wanted {
        let mut said = Vec::new();
        for machine in image.machines() {
            progress(&format!("run {} on {}", image.name, machine.name));
            let result = said_by(image, machine, Profile::Small).and_then(|text| {
                if !bless {
                    expect::compare(image, machine, &text)?;
                }
                said.push((machine, text));
                Ok(())
            });
            tally.count(&format!("{} on {}", image.name, machine.name), &result);
        }
        if bless && image.wants.expects.is_empty() && said.len() == image.machines().count() {
            expect::bless(&image.source, &said)?;
        }
    }
    Ok(())
}

/// Says what takes the next seconds, or minutes.
pub(crate) fn progress(what: &str) {
    println!("…       {what}");
    // Nothing depends on it.
    let _ = std::io::stdout().flush();
}

/// Runs one image, checks how it ended, and returns what it said.
pub(crate) fn said_by(
    image: &Image,
    machine: &Machine,
    profile: Profile,
) -> Result<String, String> {
    let elf = compile::elf(image, machine, profile);
    let outcome = start(image, machine, &elf).map_err(|error| format!("{error:#}"))?;
    let text = log::text(&elf, &outcome.stdout).map_err(|error| format!("{error:#}"))?;
    if outcome.code != image.wants.exit {
        let (code, wanted) = (outcome.code, image.wants.exit);
        return Err(format!(
            "ended with {code} instead of {wanted}\n{text}{}",
            outcome.stderr
        ));
    }
    no_secret(&image.wants.secrets, &outcome.stdout, &text)?;
    Ok(text)
}

/// Runs an ELF whose image is not known and shows what it says.
pub(crate) fn exec(elf: &Path) -> Result<ExitCode> {
    let machine = machine::of_elf(elf)?;
    let outcome = Emulator::start(machine, elf, &Options::default())?.finish()?;
    std::io::stdout().write_all(log::text(elf, &outcome.stdout)?.as_bytes())?;
    Ok(ExitCode::from(
        u8::try_from(outcome.code).context("an exit code is a byte")?,
    ))
}

fn start(image: &Image, machine: &Machine, elf: &Path) -> Result<Outcome> {
    let icount = image.wants.icount || !image.wants.figures.is_empty();
    match &image.wants.drive {
        Some(driver) => drive::run(driver, machine, elf),
        None => Emulator::start(
            machine,
            elf,
            &Options {
                icount,
                ..Options::default()
            },
        )?
        .finish(),
    }
}

/// Checks that none of `secrets` is in the decoded text, and no piece of one in the raw bytes: defmt's encoding puts
/// a byte of its own between any eight.
fn no_secret(secrets: &[String], raw: &[u8], text: &str) -> Result<(), String> {
    for secret in secrets {
        let mut pieces = secret.as_bytes().windows(secret.len().min(PIECE_BYTES));
        let in_raw = pieces.any(|piece| raw.windows(piece.len()).any(|window| window == piece));
        if in_raw || text.contains(secret.as_str()) {
            return Err("it said a secret".to_owned());
        }
    }
    Ok(())
}

const PIECE_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_secret_in_the_raw_bytes_and_in_the_text() {
        let secrets = ["hush".to_owned()];
        assert!(no_secret(&secrets, b"\xFFhush\xFF", "").is_err());
        assert!(no_secret(&secrets, b"", "he said hush.").is_err());
        assert!(no_secret(&secrets, b"hus", "h ush").is_ok());
        let long = ["a long secret".to_owned()];
        assert!(no_secret(&long, b"a long\x07 secret", "").is_err());
        assert!(no_secret(&long, b"a lon\x07g sec\x07ret", "").is_ok());
    }

    #[test]
    fn ends_with_failure_if_one_failed_or_none_was_checked() {
        let mut tally = Tally::default();
        assert_eq!(tally.finish(), ExitCode::FAILURE);
        tally.count("one", &Ok(()));
        assert_eq!(tally.finish(), ExitCode::SUCCESS);
        tally.count("two", &Err("it broke".to_owned()));
        assert_eq!(tally.finish(), ExitCode::FAILURE);
    }
}
