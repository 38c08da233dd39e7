//! Runs one image in the emulator, within bounds.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{machine::Machine, workspace};

/// An image in the emulator; killed when dropped.
pub(crate) struct Emulator {
    process: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it wrote through semihosting, raw.
    pub(crate) stdout: Vec<u8>,
    /// What the emulator complained about.
    pub(crate) stderr: String,
    /// The code the image ended with.
    pub(crate) code: i32,
}

/// What is special about a run.
#[derive(Default)]
pub(crate) struct Options<'a> {
    /// One instruction takes one nanosecond of the machine's time, and sleeping takes none of ours.
    pub(crate) icount: bool,
    /// The Unix socket, listened to by us, that becomes the first UART.
    pub(crate) serial: Option<&'a Path>,
    /// The words that the image finds in its command line; without a comma.
    pub(crate) arguments: &'a [String],
    /// The file that every executed instruction is logged to.
    pub(crate) trace: Option<&'a Path>,
}

impl Emulator {
    /// Starts `elf` on `machine`.
    pub(crate) fn start(machine: &Machine, elf: &Path, options: &Options<'_>) -> Result<Self> {
        let mut qemu = Command::new(program(machine));
        qemu.args(["-machine", machine.name]).args(machine.args);
        qemu.args(["-display", "none", "-monitor", "none"]);
        let words: String = options
            .arguments
            .iter()
            .map(|word| format!(",arg={word}"))
            .collect();
        qemu.arg("-semihosting-config")
            .arg(format!("enable=on,target=native{words}"));
        match options.serial {
            Some(socket) => qemu
                .arg("-serial")
                .arg(format!("unix:{}", socket.display())),
            None => qemu.args(["-serial", "null"]),
        };
        if options.icount {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        if let Some(trace) = options.trace {
            qemu.args(["-singlestep", "-d", "exec,nochain", "-D"])
                .arg(trace);
        }
        qemu.arg("-kernel").arg(elf);
        qemu.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());

        let mut process = qemu
            .spawn()
            .with_context(|| format!("{} does not start; has setup.sh been run?", machine.qemu))?;
        let stdout = forward(process.stdout.take().context("stdout is piped")?);
        let stderr = forward(process.stderr.take().context("stderr is piped")?);
        Ok(Self {
            process,
            stdout,
            stderr,
        })
    }

    /// Kills the image once it has said so many bytes, unless it ends before; the code is -1 then.
    pub(crate) fn kill_after(mut self, bytes: usize) -> Result<Outcome> {
        let mut stdout = Vec::new();
        while stdout.len() < bytes {
            match self.stdout.recv_timeout(SILENCE) {
                Ok(chunk) => stdout.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("silent for {} s", SILENCE.as_secs()),
            }
        }
        // Fails only if it has already ended.
        let _ = self.process.kill();
        stdout.extend(collect(&self.stdout)?);
        let stderr = String::from_utf8_lossy(&collect(&self.stderr)?).into_owned();
        let code = self.process.wait()?.code().unwrap_or(-1);
        Ok(Outcome {
            stdout,
            stderr,
            code,
        })
    }

    /// Kills the image; returns what it had said.
    pub(crate) fn abandon(mut self) -> String {
        // Fails only if it has already ended; then nothing is missing.
        let _ = self.process.kill();
        let said: Vec<u8> = self.stdout.iter().flatten().collect();
        String::from_utf8_lossy(&said).trim_end().to_owned()
    }

    /// Waits until the image ends.
    ///
    /// # Errors
    ///
    /// If it is silent for [`SILENCE`] or says more than [`OUTPUT_BYTES`]: then it is taken to hang.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        let stdout = collect(&self.stdout)?;
        let stderr = String::from_utf8_lossy(&collect(&self.stderr)?).into_owned();
        let code = self
            .process
            .wait()?
            .code()
            .context("the emulator was killed")?;
        Ok(Outcome {
            stdout,
            stderr,
            code,
        })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The emulator: the one that `setup.sh` keeps here, or the system's.
fn program(machine: &Machine) -> PathBuf {
    let kept = workspace().join("target/tools").join(machine.qemu);
    if kept.exists() {
        kept
    } else {
        machine.qemu.into()
    }
}

/// Reads `pipe` on a thread of its own, so that waiting for it can be bounded.
fn forward(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn collect(pipe: &Receiver<Vec<u8>>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match pipe.recv_timeout(SILENCE) {
            Ok(chunk) => bytes.extend(chunk),
            Err(RecvTimeoutError::Disconnected) => return Ok(bytes),
            Err(RecvTimeoutError::Timeout) => {
                let said = String::from_utf8_lossy(&bytes);
                bail!(
                    "silent for {} s; before that it said: {said}",
                    SILENCE.as_secs()
                );
            }
        }
        if bytes.len() > OUTPUT_BYTES {
            bail!("says more than {OUTPUT_BYTES} bytes");
        }
    }
}

/// No image computes this long between two words.
const SILENCE: Duration = Duration::from_secs(60);
/// No image says more.
const OUTPUT_BYTES: usize = 4 << 20;
