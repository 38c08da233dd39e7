//! The host beyond the console: a file of its, and the words that it starts an image with.

use core::{ffi::CStr, str};

use semihosting::{
    experimental::env,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

/// A file of the host, open for reading and writing. What is written is the host's at once: it outlives the emulator.
pub struct HostFile(File);

impl HostFile {
    /// Opens a file that is there; `None` if it is not, or if its path is longer than 255 bytes.
    pub fn open(path: &str) -> Option<Self> {
        let mut buffer = [0; 256];
        // The byte after it stays 0.
        buffer
            .get_mut(..path.len())
            .filter(|_| path.len() < 256)?
            .copy_from_slice(path.as_bytes());
        let path = CStr::from_bytes_until_nul(&buffer).ok()?;
        let file = File::options().read(true).write(true).open(path).ok()?;
        Some(Self(file))
    }

    /// Fills `bytes` from `at` on; `None` if they are not all there.
    pub fn read(&mut self, at: u32, bytes: &mut [u8]) -> Option<()> {
        self.0.seek(SeekFrom::Start(u64::from(at))).ok()?;
        self.0.read_exact(bytes).ok()
    }

    /// Writes `bytes` from `at` on; `None` if not all were written.
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Option<()> {
        self.0.seek(SeekFrom::Start(u64::from(at))).ok()?;
        self.0.write_all(bytes).ok()
    }
}

/// The words that the host started the image with, 511 bytes at most.
pub struct Arguments(env::Args<512>);

impl Arguments {
    /// Reads them; `None` if there are none, or too many.
    pub fn read() -> Option<Self> {
        env::args().ok().map(Self)
    }

    /// One after the other; one that is no text ends them.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        (&self.0).map_while(Result::<&str, str::Utf8Error>::ok)
    }
}
