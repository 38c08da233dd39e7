//! A state whose disk is full or read-only.
//!
//! As root, on a volume of its own, mounted for the test. Where none can be mounted the disk's part
//! is played: a directory lies where a new image is written, and a directory without permission, or a file in its place,
//! stands for one that is read-only. Each test says which.

use crate::program::{Program, directory};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A place for a state that can become full or read-only.
struct Volume {
    path: PathBuf,
    is_mounted: bool,
}

impl Volume {
    /// Room for two images of the demo's tables, and for one that is being written.
    fn new(name: &str) -> Self {
        let path = directory(name);
        fs::create_dir_all(&path).unwrap();
        let is_mounted = mount(&["-t", "tmpfs", "-o", "size=160k", "tmpfs"], &path);
        let what = if is_mounted {
            "mounted"
        } else {
            "not mounted: its faults are played"
        };
        println!("{name}: a volume of its own is {what}");
        Self { path, is_mounted }
    }

    fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    fn fill(&self) {
        if self.is_mounted {
            let filler = fs::write(self.path.join("filler"), vec![1; 1 << 20]);
            assert_eq!(filler.unwrap_err().raw_os_error(), Some(28), "ENOSPC");
        } else {
            for image in ["image-0.new", "image-1.new"] {
                fs::create_dir(self.state().join(image)).unwrap();
            }
        }
    }

    /// The system's message for a full volume.
    const fn full(&self) -> &'static str {
        if self.is_mounted {
            "No space left on device"
        } else {
            "Is a directory"
        }
    }

    fn empty(&self) {
        if self.is_mounted {
            fs::remove_file(self.path.join("filler")).unwrap();
        } else {
            for image in ["image-0.new", "image-1.new"] {
                fs::remove_dir(self.state().join(image)).unwrap();
            }
        }
    }

    fn make_read_only(&self) {
        if self.is_mounted {
            assert!(mount(&["-o", "remount,ro"], &self.path));
            return;
        }
        fs::set_permissions(self.state(), PermissionsExt::from_mode(0o555)).unwrap();
        if fs::write(self.state().join("probe"), "").is_ok() {
            // Root may write there all the same.
            fs::remove_file(self.state().join("probe")).unwrap();
            fs::rename(self.state(), self.path.join("away")).unwrap();
            fs::write(self.state(), "").unwrap();
        }
    }

    fn make_writable(&self) {
        if self.is_mounted {
            assert!(mount(&["-o", "remount,rw"], &self.path));
            return;
        }
        if self.path.join("away").exists() {
            fs::remove_file(self.state()).unwrap();
            fs::rename(self.path.join("away"), self.state()).unwrap();
        }
        fs::set_permissions(self.state(), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn start(&self, flags: &[&str]) -> Program {
        let state = self.state();
        let own = [
            "--listen",
            "127.0.0.1:0",
            "--state",
            state.to_str().unwrap(),
        ];
        let ahead = ["--state-ahead", "10", "--admin", "0"];
        Program::start(&[&own[..], &ahead, flags].concat())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            let path = self.path.to_str().unwrap();
            // Whatever failed in the test, nothing stays mounted.
            let _ = Command::new("umount").args(["-l", path]).status();
        }
    }
}

