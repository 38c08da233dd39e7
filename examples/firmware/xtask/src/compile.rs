//! Builds images with cargo: one call per machine, package and profile, for all images of it at once.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    image::{Image, Profile},
    machine::Machine,
    workspace,
};

/// Builds `images` for `machine`. Where an image goes is told by [`elf`].
pub(crate) fn build(images: &[&Image], machine: &Machine, profile: Profile) -> Result<()> {
    let mut packages = BTreeMap::<&str, Vec<&str>>::new();
    for image in images {
        packages
            .entry(&image.package)
            .or_default()
            .push(&image.name);
    }
    for (package, names) in packages {
        let mut cargo = cargo("build");
        cargo.args([
            "--package",
            package,
            "--target",
            machine.target,
            "--profile",
            profile.name(),
        ]);
        for name in names {
            cargo.args(["--bin", name]);
        }
        // The log points of a defmt image are chosen when it is compiled.
        cargo.env("DEFMT_LOG", "trace");
        if let Err(why) = succeed(&mut cargo) {
            bail!("{package} does not build for {}: {why}", machine.target);
        }
    }
    Ok(())
}

/// Runs the tests of what is common to the images, and of this runner.
pub(crate) fn test() -> Result<(), String> {
    succeed(cargo("test").args([
        "--package",
        "images",
        "--package",
        "images-flash",
        "--package",
        "xtask",
        "--lib",
        "--bin",
        "xtask",
    ]))
}

/// Lets clippy look at the runner.
pub(crate) fn lint_runner() -> Result<(), String> {
    let mut clippy = cargo("clippy");
    succeed(clippy.args([
        "--package",
        "xtask",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Lets clippy look at the board and at `images` as they are for `machine`.
pub(crate) fn lint(images: &[&Image], machine: &Machine) -> Result<(), String> {
    let mut clippy = cargo("clippy");
    clippy.args(["--target", machine.target, "--package", "board"]);
    for image in images {
        clippy.args(["--package", &image.package, "--bin", &image.name]);
    }
    succeed(clippy.args(["--lib", "--", "-D", "warnings"]))
}

fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace())
        .args([verb, "--quiet", "--locked"]);
    cargo
}

fn succeed(cargo: &mut Command) -> Result<(), String> {
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo ended with {status}")),
        Err(error) => Err(format!("cargo does not start: {error}")),
    }
}

/// Where the built image lies.
pub(crate) fn elf(image: &Image, machine: &Machine, profile: Profile) -> PathBuf {
    workspace()
        .join("target")
        .join(machine.target)
        .join(profile.name())
        .join(&image.name)
}
