//! Builds images with cargo: one call per machine, package and profile, for all images of it at once.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

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
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(workspace())
            .args(["build", "--quiet", "--locked", "--package", package]);
        cargo.args(["--target", machine.target, "--profile", profile.name()]);
        for name in names {
            cargo.args(["--bin", name]);
        }
        // The log points of a defmt image are chosen when it is compiled.
        cargo.env("DEFMT_LOG", "trace");
        let status = cargo.status().context("cargo does not start")?;
        if !status.success() {
            bail!("{package} does not build for {}", machine.target);
        }
    }
    Ok(())
}

/// Where the built image lies.
pub(crate) fn elf(image: &Image, machine: &Machine, profile: Profile) -> PathBuf {
    workspace()
        .join("target")
        .join(machine.target)
        .join(profile.name())
        .join(&image.name)
}