fn mount(flags: &[&str], path: &Path) -> bool {
    let mut command = Command::new("mount");
    let status = command.args(flags).arg(path).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Status, and what is left of the day if that is told.
fn post(program: &Program) -> (u32, Option<u32>) {
    let answer = program.ask("POST / HTTP/1.1\r\nx-api-token: martin-1");
    let left = answer.split("x-daily-requests-left: ").nth(1);
    let left = left.map(|rest| rest.split('\r').next().unwrap().parse().unwrap());
    (answer[9..12].parse().unwrap(), left)
}

fn reads(program: &Program) -> bool {
    program
        .ask("GET / HTTP/1.1\r\nx-api-token: demo-enterprise")
        .starts_with("HTTP/1.1 200 ")
}

/// Writes until what is reserved is used; says how often that was admitted.
fn use_the_reserve(program: &Program, mut left: u32) -> u32 {
    for admitted in 0.. {
        match post(program) {
            (200, now_left) => {
                left -= 1;
                assert_eq!(now_left, Some(left), "nothing is handed out twice");
            }
            (503, None) => return admitted,
            other => panic!("{other:?}"),
        }
    }
    unreachable!("the day ends before")
}

const UNPROTECTED: &str = "gateway_state_unprotected_permits";
const FAILED: &str = r#"gateway_state_writes_total{outcome="failed"}"#;

#[test]
fn a_full_disk_refuses_what_is_not_reserved_and_serves_the_rest() {
    let volume = Volume::new("disk-full");
    let mut program = volume.start(&[]);
    assert_eq!(post(&program), (200, Some(9_999)));
    volume.fill();
    let admitted = use_the_reserve(&program, 9_999);
    assert!(admitted <= 20, "{admitted}");
    assert!(reads(&program));
    let line = program.log_line();
    let full = format!("gateway: --state cannot be written: {}", volume.full());
    assert!(line.starts_with(&full), "{line}");
    let state = program.state();
    assert!(state["failed"].as_u64().unwrap() > 0, "{state}");
    let error = state["error"].as_str().unwrap();
    assert!(error.starts_with(volume.full()), "{error}");
    assert_eq!(program.metric("gateway_state_failing"), "1");
    assert_ne!(program.metric(FAILED), "0");

    volume.empty();
    // What was refused was not charged.
    assert_eq!(post(&program), (200, Some(9_998 - admitted)));
    assert_eq!(program.log_line(), "gateway: --state is written again");
    assert_eq!(program.metric("gateway_state_failing"), "0");
    assert_eq!(program.end(), Some(0));
    assert_eq!(post(&volume.start(&[])), (200, Some(9_997 - admitted)));
}

#[test]
fn a_full_disk_lets_permits_go_out_unprotected_if_that_is_wanted() {
    let volume = Volume::new("disk-full-go-on");
    let mut program = volume.start(&["--on-failed-write", "go-on"]);
    assert_eq!(post(&program), (200, Some(9_999)));
    volume.fill();
    for left in (9_969..9_999).rev() {
        assert_eq!(post(&program), (200, Some(left)));
    }
    let unprotected = program.state()["unprotected_permits"].as_u64().unwrap();
    assert!((11..=40).contains(&unprotected), "{unprotected}");
    // A write in the background may have failed since.
    let metric: u64 = program.metric(UNPROTECTED).parse().unwrap();
    assert!((unprotected..=40).contains(&metric), "{metric}");
    assert!(
        program
            .log_line()
            .contains("; permits go out unprotected, ")
    );
    // The last image cannot be written either.
    assert_eq!(program.end(), Some(1));
    let line = program.log_line();
    assert!(
        line.starts_with("gateway: the last image of --state cannot be written: "),
        "{line}"
    );
    volume.empty();
    // What was never stored is handed out again, as was said.
    let (status, left) = post(&volume.start(&[]));
    assert!(status == 200 && left.unwrap() >= 9_969, "{left:?}");
}

#[test]
fn a_read_only_directory_refuses_what_is_not_reserved_and_serves_the_rest() {
    let volume = Volume::new("disk-read-only");
    let mut program = volume.start(&[]);
    assert_eq!(post(&program), (200, Some(9_999)));
    volume.make_read_only();
    let admitted = use_the_reserve(&program, 9_999);
    assert!(admitted <= 20 && reads(&program), "{admitted}");
    let line = program.log_line();
    assert!(
        line.starts_with("gateway: --state cannot be written: "),
        "{line}"
    );
    assert_eq!(program.end(), Some(1));
    if volume.is_mounted {
        // It also starts there, and goes on from the bound.
        let program = volume.start(&[]);
        assert_eq!(post(&program), (503, None));
        assert!(reads(&program));
    }
    volume.make_writable();
    let (status, left) = post(&volume.start(&[]));
    let least = 9_998 - admitted - 10;
    assert!(status == 200 && left.unwrap() >= least && left.unwrap() <= 9_998 - admitted);
}

#[test]
fn a_disk_that_is_full_at_the_first_start_is_told_in_one_line() {
    let volume = Volume::new("disk-full-first");
    let state = volume.state();
    if volume.is_mounted {
        volume.fill();
    } else {
        fs::create_dir_all(state.join("key.new")).unwrap();
        fs::set_permissions(&state, PermissionsExt::from_mode(0o700)).unwrap();
    }
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--state",
        state.to_str().unwrap(),
    ];
    let output = crate::program::command(&flags).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    let full = format!("gateway: --state {}: {}", state.display(), volume.full());
    assert!(line.starts_with(&full), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}
