//! The tool as a person runs it: files and pipes in, lines and exit codes out.

mod support;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::{shared, vectors, workspace};

/// Runs the tool to its end, with this on standard input.
fn replay(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Arguments may be refused before anything is read.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A file that only the test of this name writes.
fn file(test: &str, content: &[u8]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::write(&path, content).unwrap();
    path.into_os_string().into_string().unwrap()
}

const GOOD: &str = r#"{"t_ms":0,"token":"secret","method":"POST"}"#;
const DECISION: &str = r#"{"i": 0, "status": 200, "reason": null, "limit": 20, "remaining": 19, "reset_ms": 2000, "daily_left": 9999, "retry_after_ms": null}"#;

#[test]
fn a_file_becomes_decisions_and_a_summary() {
    let folder = workspace().join("testing/vectors");
    for name in vectors(&folder) {
        let path = |what: &str| folder.join(format!("{name}.{what}.jsonl"));
        let trace = path("trace").into_os_string().into_string().unwrap();
        let output = replay(&["--trace", &trace], b"");
        let wanted = std::fs::read_to_string(path("decisions")).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout), wanted, "{name}");
        let summary = text(&output.stderr);
        assert!(summary.starts_with("400 requests of 4 tokens"), "{summary}");
        assert!(summary.contains("\n  enterprise "), "{summary}");
    }
}

#[test]
fn a_dash_is_standard_input_and_quiet_is_quiet() {
    for backend in ["core", "shared", "concurrent", "model"] {
        let arguments = ["--trace", "-", "--quiet", "--backend", backend];
        let output = replay(&arguments, GOOD.as_bytes());
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout), format!("{DECISION}\n"), "{backend}");
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn nothing_is_written_when_the_last_of_many_lines_is_bad() {
    let mut trace = format!("{GOOD}\n").repeat(20_000);
    trace.push_str(r#"{"t_ms":0,"token":"secret","cost":"secret"}"#);
    for quiet in [&["--quiet"][..], &[]] {
        let arguments = [&["--trace", "-"], quiet].concat();
        let output = replay(&arguments, trace.as_bytes());
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output.stdout), "");
        assert_eq!(
            text(&output.stderr),
            "replay: standard input: line 20001: `cost` must be an integer from 1 to 4294967295, \
             not text\n"
        );
    }
}

#[test]
fn bad_lines_are_left_out_on_request_and_counted() {
    let trace = format!("secret\n{GOOD}\n{{\"t_ms\":0,\"secret\":1}}\n");
    let output = replay(&["--trace", "-", "--skip-bad"], trace.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("{DECISION}\n"));
    let summary = text(&output.stderr);
    assert!(
        summary.contains("2 bad lines left out; the first: line 1: "),
        "{summary}"
    );
    assert!(!summary.contains("secret"), "{summary}");
}

#[test]
fn a_file_that_is_not_there_is_failure_1() {
    let missing = replay(&["--trace", "no/such/file"], b"");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("replay: no/such/file: cannot be read: "));
    let folder = replay(&["--trace", env!("CARGO_MANIFEST_DIR")], b"");
    assert_eq!((folder.status.code(), text(&folder.stdout)), (Some(1), ""));
}

