//! A limiter whose process ends, whose disk fails, and whose files are broken.

#[cfg(target_os = "linux")]
mod attacked;
mod generations;
mod schedules;
mod watched;

use super::*;
use crate::awaited::{DecideAsync as _, Step};
use crate::{Concurrent, SharedClock};
use limiter_core::{
    Decision, HashKey, Instant, Kind, Method, Now, OnFailedWrite, OnLostState, Plan, Policy,
    Reason, Registration, Request, Reserve, UnixTime,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const NOON: u64 = 20_000 * 86_400 + 43_200;

fn key() -> HashKey {
    HashKey::new(*b"provisioned once")
}

fn policy() -> Policy {
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 1_000_000, 1_000_000);
    builder.daily_limit(1_000).build().unwrap()
}

fn reserve(ahead: u32, on_failed_write: OnFailedWrite) -> Options {
    Options {
        reserve: Reserve {
            ahead: ahead.try_into().unwrap(),
            early: 0,
            on_failed_write,
            ..Reserve::DEFAULT
        },
        ..Options::default()
    }
}

/// A clock that stands until it is moved.
#[derive(Clone, Default)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn now(&self) -> Now {
        let ms = self.0.load(Ordering::Relaxed);
        Now::new(
            Instant::from_millis(ms),
            UnixTime::from_secs(NOON + ms / 1_000),
        )
    }

    fn clock(&self) -> SharedClock {
        let this = self.clone();
        SharedClock::from_fn(move || Ok(this.now()))
    }
}

fn limiter() -> Arc<Concurrent> {
    let limiter = Concurrent::new(policy(), 8, 8);
    for name in ["a", "b"] {
        let user = Registration::new(key().user(name.as_bytes()), Kind::ApiToken, Plan::new(0));
        let now = Time::default().now();
        limiter
            .register(key().token(name.as_bytes()), user, now)
            .unwrap();
    }
    Arc::new(limiter)
}

fn post(durable: &Durable, name: &str) -> Decision {
    let request = Request::new(key().token(name.as_bytes()), Method::Post);
    durable.check(&request, Time::default().now())
}

fn left(decision: &Decision) -> Option<u32> {
    decision.quota().and_then(|quota| quota.daily_left)
}

