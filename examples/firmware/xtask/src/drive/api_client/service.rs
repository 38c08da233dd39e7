//! The gateway of the host's workspace, as a process on this machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::message::Message;
use crate::{drive::PATIENCE, project};

/// A gateway that answers by itself and knows the demo's tokens; killed when dropped.
pub(super) struct Service {
    process: Child,
    /// Host and port.
    address: String,
}

impl Service {
    /// Builds and starts one on a free port.
    pub(super) fn start() -> Result<Self> {
        let program = build()?;
        let mut process = Command::new(&program)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut service = Self {
            process,
            address: String::new(),
        };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // The receiver may have lost its patience.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let line = receiver
            .recv_timeout(PATIENCE)
            .context("the gateway does not say where it listens")?;
        service.address = address(&line)
            .with_context(|| format!("no address in `{line}`"))?
            .to_owned();
        Ok(service)
    }

    /// Connects to it.
    pub(super) fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address)
            .with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection {
            from_service: BufReader::new(stream.try_clone()?),
            to_service: stream,
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that stays open.
pub(super) struct Connection {
    from_service: BufReader<TcpStream>,
    to_service: TcpStream,
}

impl Connection {
    /// Sends a request and waits for its answer.
    pub(super) fn exchange(&mut self, request: &Message) -> Result<Message> {
        self.to_service
            .write_all(&request.bytes)
            .context("the gateway does not take a request")?;
        Message::read(&mut self.from_service).context("the gateway does not answer")
    }
}

/// Builds the gateway as the host's tests do, unoptimised; returns its path.
fn build() -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .current_dir(project())
        .args(["build", "--quiet", "--locked", "--package", "gateway"])
        .args(["--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(output.status.success(), "the gateway does not build");
    for line in output.stdout.lines() {
        let message: serde_json::Value = serde_json::from_str(&line?)?;
        if let Some(program) = message["executable"].as_str()
            && Path::new(program).file_stem() == Some("gateway".as_ref())
        {
            return Ok(program.into());
        }
    }
    bail!("cargo does not say where the gateway is")
}

/// Takes host and port out of the gateway's first line.
fn address(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("listening on http://")?;
    rest.split(',').next().filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_the_welcome() {
        let line = "gateway: listening on http://127.0.0.1:8080, answering by itself";
        assert_eq!(address(line), Some("127.0.0.1:8080"));
        assert_eq!(address("gateway: cannot listen"), None);
    }
}
