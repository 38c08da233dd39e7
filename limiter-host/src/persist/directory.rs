//! Where images are kept: a directory with two generations of them.
//!
//! An image is written to a file of its own, brought to the disk, and renamed to the older of two
//! names; then the directory is brought to the disk. So at any moment the newest image that was
//! stored is there whole, and the one before it too. This file knows no limiter.

use limiter_core::snapshot::Image;
use limiter_core::{HashKey, RestoreError};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something that keeps images. [`Directory`] is one.
pub trait Storage: Send + 'static {
    /// Stores an image, whole and for good, so that no earlier one is damaged if that fails.
    ///
    /// # Errors
    ///
    /// Whatever the system says; what was stored before is still there.
    fn store(&mut self, number: u64, image: &[u8]) -> io::Result<()>;
}

/// A directory that this process alone uses, as long as a clone of this lives.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: Arc<File>,
}

impl Directory {
    /// Opens a directory, and makes it if there is none. One that was used before may be read-only:
    /// then every write fails.
    ///
    /// # Errors
    ///
    /// [`io::Error`]: it cannot be made, or another process has it
    /// ([`io::ErrorKind::WouldBlock`]).
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let file = path.join("lock");
        if !file.exists() {
            let mut options = OpenOptions::new();
            drop(options.create(true).append(true).open(&file)?);
        }
        // For reading: on a read-only disk too, and the disk may be made read-only meanwhile.
        let lock = File::open(&file)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process uses it")
            }
            TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Arc::new(lock),
        })
    }

    /// The hash key of the directory's images, which only the owner may read. At the first start
    /// it is what `random` gives, stored before any image is; it is never changed.
    ///
    /// # Errors
    ///
    /// [`io::Error`]: the file cannot be read or written, is no key, is gone though there are images
    /// made under it, or there is no randomness.
    pub fn key(&self, random: impl FnOnce() -> Option<[u8; 16]>) -> io::Result<HashKey> {
        let file = self.path.join("key");
        match fs::read(&file) {
            Ok(bytes) => {
                let key: Result<[u8; 16], _> = bytes.try_into();
                key.map(HashKey::new).map_err(|_| {
                    let what = format!("{}: a key has 16 bytes", file.display());
                    io::Error::new(io::ErrorKind::InvalidData, what)
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if (0..2).any(|generation| self.generation(generation).exists()) {
                    let what = format!(
                        "{}: is gone, and the images beside it were made under it; put it back, or \
                         remove the images, and every count begins at 0",
                        file.display()
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                let key = random().ok_or_else(|| io::Error::other("there is no randomness"))?;
                self.replace(&file, &key)?;
                Ok(HashKey::new(key))
            }
            Err(error) => Err(error),
        }
    }

    /// Looks for the newest image that is whole.
    #[must_use]
    pub fn load(&self, key: &HashKey) -> Found {
        let (mut whole, mut flaws) = (Vec::new(), Vec::new());
        for generation in 0..2 {
            let file = self.generation(generation);
            match fs::read(&file) {
                Ok(bytes) => match Image::verify(&bytes, key).map(|image| image.header().number) {
                    Ok(number) => whole.push((number, bytes)),
                    Err(error) => flaws.push(Flaw {
                        file,
                        why: Why::Image(error),
                    }),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => flaws.push(Flaw {
                    file,
                    why: Why::File(error.to_string()),
                }),
            }
        }
        let newest = whole.into_iter().max_by_key(|(number, _)| *number);
        match newest {
            Some((_, image)) => Found::Whole { image, flaws },
            None if flaws.is_empty() => Found::Nothing,
            None => Found::Broken { flaws },
        }
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.path.join(if number.is_multiple_of(2) {
            "image-0"
        } else {
            "image-1"
        })
    }

    /// Puts a file in the place of another, whole or not at all.
    fn replace(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = file.with_extension("new");
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut new = options.open(&temporary)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        drop(new);
        fs::rename(&temporary, file)?;
        // Elsewhere a directory cannot be opened, and a rename is brought to the disk by itself.
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }
}

impl Storage for Directory {
    fn store(&mut self, number: u64, image: &[u8]) -> io::Result<()> {
        self.replace(&self.generation(number), image)
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
        /// The other generation, if that is not whole. It may have been the newer one.
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
            Why::File(error) => f.write_str(error),
        }
    }
}
