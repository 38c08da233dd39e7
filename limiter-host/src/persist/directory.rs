//! Where images are kept: a directory with two generations of them.
//!
//! An image is written to a new file, brought to the disk, and renamed to the one of two names
//! that does not hold the last image that was stored; then the directory is brought to the disk. So
//! at any moment the newest image that was stored is there whole, and the one before it too, however
//! many writes have failed. This file knows no limiter.

use super::folder::{self, Folder};
use super::warning::Warning;
use limiter_core::snapshot::{self, Image};
use limiter_core::{HashKey, RestoreError};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that keeps images. [`Directory`] is one.
pub trait Storage: Send + 'static {
    /// Stores an image, whole and for good, so that no earlier one is damaged if that fails.
    ///
    /// # Errors
    ///
    /// Whatever the system says; what was stored before is still there.
    fn store(&mut self, _: u64, image: &[u8]) -> io::Result<()>;
}

/// A directory that this process alone uses, as long as a clone of this lives.
#[derive(Clone, Debug)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The generation of the last image that was stored.
    newest: Option<usize>,
    /// True if the key was made by this process.
    is_new: bool,
    warnings: Vec<Warning>,
}

impl Directory {
    /// Opens a directory, and makes it if there is none, for this user alone. One that was used
    /// before may be read-only: then every write fails.
    ///
    /// The directory itself is locked, so no file in it matters for that. Permissions of others are
    /// taken away if it is empty or was used before; see [`Directory::warnings`].
    ///
    /// # Errors
    ///
    /// [`io::Error`]: it cannot be made, another process has it ([`io::ErrorKind::WouldBlock`]), or
    /// others may write to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (folder, warning) = Folder::open(path)?;
        let known = Known {
            warnings: warning.into_iter().collect(),
            ..Known::default()
        };
        Ok(Self {
            shared: Arc::new(Shared {
                folder,
                known: Mutex::new(known),
            }),
        })
    }

    /// The hash key of the directory's images, which only the owner may read. At the first start
    /// it is what `random` gives, stored before any image is; it is never changed.
    ///
    /// # Errors
    ///
    /// [`io::Error`]: the file cannot be read or written, is no plain file, is no key, is gone though
    /// there are images made under it, or there is no randomness.
    pub fn key(&self, random: impl FnOnce() -> Option<[u8; 16]>) -> io::Result<HashKey> {
        let folder = &self.shared.folder;
        let path = folder.path().join(KEY);
        let wrong = |what: &dyn fmt::Display| {
            let what = format!("{}: {what}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        match folder.read(KEY, 1 << 10) {
            Ok((bytes, file)) => {
                let key: Result<[u8; 16], _> = bytes.try_into();
                let key = key.map_err(|_| wrong(&"a key has 16 bytes"))?;
                let warning = folder::close_file_to_others(path, &file)?;
                self.lock().warnings.extend(warning);
                Ok(HashKey::new(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if GENERATIONS.iter().any(|name| folder.holds(name)) {
                    return Err(wrong(
                        &"is gone, and the images beside it were made under it; put it back, or \
                          remove the images, and every count begins at 0",
                    ));
                }
                let key = random().ok_or_else(|| io::Error::other("there is no randomness"))?;
                folder.replace(KEY, &key)?;
                self.lock().is_new = true;
                Ok(HashKey::new(key))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(wrong(&error)),
            Err(error) => Err(error),
        }
    }

    /// Looks for the newest image that is whole. Do so before the first [`Storage::store`], which
    /// writes where that is not.
    #[must_use]
    pub fn load(&self, key: &HashKey) -> Found {
        let (mut whole, mut flaws, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for (generation, name) in GENERATIONS.iter().enumerate() {
            let file = self.shared.folder.path().join(name);
            match self.shared.folder.read(name, LARGEST) {
                Ok((bytes, _)) => {
                    match Image::verify(&bytes, key).map(|image| image.header().number) {
                        Ok(number) => whole.push((number, generation, bytes)),
                        Err(error) => flaws.push(Flaw {
                            file,
                            why: Why::Image(error),
                        }),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(Flaw {
                    file,
                    why: Why::Missing,
                }),
                Err(error) => flaws.push(Flaw {
                    file,
                    why: Why::File(error.to_string()),
                }),
            }
        }
        let mut known = self.lock();
        let newest = whole.into_iter().max_by_key(|(number, ..)| *number);
        known.newest = newest.as_ref().map(|(_, generation, _)| *generation);
        match newest {
            Some((number, _, image)) => {
                // The first image ever is alone.
                if number > 1 {
                    flaws.append(&mut missing);
                }
                Found::Whole { image, flaws }
            }
            None if flaws.is_empty() => {
                if !known.is_new && self.shared.folder.holds(KEY) {
                    let path = self.shared.folder.path().to_owned();
                    known.warnings.push(Warning::NoImages { path });
                }
                Found::Nothing
            }
            None => Found::Broken { flaws },
        }
    }

    /// Findings so far: permissions of others, and images that are gone.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.lock().warnings.clone()
    }

    /// A panic while it is held leaves nothing half-changed.
    fn lock(&self) -> MutexGuard<'_, Known> {
        let known = self.shared.known.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Directory {
    fn store(&mut self, _: u64, image: &[u8]) -> io::Result<()> {
        let mut known = self.lock();
        let generation = match known.newest {
            Some(newest) => 1 - newest,
            None => 0,
        };
        self.shared.folder.replace(GENERATIONS[generation], image)?;
        known.newest = Some(generation);
        Ok(())
    }
}

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No image: a new device (R5).
    Nothing,
    /// A whole image.
    Whole {
        /// Its bytes.
        image: Vec<u8>,
        /// The other generation, if that is not whole or gone. It may have been the newer one.
        flaws: Vec<Flaw>,
    },
    /// Something, but nothing whole (R5).
    Broken {
        /// What is wrong with each file.
        flaws: Vec<Flaw>,
    },
}

impl Found {
    /// What is not as it should be.
    #[must_use]
    pub fn flaws(&self) -> &[Flaw] {
        match self {
            Self::Nothing => &[],
            Self::Whole { flaws, .. } | Self::Broken { flaws } => flaws,
        }
    }
}

/// A file that is no whole image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    file: PathBuf,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Image(RestoreError),
    Missing,
    File(String),
}

impl Flaw {
    /// Whether the image was made under another hash key (R1).
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.why == Why::Image(RestoreError::Foreign)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match &self.why {
            Why::Image(error) => error.fmt(f),
            Why::Missing => f.write_str("is gone"),
            Why::File(error) => f.write_str(error),
        }
    }
}

const KEY: &str = "key";
const GENERATIONS: [&str; 2] = ["image-0", "image-1"];
/// No image is larger.
#[allow(clippy::as_conversions, reason = "`u64::try_from` is not const")]
const LARGEST: u64 = snapshot::size(1 << 24, 1 << 24) as u64;