/// A directory of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("persist-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn start(&self, options: Options) -> Durable {
        let directory = Directory::open(&self.0).unwrap();
        let clock = Time::default().clock();
        Durable::start(limiter(), directory, options, key(), clock).unwrap()
    }

    fn image(&self, generation: u8) -> PathBuf {
        self.0.join(format!("image-{generation}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Images in memory, which survive what their limiter does not; and a disk that can fail.
#[derive(Clone, Default)]
struct Disk {
    image: Arc<Mutex<Option<Vec<u8>>>>,
    is_full: Arc<AtomicBool>,
}

impl Storage for Disk {
    fn store(&mut self, _: u64, image: &[u8]) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *self.image.lock().unwrap() = Some(image.to_vec());
        Ok(())
    }
}

impl Disk {
    fn start(&self, options: Options) -> Durable {
        let found = match self.image.lock().unwrap().clone() {
            Some(image) => Found::Whole {
                image,
                flaws: Vec::new(),
            },
            None => Found::Nothing,
        };
        let clock = Time::default().clock();
        Durable::start_with(limiter(), found, self.clone(), options, key(), clock).unwrap()
    }

    /// What is on it at this moment, as a crash leaves it.
    fn crashed(&self) -> Self {
        let image = self.image.lock().unwrap().clone();
        Self {
            image: Arc::new(Mutex::new(image)),
            is_full: Arc::default(),
        }
    }
}

#[test]
fn r2_a_crash_costs_at_most_the_reserve_and_gives_nothing_twice() {
    let (mut disk, mut admitted, mut crashes) = (Disk::default(), 0_u32, 0);
    let options = reserve(30, OnFailedWrite::Refuse);
    let mut lives = Vec::new();
    loop {
        let durable = disk.start(options);
        let spent = 7 * (crashes + 1) % 50;
        let here = (0..spent)
            .filter(|_| post(&durable, "a").is_admitted())
            .count();
        admitted += u32::try_from(here).unwrap();
        assert!(admitted <= 1_000);
        disk = disk.crashed();
        // The old process writes no more to this disk.
        lives.push(durable);
        if here < spent as usize {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 10);
    assert!(
        admitted + 30 * (crashes + 1) >= 1_000,
        "{admitted} in {crashes} crashes"
    );
}

#[test]
fn r2_an_orderly_end_costs_nothing() {
    let folder = Folder::new("orderly");
    for expected in [999, 998, 997] {
        let durable = folder.start(Options::default());
        assert_eq!(left(&post(&durable, "a")), Some(expected));
        durable.close().unwrap();
        assert_eq!(post(&durable, "a").reason(), Some(Reason::StoreFailed));
    }
}

#[test]
fn o8_a_full_disk_refuses_what_counts_daily_and_serves_the_rest() {
    let disk = Disk::default();
    let durable = disk.start(reserve(10, OnFailedWrite::Refuse));
    disk.is_full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let decision = post(&durable, "a");
        assert_eq!(
            (decision.reason(), decision.status()),
            (Some(Reason::StoreFailed), Some(503))
        );
    }
    let read = Request::new(key().token(b"a"), Method::Get);
    assert!(durable.check(&read, Time::default().now()).is_admitted());
    disk.is_full.store(false, Ordering::Relaxed);
    assert_eq!(
        left(&post(&durable, "a")),
        Some(999),
        "nothing was charged meanwhile"
    );
    assert_eq!(durable.counts().failed, 3);
}

#[test]
fn r2_going_on_unprotected_is_counted() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::Relaxed);
    let durable = disk.start(reserve(10, OnFailedWrite::GoOn));
    for left_then in (985..1_000).rev() {
        assert_eq!(left(&post(&durable, "a")), Some(left_then));
    }
    assert_eq!(durable.counts().unprotected_permits, 20);
}

#[test]
fn a_broken_generation_is_passed_over_with_a_warning() {
    let folder = Folder::new("generations");
    let options = reserve(10, OnFailedWrite::Refuse);
    let durable = folder.start(options);
    for _ in 0..9 {
        assert!(post(&durable, "a").is_admitted());
    }
    durable.close().unwrap();
    drop(durable);
    // The second image was the last: 9 used. The first reserved up to 10.
    fs::write(folder.image(1), b"LIMI, but no more").unwrap();
    let durable = folder.start(options);
    let [warning] = durable.warnings() else {
        panic!("{:?}", durable.warnings());
    };
    assert_eq!(
        warning.to_string(),
        format!(
            "{}: the image has version 44.32, not 2; going on from image 1: if the other one was \
             newer, each user may get up to 10 permits a second time, or what waited for one write",
            folder.image(1).display()
        )
    );
    assert_eq!(left(&post(&durable, "a")), Some(989));
}

#[test]
fn r5_nothing_whole_refuses_what_counts_daily_until_the_next_day() {
    let folder = Folder::new("lost");
    let durable = folder.start(Options::default());
    assert!(post(&durable, "a").is_admitted());
    drop(durable);
    for generation in 0..2 {
        if folder.image(generation).exists() {
            fs::write(folder.image(generation), [0; 100]).unwrap();
        }
    }
    let durable = folder.start(Options::default());
    assert!(matches!(
        durable.warnings(),
        [Warning::Lost { refuses: true, .. }, ..]
    ));
    let decision = post(&durable, "a");
    assert_eq!(
        (decision.reason(), left(&decision)),
        (Some(Reason::Daily), Some(0))
    );
    let tomorrow = Now::new(Instant::from_millis(9), UnixTime::from_secs(NOON + 86_400));
    let request = Request::new(key().token(b"a"), Method::Post);
    assert_eq!(left(&durable.check(&request, tomorrow)), Some(999));
    drop(durable);

    for generation in 0..2 {
        fs::write(folder.image(generation), [0; 100]).unwrap();
    }
    let fresh = Options {
        on_lost_state: OnLostState::Fresh,
        ..Options::default()
    };
    assert_eq!(left(&post(&folder.start(fresh), "a")), Some(999));
}

