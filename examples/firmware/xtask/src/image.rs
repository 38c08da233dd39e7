//! Which images there are and what each wants: read from the source files, never listed.
//!
//! An image is a file `images*/src/bin/<name>.rs`. Lines `//@ key: words` at its top say what is special about it:
//!
//! | key | words | meaning |
//! |---|---|---|
//! | `machines` | QEMU names | runs on these only |
//! | `exit` | a code | ends with this code instead of 0 |
//! | `icount` | `yes` | one instruction is one nanosecond; sleeping takes no time |
//! | `drive` | a driver | the host has a part in it, mostly at the other end of the UART, see `drive.rs` |
//! | `expects` | files of the project | says what they say one after the other, spaces aside, instead of `.out` |
//! | `secret` | any text | must not be in what the image says (may be repeated) |
//! | `gates` | `panic`, `float`, `division` | no such code may be in it, see `gates.rs` |
//! | `complete` | a folder of the project | it names every public function of the library there (may be repeated) |
//! | `size` | `<what> above <image>` | the size table has a line for what it adds to that image |
//! | `ram` | `yes` | its statics named `RAM_…` are figures |
//! | `figures` | `s`, `fast` | prints figures when built with that profile; `measure` runs it, `run` does not |

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    gates::Gate,
    machine::{self, MACHINES, Machine},
};

/// One image, as its file describes it.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// The package whose binary it is.
    pub(crate) package: String,
    /// Its source file.
    pub(crate) source: PathBuf,
    pub(crate) wants: Wants,
}

/// What the lines at the top of the file ask for.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    machines: Vec<String>,
    pub(crate) exit: i32,
    pub(crate) icount: bool,
    pub(crate) drive: Option<String>,
    pub(crate) expects: Vec<String>,
    pub(crate) secrets: Vec<String>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) complete: Vec<String>,
    pub(crate) size: Option<Size>,
    pub(crate) ram: bool,
    pub(crate) figures: Vec<Profile>,
}

/// A line of the size table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) what: String,
    pub(crate) above: String,
}

/// How an image is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// `opt-level = "s"`, what a product ships.
    Small,
    /// `opt-level = 3`.
    Fast,
}

impl Image {
    /// The machines it is built for and runs on.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &'static Machine> {
        MACHINES.iter().filter(|machine| {
            let machines = &self.wants.machines;
            machines.is_empty() || machines.iter().any(|name| name == machine.name)
        })
    }

    /// Tells whether it is built for `machine`.
    pub(crate) fn fits(&self, machine: &Machine) -> bool {
        self.machines().any(|fitting| fitting.name == machine.name)
    }
}

/// Finds all images below `workspace`, by name.
pub(crate) fn discover(workspace: &Path) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for entry in fs::read_dir(workspace)? {
        let folder = entry?.path();
        let package = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let binaries = folder.join("src/bin");
        if !package.starts_with("images") || !binaries.is_dir() {
            continue;
        }
        for entry in fs::read_dir(binaries)? {
            let source = entry?.path();
            if source
                .extension()
                .is_some_and(|extension| extension == "rs")
            {
                let name = source
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let text = fs::read_to_string(&source)?;
                let wants = parse(&text).with_context(|| source.display().to_string())?;
                images.push(Image {
                    name,
                    package: package.clone(),
                    source,
                    wants,
                });
            }
        }
    }
    images.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in images.windows(2) {
        if let [first, second] = pair
            && first.name == second.name
        {
            bail!("two images are named {}", first.name);
        }
    }
    Ok(images)
}

/// Reads the `//@` lines of a source file.
fn parse(text: &str) -> Result<Wants> {
    let mut wants = Wants::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("//@")) {
        let (key, value) = line
            .split_once(':')
            .with_context(|| format!("`{line}`: no colon"))?;
        let (key, value) = (key.trim(), value.trim());
        let mut words = value.split_whitespace();
        match key {
            "machines" => {
                for word in words {
                    machine::named(word).with_context(|| format!("no machine {word}"))?;
                    wants.machines.push(word.to_owned());
                }
            }
            "exit" => wants.exit = value.parse().context("exit wants a number")?,
            "icount" if value == "yes" => wants.icount = true,
            "ram" if value == "yes" => wants.ram = true,
            "expects" => wants.expects = words.map(str::to_owned).collect(),
            "drive" => wants.drive = Some(value.to_owned()),
            "secret" => wants.secrets.push(value.to_owned()),
            "complete" => wants.complete.push(value.to_owned()),
            "gates" => wants.gates = words.map(Gate::named).collect::<Result<_>>()?,
            "size" => {
                let (what, above) = value
                    .split_once(" above ")
                    .context("size: `<what> above <image>`")?;
                wants.size = Some(Size {
                    what: what.to_owned(),
                    above: above.to_owned(),
                });
            }
            "figures" => {
                wants.figures = words.try_fold(Vec::new(), |mut profiles, word| {
                    profiles.push(Profile::named(word)?);
                    anyhow::Ok(profiles)
                })?;
            }
            _ => bail!("`{line}`: no such key, or no such value for it"),
        }
    }
    Ok(wants)
}

impl Profile {
    /// Cargo's name for it, which is also that of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "release",
            Self::Fast => "fast",
        }
    }

    /// The optimization, as figures name it.
    pub(crate) fn opt_level(self) -> &'static str {
        match self {
            Self::Small => "opt-level s",
            Self::Fast => "opt-level 3",
        }
    }

    fn named(word: &str) -> Result<Self> {
        match word {
            "s" => Ok(Self::Small),
            "fast" => Ok(Self::Fast),
            _ => bail!("no profile {word}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_an_image_wants_and_leaves_the_rest_as_it_is() {
        let wants =
            parse("//@ exit: 7\n//@ size: the decision above empty\n//! Doc.\nfn x() {}").unwrap();
        assert_eq!(wants.exit, 7);
        let size = Size {
            what: "the decision".to_owned(),
            above: "empty".to_owned(),
        };
        assert_eq!(wants.size, Some(size));
        assert!(wants.gates.is_empty() && !wants.icount);
    }

    #[test]
    fn refuses_keys_words_and_machines_it_does_not_know() {
        for line in [
            "//@ exits: 7",
            "//@ icount: no",
            "//@ gates: panics",
            "//@ machines: pdp11",
            "//@ exit 7",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn finds_the_images_of_this_workspace_each_with_a_machine() {
        let images = discover(&crate::workspace()).unwrap();
        assert!(images.iter().any(|image| image.name == "hello"));
        for image in &images {
            assert!(image.machines().next().is_some(), "{}", image.name);
        }
    }
}
