//! Callers who write as fast as they are answered, until the gateway is gone or their day is spent.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};

/// How far all callers together have come.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    answered: usize,
    gone: usize,
}

impl Progress {
    /// Waits until so many requests are answered, or so many callers have gone.
    pub(super) fn wait(&self, answered: usize, callers: usize) {
        let state = self.state.lock().unwrap();
        let goes_on = |state: &mut State| state.answered < answered && state.gone < callers;
        drop(self.changed.wait_while(state, goes_on).unwrap());
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

/// What a caller got to know.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What was left of the day, by each admission.
    pub(super) left: Vec<u32>,
    /// Whether a request of his was under way when the gateway went.
    pub(super) in_flight: bool,
    /// Whether he was told that the day is spent.
    pub(super) is_spent: bool,
}

/// Writes for a user until the gateway is gone, or refuses since the day is spent.
pub(super) fn write(address: &str, user: usize, progress: &Progress) -> Known {
    let mut known = Known::default();
    let mut ask = || -> io::Result<()> {
        let mut caller = Caller::connect(address, user)?;
        loop {
            known.in_flight = true;
            let answer = caller.post()?;
            known.in_flight = false;
            match answer {
                Answer::Admitted(left) => known.left.push(left),
                Answer::Spent => {
                    known.is_spent = true;
                    return Ok(());
                }
            }
            progress.note(|state| state.answered += 1);
        }
    };
    // An error is the gateway's end.
    let _ = ask();
    progress.note(|state| state.gone += 1);
    known
}

pub(super) struct Caller {
    stream: BufReader<TcpStream>,
    request: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What is left of the day.
    Admitted(u32),
    Spent,
}

impl Caller {
    pub(super) fn connect(address: &str, user: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            request: format!(
                "POST /{user} HTTP/1.1\r\nhost: h\r\nx-api-token: token-{user}\r\n\r\n"
            ),
        })
    }

    pub(super) fn post(&mut self) -> io::Result<Answer> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let (mut status, mut left, mut length) = (0, None, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !line.ends_with("\r\n") {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(code) = line.strip_prefix("HTTP/1.1 ") {
                status = code[..3].parse().unwrap();
            } else if let Some((name, value)) = line.trim_end().split_once(": ") {
                match name {
                    "x-daily-requests-left" => left = Some(value.parse().unwrap()),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            } else {
                break;
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        match (status, left) {
            (200, Some(left)) => Ok(Answer::Admitted(left)),
            (429, Some(0)) => Ok(Answer::Spent),
            other => panic!("answered {other:?}"),
        }
    }
}