#[test]
fn r3_a_block_goes_on() {
    let second = std::time::Duration::from_secs(1);
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 1, 1);
    let policy = builder.block(2, second * 60, second * 300).build().unwrap();
    let disk = Disk::default();
    let start = |disk: &Disk, register: bool| {
        let limiter = Arc::new(Concurrent::new(policy, 4, 4));
        let found = match disk.image.lock().unwrap().clone() {
            Some(image) => Found::Whole {
                image,
                flaws: Vec::new(),
            },
            None => Found::Nothing,
        };
        let user = Registration::new(key().user(b"a"), Kind::ApiToken, Plan::new(0));
        let now = Time::default().now();
        if register {
            limiter.register(key().token(b"a"), user, now).unwrap();
        }
        let clock = Time::default().clock();
        let durable = Durable::start_with(
            limiter,
            found,
            disk.clone(),
            Options::default(),
            key(),
            clock,
        );
        let durable = durable.unwrap();
        if !register {
            durable
                .limiter()
                .register(key().token(b"a"), user, now)
                .unwrap();
        }
        durable
    };
    let durable = start(&disk, true);
    for _ in 0..4 {
        let _ = post(&durable, "a");
    }
    durable.close().unwrap();
    for registered_before in [true, false] {
        let durable = start(&disk.crashed(), registered_before);
        let decision = post(&durable, "a");
        assert_eq!(decision.reason(), Some(Reason::Blocked));
        assert_eq!(decision.retry_after_ms(), Some(300_000));
    }
}

#[test]
fn too_many_who_wait_are_turned_away_and_one_who_goes_gets_his_charge_back() {
    let disk = Disk::default();
    disk.is_full.store(true, Ordering::Relaxed);
    let nobody_waits = Options {
        most_waiting: 0,
        ..reserve(10, OnFailedWrite::Refuse)
    };
    let durable = disk.start(nobody_waits);
    assert_eq!(post(&durable, "a").reason(), Some(Reason::StoreFailed));
    assert_eq!(durable.counts().turned_away, 1);

    let durable = disk.start(reserve(10, OnFailedWrite::Refuse));
    let request = Request::new(key().token(b"a"), Method::Post);
    let Step::Awaits(waiting) = durable.decide(&request, None, Time::default().now()) else {
        panic!("nothing is stored yet");
    };
    drop(waiting);
    let peeked = durable.limiter().peek(&request, Time::default().now());
    assert_eq!(left(&peeked), Some(999));
}

#[test]
fn a_directory_is_one_process_and_keeps_its_key() {
    let folder = Folder::new("directory");
    let directory = Directory::open(&folder.0).unwrap();
    let again = Directory::open(&folder.0).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
    let made = directory.key(|| Some([7; 16])).unwrap();
    let kept = directory.key(|| None).unwrap();
    assert_eq!(made.token(b"a"), kept.token(b"a"));
    fs::write(folder.0.join("key"), b"short").unwrap();
    let error = directory.key(|| None).unwrap_err();
    assert!(
        error.to_string().ends_with("key: a key has 16 bytes"),
        "{error}"
    );
    let file: &Path = &folder.0.join("key");
    assert!(Directory::open(file).is_err(), "it is a file");
}

#[test]
fn many_threads_are_admitted_no_more_than_the_limit() {
    let disk = Disk::default();
    let durable = disk.start(reserve(10, OnFailedWrite::Refuse));
    let admitted: usize = std::thread::scope(|scope| {
        let ask = || {
            (0..400)
                .filter(|_| post(&durable, "a").is_admitted())
                .count()
        };
        let threads = [
            scope.spawn(ask),
            scope.spawn(ask),
            scope.spawn(ask),
            scope.spawn(ask),
        ];
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(admitted, 1_000);
    let after = disk.crashed().start(Options::default());
    assert_eq!(post(&after, "a").reason(), Some(Reason::Daily));
}