#[test]
fn wrong_arguments_are_failure_2() {
    for (arguments, part) in [
        (&[][..], "--trace"),
        (
            &["--trace", "-", "--backend", "redis"],
            "core, shared, concurrent, model",
        ),
        (
            &["--trace", "-", "--table", "0,1"],
            "TOKENS must be a whole number from 1 to",
        ),
        (&["--trace", "-", "--table", "1"], "TOKENS,USERS"),
        (
            &["--trace", "-", "--format", "clf", "--plan", "gold"],
            "essential, advanced",
        ),
        (&["--trace", "-", "--colour"], "--colour"),
    ] {
        let output = replay(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(
            text(&output.stderr).contains(part),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_small_table_is_full_and_says_so() {
    let trace = "{\"t_ms\":0,\"token\":\"a\"}\n{\"t_ms\":1,\"token\":\"b\"}\n";
    let output = replay(&["--trace", "-", "--table", "1,1"], trace.as_bytes());
    let second = text(&output.stdout).lines().nth(1).unwrap();
    assert_eq!(
        second,
        r#"{"i": 1, "status": 503, "reason": "table_full", "limit": null, "remaining": null, "reset_ms": null, "daily_left": null, "retry_after_ms": 1000}"#
    );
    assert!(text(&output.stderr).contains("\n    table_full "));
}

#[test]
fn a_key_of_16_bytes_fixes_the_ids() {
    let key = file("key", b"sixteen bytes it");
    let trace = r#"{"t_ms":0,"token":"a","cost":21}"#;
    let arguments = ["--trace", "-", "--key", &key];
    let run = || text(&replay(&arguments, trace.as_bytes()).stderr).to_owned();
    let id = limiter_core::HashKey::new(*b"sixteen bytes it").token(b"a");
    let shown = format!(
        "token {:08x}…, first in line 1: 1 of 1 request\n",
        id.as_u64() >> 32
    );
    assert!(
        run().contains(&shown) && run().contains(&shown),
        "{}",
        run()
    );

    let short = file("short-key", b"fifteen bytes..");
    let output = replay(&["--trace", "-", "--key", &short], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).ends_with("a key has exactly 16 bytes\n"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let trace = file("long", format!("{GOOD}\n").repeat(20_000).as_bytes());
    let mut child = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(["--trace", &trace])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let summary = text(&output.stderr);
    assert!(
        summary.starts_with("20 000 requests of 1 token"),
        "{summary}"
    );
}

#[test]
fn an_access_log_replays_with_its_own_time() {
    let log = concat!(
        "::1 - - [01/Jan/1970:00:00:01 +0000] \"POST /a HTTP/1.1\" 200 -\n",
        "::1 - - [01/Jan/1970:01:00:02 +0100] \"POST /\\\"b\\\" HTTP/1.1\" 200 7 \"-\" \"x\"\n",
        "- - - [01/Jan/1970:00:00:01 +0000] \"-\" 408 -\n",
    );
    let arguments = [
        "--trace", "-", "--quiet", "--format", "clf", "--plan", "advanced",
    ];
    let output = replay(&arguments, log.as_bytes());
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"i": 0, "status": 200, "reason": null, "limit": 40, "remaining": 39, "reset_ms": 2000, "daily_left": 9999, "retry_after_ms": null}"#,
            r#"{"i": 1, "status": 200, "reason": null, "limit": 40, "remaining": 38, "reset_ms": 1000, "daily_left": 9998, "retry_after_ms": null}"#,
            r#"{"i": 2, "status": 401, "reason": "unauthenticated", "limit": null, "remaining": null, "reset_ms": null, "daily_left": null, "retry_after_ms": null}"#,
        ]
    );
}

#[test]
fn a_day_of_an_access_log_ends_at_midnight_of_its_own_time() {
    // Before the preset's floor of 2020, which would make the date unknown.
    let log = concat!(
        "a - - [17/May/2015:23:59:59 +0000] \"POST / HTTP/1.1\" 200 1\n",
        "a - - [18/May/2015:00:00:02 +0000] \"POST / HTTP/1.1\" 200 1\n",
    );
    let output = replay(
        &["--trace", "-", "--quiet", "--format", "clf"],
        log.as_bytes(),
    );
    let left = text(&output.stdout)
        .matches("\"daily_left\": 9999,")
        .count();
    assert_eq!(left, 2);
}

#[test]
fn ten_thousand_real_lines_replay_without_a_complaint() {
    let Some(log) = shared("apache-access-2015.log") else {
        return;
    };
    let log = log.into_os_string().into_string().unwrap();
    let decide = |backend: &str| {
        let arguments = ["--trace", &log, "--format", "clf", "--plan", "advanced"];
        let output = replay(&[&arguments[..], &["--backend", backend]].concat(), b"");
        assert_eq!(output.status.code(), Some(0));
        let summary = text(&output.stderr);
        assert!(
            summary.starts_with("10 000 requests of 1 753 tokens"),
            "{summary}"
        );
        assert!(!summary.contains("bad line"), "{summary}");
        text(&output.stdout).to_owned()
    };
    let core = decide("core");
    assert_eq!(core.lines().count(), 10_000);
    assert!(core == decide("model"), "core and model differ");
    assert!(core == decide("shared"), "core and shared differ");
    assert!(core == decide("concurrent"), "core and concurrent differ");
}

const POLICY: &str = r#"
window = "10s"
utc_floor = 2020-01-01
[plans.gold]
api_token = 2
access_token = 3
[daily]
limit = 5
mode = "fair_use"
tolerated_days = 1
forgiven_after_days = 2
writes = ["POST", "DELETE"]
[block]
offences = 3
within = "60s"
duration = "90s"
"#;

#[test]
fn a_policy_file_decides_and_all_backends_agree_on_it() {
    let policy = file("policy.toml", POLICY.as_bytes());
    let mut trace = String::new();
    for i in 0..4_000_u64 {
        let (token, method) = (i % 3, ["POST", "GET", "DELETE"][(i / 5 % 3) as usize]);
        let (t_ms, utc) = (i * i * 7, 1_716_000_000 + i * i / 100);
        trace.push_str(&format!(
            "{{\"t_ms\":{t_ms},\"utc\":{utc},\"token\":\"{token}\",\"method\":\"{method}\"}}\n"
        ));
    }
    let decide = |backend: &str| {
        let arguments = ["--trace", "-", "--policy", &policy, "--plan", "gold"];
        let arguments = [&arguments[..], &["--backend", backend]].concat();
        let output = replay(&arguments, trace.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("if all callers had one plan:\n  gold "));
        text(&output.stdout).to_owned()
    };
    let core = decide("core");
    for part in [
        "null, \"limit\": 2,",
        "\"window\"",
        "\"daily\"",
        "\"blocked\"",
    ] {
        assert!(core.contains(&format!("\"reason\": {part}")), "{part}");
    }
    assert!(core == decide("model"), "core and model differ");
    assert!(core == decide("shared"), "core and shared differ");
    assert!(core == decide("concurrent"), "core and concurrent differ");
}

#[test]
fn mistakes_in_a_policy_file_are_told_by_line() {
    let wrong = POLICY.replace("api_token = 2", "api_token = 0");
    let policy = file("wrong-policy.toml", wrong.as_bytes());
    let output = replay(&["--trace", "-", "--policy", &policy], b"");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let told = text(&output.stderr);
    let start = format!("{policy}:5: plans.gold.api_token: ");
    assert!(told.starts_with(&start), "{told}");

    let missing = replay(&["--trace", "-", "--policy", "no/such/file"], b"");
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn a_line_whose_plan_the_policy_lacks_is_bad() {
    let policy = file("gold-only.toml", POLICY.as_bytes());
    let output = replay(&["--trace", "-", "--policy", &policy], GOOD.as_bytes());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert_eq!(
        text(&output.stderr),
        "replay: standard input: line 1: `plan` is `essential`, not in the policy\n"
    );
}
