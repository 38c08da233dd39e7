//! The program itself: its flags, what it prints, and how it ends.

use crate::program::{Program, command, file};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// A run that is to fail: its exit code and its lines on standard error.
fn failure(flags: &[&str]) -> (Option<i32>, Vec<String>) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(flags).output().unwrap();
    assert!(stdout.is_empty());
    let lines = String::from_utf8(stderr).unwrap();
    (status.code(), lines.lines().map(str::to_owned).collect())
}

#[test]
fn says_where_it_listens_and_what_to_try() {
    let program = Program::start(&["--listen", "127.0.0.1:0"]);
    assert!(
        program
            .welcome
            .starts_with("gateway: listening on http://127.0.0.1:")
    );
    let curls = program
        .welcome
        .lines()
        .filter(|line| line.trim().starts_with("curl "));
    assert_eq!(curls.count(), 3);
    let answer = program.ask("POST /v1/deals HTTP/1.1\r\nx-api-token: demo-advanced");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        "x-ratelimit-limit: 40",
        "x-ratelimit-remaining: 39",
        "x-ratelimit-reset: 2",
        "x-daily-requests-left: 9999",
    ] {
        assert!(answer.contains(&format!("{line}\r\n")), "{answer}");
    }
}

#[cfg(unix)]
#[test]
fn ends_well_on_sigterm_and_on_ctrl_c() {
    for signal in ["-TERM", "-INT"] {
        let mut program = Program::start(&["--listen", "127.0.0.1:0"]);
        program.signal(signal);
        assert_eq!(program.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn serves_the_policy_and_the_tokens_of_files_and_shows_no_token() {
    let policy = file(
        "policy.toml",
        "window = '10s'\nplans.only = { api_token = 7, access_token = 9 }\n",
    );
    let tokens = file(
        "tokens.toml",
        "[[tokens]]\ntoken = 's3cr3t'\nuser = 'u'\nkind = 'access_token'\nplan = 'only'\n",
    );
    let program = Program::start(&[
        "--listen",
        "127.0.0.1:0",
        "--policy",
        &policy,
        "--tokens",
        &tokens,
        "--table",
        "4,4",
    ]);
    assert!(!program.welcome.contains("s3cr3t"));
    let answer = program.ask("POST / HTTP/1.1\r\nauthorization: Bearer s3cr3t");
    assert!(answer.contains("x-ratelimit-limit: 9\r\n"), "{answer}");
    assert!(answer.contains("x-ratelimit-reset: 10\r\n"), "{answer}");
    let demo = program.ask("GET / HTTP/1.1\r\nx-api-token: demo-advanced");
    assert!(demo.starts_with("HTTP/1.1 401 "), "{demo}");
}

#[test]
fn says_in_one_line_what_keeps_it_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, lines) = failure(&["--listen", &address]);
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
    assert!(lines[0].starts_with(&format!("gateway: cannot listen on {address}: ")));

    let missing = "no-such-directory/policy.toml";
    for flag in ["--policy", "--tokens"] {
        let (code, lines) = failure(&[flag, missing]);
        assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("gateway: {missing}: ")),
            "{lines:?}"
        );
    }
    let upstream = failure(&["--upstream", "https://h"]);
    let expected = "gateway: --upstream must be http://HOST[:PORT][/PATH]";
    assert_eq!(upstream, (Some(2), vec![expected.to_owned()]));
    let table = failure(&["--table", "3,3"]);
    let expected = "gateway: --table is smaller than the list of tokens and users";
    assert_eq!(table, (Some(2), vec![expected.to_owned()]));
}

#[test]
fn reports_every_mistake_of_a_file_with_its_place() {
    let policy = file(
        "wrong.toml",
        "preset = 'pipedrive'\nwindw = '2s'\ndaily.limit = 0\n",
    );
    let (code, lines) = failure(&["--policy", &policy]);
    assert_eq!((code, lines.len()), (Some(2), 2), "{lines:?}");
    let unknown = format!("{policy}:2: windw: unknown key");
    assert!(lines[0].starts_with(&unknown), "{lines:?}");
    assert_eq!(
        lines[1],
        format!("{policy}:3: daily.limit: the daily limit must be at least 1")
    );
}

