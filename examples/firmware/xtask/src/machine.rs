//! The five machines (see `board/machines.rs`, which the board's build script reads too).

use std::path::Path;

use anyhow::{Context as _, Result};

include!("../../board/machines.rs");

/// Finds the machine by QEMU's name for it.
pub(crate) fn named(name: &str) -> Option<&'static Machine> {
    MACHINES.iter().find(|machine| machine.name == name)
}

/// Finds the machine that an ELF below `target/<target>/` is built for.
pub(crate) fn of_elf(elf: &Path) -> Result<&'static Machine> {
    MACHINES
        .iter()
        .find(|machine| {
            elf.components()
                .any(|part| part.as_os_str() == machine.target)
        })
        .with_context(|| format!("no folder of {} is a known target", elf.display()))
}
