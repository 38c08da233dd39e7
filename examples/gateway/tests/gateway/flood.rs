//! Ten thousand connections that ask for nothing, and a gateway that goes on serving.
#![cfg(target_os = "linux")]

use crate::program::Program;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\nx-api-token: demo-oauth-enterprise\r\n\r\n";

/// Asks on a connection; the answer's first line, or nothing if it was closed.
fn ask(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(REQUEST).ok()?;
    let mut answer = [0; 1_024];
    let read = stream.read(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    answer.lines().next().map(str::to_owned)
}

/// How many connections this process may open, 10 000 or fewer.
fn connections() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files = files.unwrap().split_whitespace().nth(3).unwrap();
    files
        .parse()
        .map_or(10_000, |files: usize| 10_000.min(files.saturating_sub(300)))
}

#[test]
fn keeps_to_its_number_of_connections_and_serves_old_and_new_clients_amid_ten_thousand() {
    let many = connections();
    // A fraction of what comes.
    let most = many * 2 / 5;
    let flag = most.to_string();
    let program = Program::start(&["--listen", "127.0.0.1:0", "--max-connections", &flag]);
    let mut early = TcpStream::connect(program.address()).unwrap();
    let ok = Some("HTTP/1.1 200 OK".to_owned());
    assert_eq!(ask(&mut early), ok);
    let mut idle = Vec::new();
    for number in 1..=many {
        idle.push(TcpStream::connect(program.address()).unwrap());
        if number % 200 == 0 && ask(&mut early) != ok {
            // On a slow machine it idled for long enough to make room, and comes again.
            early = TcpStream::connect(program.address()).unwrap();
            assert_eq!(ask(&mut early), ok, "after {number}");
        }
    }
    let mut late = TcpStream::connect(program.address()).unwrap();
    assert_eq!(ask(&mut late), ok);
    let open = fs::read_dir(format!("/proc/{}/fd", program.child.id()))
        .unwrap()
        .count();
    // Its listener, its timers and its output are files too.
    assert!(open <= most + 32, "{open} files for {most} connections");
    let resident_kib = program.resident_kib().unwrap();
    println!("{many} connections, {most} open at most: {resident_kib} KiB");
    let bound_kib = 16 * 1_024 + 24 * u64::try_from(most).unwrap();
    assert!(resident_kib <= bound_kib, "{resident_kib} KiB");
}
