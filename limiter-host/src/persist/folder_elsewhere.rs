//! A directory that one process has, and its files, on a system that is no Unix: there a rename is
//! brought to the disk by itself, and who may use a directory is for its owner to set.

use super::warning::Warning;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A directory that this process alone uses, as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Warning>)> {
        fs::create_dir_all(path)?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).append(true).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process uses it")
            }
            TryLockError::Error(error) => error,
        })?;
        let this = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((this, None))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    pub(super) fn read(&self, name: &str, most: u64) -> io::Result<(Vec<u8>, File)> {
        let file = File::open(self.path.join(name))?;
        let mut bytes = Vec::new();
        (&file).take(most).read_to_end(&mut bytes)?;
        Ok((bytes, file))
    }

    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(new, self.path.join(name))
    }
}

pub(super) fn close_file_to_others(_: PathBuf, _: &File) -> io::Result<Option<Warning>> {
    Ok(None)
}
