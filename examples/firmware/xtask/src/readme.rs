//! Builds the firmware that the README shows, out of the README's text: its manifest, its linker script, its program.
//!
//! A reader copies these three blocks; so does this file, into a separate project, where only the library is taken
//! from here and not from the registry.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{project, workspace};

/// Builds it for a Cortex-M0 and a Cortex-M3.
pub(crate) fn build() -> Result<(), String> {
    write()
        .and_then(|folder| {
            TARGETS
                .iter()
                .try_for_each(|target| compile(&folder, target))
        })
        .map_err(|error| format!("{error:#}"))
}

fn write() -> Result<std::path::PathBuf> {
    let readme = fs::read_to_string(workspace().join("README.md")).context("README.md")?;
    let (_, text) = readme
        .split_once(HEADING)
        .with_context(|| format!("no `{HEADING}`"))?;
    let block = |language| block(text, language).with_context(|| format!("no {language} block"));
    let folder = workspace().join("target/readme");
    fs::create_dir_all(folder.join("src"))?;
    let core = project().join("limiter-core");
    let manifest = format!(
        "[package]\nname = \"readme\"\nedition = \"2024\"\n\n{}\n[profile.dev]\nopt-level = \"s\"\n\n\
         [workspace]\n\n[patch.crates-io]\nlimiter-core = {{ path = {:?} }}\n",
        block("toml")?,
        core.canonicalize()?,
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("memory.x"), block("text")?)?;
    fs::write(folder.join("src/main.rs"), block("rust")?)?;
    Ok(folder)
}

fn compile(folder: &Path, target: &str) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .current_dir(folder)
        .env("RUSTFLAGS", "-D warnings -C link-arg=-Tlink.x")
        .args(["build", "--quiet", "--target", target])
        .status()
        .context("cargo does not start")?;
    ensure!(status.success(), "it does not build for {target}");
    Ok(())
}

/// The first block of a language.
fn block<'a>(text: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("```{language}\n"))?;
    Some(rest.split_once("\n```")?.0)
}

const HEADING: &str = "## In a project of your own";
const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7m-none-eabi"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_block_of_a_language() {
        let text = "```toml\na = 1\n```\n```rust\nfn main() {}\n// end\n```\n```rust\nother\n```\n";
        assert_eq!(block(text, "rust"), Some("fn main() {}\n// end"));
        assert_eq!(block(text, "toml"), Some("a = 1"));
        assert_eq!(block(text, "text"), None);
    }
}