#[test]
fn reports_ten_mistakes_of_a_configuration_with_ten_places() {
    let text = "\
window = 'long'
utc_floor = 7
colour = 'red'
plans.only = { api_token = 0, access_token = 2000000 }
daily = { limit = 0, mode = 'lax' }
block = { offences = 0, within = '60s', duration = '0s' }
table = { tokens = 0, users = 5 }
tokens = [{ token = 'a1', user = 'u', plan = 'only' }]
";
    let path = file("ten.toml", text);
    let (code, lines) = failure(&["--config", &path]);
    assert_eq!((code, lines.len()), (Some(2), 10), "{lines:#?}");
    for (line, (at, key)) in lines.iter().zip([
        (1, "window"),
        (2, "utc_floor"),
        (3, "colour"),
        (4, "plans.only.access_token"),
        (4, "plans.only.api_token"),
        (5, "daily.limit"),
        (5, "daily.mode"),
        (6, "block.duration"),
        (6, "block.offences"),
        (7, "table.tokens"),
    ]) {
        assert!(line.starts_with(&format!("{path}:{at}: {key}: ")), "{line}");
    }
}

#[test]
fn rejects_flags_that_it_does_not_know() {
    for flags in [
        &["--lisen", "127.0.0.1:0"][..],
        &["--table", "0,5"],
        &["--table", "5"],
        &["--upstream-timeout", "0"],
    ] {
        let (code, lines) = failure(flags);
        assert_eq!(code, Some(2), "{flags:?}");
        assert!(lines[0].starts_with("error: "), "{lines:?}");
    }
}

/// As an ordinary user, from a directory that it may not write to, with no home and no place for
/// temporary files: what it opens are sockets.
#[cfg(target_os = "linux")]
#[test]
fn needs_no_privilege_and_writes_no_file() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;

    let own = std::fs::metadata("/proc/self").unwrap().uid();
    let mut command = command(&["--listen", "127.0.0.1:0", "--admin", "0"]);
    command.current_dir("/").env_clear();
    let copy = std::env::temp_dir().join(format!("gateway-unprivileged-{}", std::process::id()));
    if own == 0 {
        // Where that user may find it. Not copied here: a program of another test, started meanwhile,
        // would have the file open for writing, and it could not be run.
        let mut install = Command::new("install");
        install.args(["-m", "755", env!("CARGO_BIN_EXE_gateway")]);
        assert!(install.arg(&copy).status().unwrap().success());
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(&copy);
        command
            .args(args)
            .stderr(Stdio::piped())
            .current_dir("/")
            .env_clear();
        command.uid(65_534).gid(65_534);
    }
    let program = Program::spawn(command);
    // It runs on, from a file that is gone.
    let _ = std::fs::remove_file(&copy);
    let answer = program.ask("GET / HTTP/1.1\r\nx-api-token: martin-1");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let files = std::fs::read_dir(format!("/proc/{}/fd", program.child.id())).unwrap();
    let files = files.map(|file| std::fs::read_link(file.unwrap().path()).unwrap());
    let files: Vec<_> = files.filter(|file| file.starts_with("/")).collect();
    assert!(
        files.iter().all(|file| file.starts_with("/dev")),
        "{files:?}"
    );
}

#[test]
fn understands_the_files_that_are_handed_out_with_it() {
    use clap::Parser as _;

    let readme = include_str!("../../../../README.md");
    let config = readme.split("# /etc/gateway/limiter.toml").nth(1).unwrap();
    let config = config.split("```").next().unwrap();
    let config =
        limiter_host::config::Config::parse(&format!("#{config}"), "limiter.toml").unwrap();
    assert_eq!(config.tokens.unwrap().len(), 1);

    let unit = include_str!("../../gateway.service").replace("\\\n", " ");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let args = gateway::Args::try_parse_from(start.split_whitespace()).unwrap();
    assert_eq!(args.admin.as_deref(), Some("127.0.0.1:9090"));
    let state = args.state.unwrap();
    let directory = state.strip_prefix("/var/lib").unwrap().to_str().unwrap();
    assert!(unit.contains(&format!("StateDirectory={directory}\n")));
}
