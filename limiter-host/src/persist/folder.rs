//! A directory that one process has, and its files, on a system where others may have put anything
//! into it: links, pipes, devices, files with a second name.
//!
//! The directory is opened once, locked itself, and everything below is opened relative to it. What
//! is read must be a plain file with one name, opened without following a link and without waiting
//! for another process; what is written is a new file, moved into its place.

use super::warning::Warning;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A directory that this process alone uses, as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked.
    handle: File,
}

impl Folder {
    /// Opens a directory for this process alone, and makes it if there is none, readable for its
    /// owner alone. Says which permissions were not as they should be.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Warning>)> {
        make(path)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let handle = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        handle.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process uses it")
            }
            TryLockError::Error(error) => error,
        })?;
        let this = Self {
            path: path.to_owned(),
            handle,
        };
        let warning = this.close_to_others()?;
        Ok((this, warning))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for anything of this name.
    pub(super) fn holds(&self, name: &str) -> bool {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The bytes of a file, at most `most`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`]; it is no plain file, has a second name, or is larger.
    pub(super) fn read(&self, name: &str, most: u64) -> io::Result<(Vec<u8>, File)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.handle, name, flags, Mode::empty());
        let file = opened.map(File::from).map_err(|error| match error {
            rustix::io::Errno::LOOP => unusable("is a symbolic link"),
            error => error.into(),
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(unusable("is no plain file"));
        }
        if metadata.nlink() > 1 {
            return Err(unusable("has a second name (a hard link)"));
        }
        if metadata.len() > most {
            return Err(unusable("is too large"));
        }
        let mut bytes = Vec::new();
        (&file).take(most).read_to_end(&mut bytes)?;
        Ok((bytes, file))
    }

    /// Puts a file in the place of another, whole or not at all, and brings it to the disk.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.is_in_place()?;
        let new = format!("{name}.new");
        // Left by an earlier write, or put there by others: removed, and never written through.
        match rustix::fs::unlinkat(&self.handle, &*new, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.handle, &*new, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(opened?);
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        rustix::fs::renameat(&self.handle, &*new, &self.handle, name)?;
        self.handle.sync_all()
    }

    /// A file in a directory that is not found under its name any more would not be found at the
    /// next start either.
    fn is_in_place(&self) -> io::Result<()> {
        let (ours, there) = (self.handle.metadata()?, std::fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            Ok(())
        } else {
            Err(io::Error::other("another directory is in its place"))
        }
    }

    /// Takes others' permissions from a directory that is this process's own: one that is empty, or
    /// was used before.
    fn close_to_others(&self) -> io::Result<Option<Warning>> {
        let mode = self.handle.metadata()?.permissions().mode() & 0o7777;
        if mode & 0o077 == 0 {
            return Ok(None);
        }
        let is_own = self.holds("key") || std::fs::read_dir(&self.path)?.next().is_none();
        let is_closed = is_own
            && self
                .handle
                .set_permissions(Permissions::from_mode(0o700))
                .is_ok();
        if !is_closed && mode & 0o022 != 0 {
            return Err(unusable(&format!(
                "others may write to it (mode {mode:o}): name another directory, of mode 700"
            )));
        }
        Ok(Some(Warning::Permissions {
            path: self.path.clone(),
            mode,
            is_closed,
        }))
    }
}

/// Takes others' permissions from a file, if they have any; says what they were.
pub(super) fn close_file_to_others(path: PathBuf, file: &File) -> io::Result<Option<Warning>> {
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    let is_closed = file.set_permissions(Permissions::from_mode(0o600)).is_ok();
    Ok(Some(Warning::Permissions {
        path,
        mode,
        is_closed,
    }))
}

/// Makes a directory and those that lead to it, and brings them to the disk: else a power cut may
/// take all that is stored there.
fn make(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => File::open(parent)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A process that made it may have ended before this. Where that cannot be done, on a
            // disk that is read-only or below a directory that is closed, it was done long ago.
            if let Ok(parent) = File::open(parent) {
                let _ = parent.sync_all();
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent != Path::new(".") => {
            make(parent)?;
            make(path)
        }
        Err(error) => Err(error),
    }
}

fn unusable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
