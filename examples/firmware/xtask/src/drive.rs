//! The host's part in what an image does: mostly the other end of its UART, a Unix socket that we listen on and QEMU
//! connects to.

mod api_client;
mod echo;
mod gateway;
mod power_loss;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    machine::Machine,
    qemu::{Emulator, Options, Outcome},
};

/// Runs `elf` with `driver` at the other end of its UART, until the image ends.
pub(crate) fn run(driver: &str, machine: &Machine, elf: &Path) -> Result<Outcome> {
    let talk: fn(&mut Serial, &Machine) -> Result<()> = match driver {
        "api_client" => api_client::talk,
        "echo" => |serial, _| echo::talk(serial),
        // Not one run but many, and no serial line.
        "power_loss" => return power_loss::run(machine, elf),
        "gateway" => |serial, _| gateway::talk(serial),
        _ => bail!("no driver {driver}"),
    };
    let socket = Socket::listen(machine)?;
    let options = Options {
        serial: Some(&socket.path),
        ..Options::default()
    };
    let emulator = Emulator::start(machine, elf, &options)?;
    let mut serial = socket.accept()?;
    // What is sent before the image has configured its port is lost, as on a real wire.
    ensure!(
        serial.line()? == READY,
        "the image does not begin with `{READY}`"
    );
    if let Err(error) = talk(&mut serial, machine) {
        return Err(error.context(format!("the image had said `{}`", emulator.abandon())));
    }
    // The line stays connected until the image ends: the emulator drops what it has not read when we hang up.
    emulator.finish()
}

/// A connected UART.
struct Serial {
    from_image: BufReader<UnixStream>,
    to_image: UnixStream,
}

impl Serial {
    /// Sends bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.to_image
            .write_all(bytes)
            .context("the image does not take what is sent")
    }

    /// Waits for the next line, at most [`PATIENCE`]; returns it without its end.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.from_image
            .read_line(&mut line)
            .context("the image does not answer")?;
        let Some(text) = line.strip_suffix('\n') else {
            bail!("the image hung up after `{line}`")
        };
        Ok(text.to_owned())
    }
}

/// A listening socket, removed when dropped.
struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    fn listen(machine: &Machine) -> Result<Self> {
        let path = env::temp_dir().join(format!("uart-{}-{}.sock", process::id(), machine.name));
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, listener })
    }

    /// Waits for the emulator to connect, at most [`PATIENCE`].
    fn accept(&self) -> Result<Serial> {
        let listener = self.listener.try_clone()?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(listener.accept()));
        let (stream, _) = receiver
            .recv_timeout(PATIENCE)
            .context("the emulator does not connect")??;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Serial {
            from_image: BufReader::new(stream.try_clone()?),
            to_image: stream,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = fs::remove_file(&self.path);
    }
}

/// The first line of every image that is driven.
const READY: &str = "ready";
/// Longer than any answer takes, so that it shows only in a failure.
const PATIENCE: Duration = Duration::from_secs(30);
