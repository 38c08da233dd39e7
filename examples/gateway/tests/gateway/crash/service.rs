//! The server behind the gateway, which outlives it: what reaches it was admitted, whatever the
//! client got to know of that.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A server that counts the requests for each `/USER`.
pub(super) struct Service {
    pub(super) url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    requests: Vec<u32>,
    connections: usize,
    /// Whose connection was accepted last.
    last: Option<SocketAddr>,
}

impl Service {
    pub(super) fn start(users: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                requests: vec![0; users],
                connections: 0,
                last: None,
            }),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, stream) = (Arc::clone(&serving), stream.unwrap());
                let mut seen = serving.seen.lock().unwrap();
                (seen.connections, seen.last) = (seen.connections + 1, stream.peer_addr().ok());
                drop(seen);
                serving.changed.notify_all();
                std::thread::spawn(move || {
                    // The gateway is killed amid a request now and then.
                    let _ = serve(stream, &shared);
                    shared.seen.lock().unwrap().connections -= 1;
                    shared.changed.notify_all();
                });
            }
        });
        Self {
            url: format!("http://{address}"),
            address,
            shared,
        }
    }

    /// Requests by user, once all that was sent by a gateway that is gone has come.
    pub(super) fn settled(&self) -> Vec<u32> {
        // Connections wait in a row to be accepted: behind this one there is none of the gateway's.
        let last = TcpStream::connect(self.address).unwrap();
        let local = last.local_addr().ok();
        let seen = self.shared.seen.lock().unwrap();
        let waits = |seen: &mut Seen| seen.last != local;
        let seen = self.shared.changed.wait_while(seen, waits).unwrap();
        drop(last);
        let is_served = |seen: &mut Seen| seen.connections > 0;
        let seen = self.shared.changed.wait_while(seen, is_served).unwrap();
        seen.requests.clone()
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
        }
        let path = first.split(' ').nth(1).unwrap();
        let user: usize = path.trim_start_matches('/').parse().unwrap();
        shared.seen.lock().unwrap().requests[user] += 1;
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
