//! What whoever runs a durable limiter is told, and what a disk's or his own mistake comes to.

use super::*;
use limiter_core::daily::DailyMode;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[test]
fn a_request_polled_again_after_it_was_ready_is_refused_and_charges_nothing() {
    let disk = Disk::default();
    let durable = disk.start(reserve(10, OnFailedWrite::Refuse));
    let request = Request::new(key().token(b"a"), Method::Post);
    let now = Time::default().now();
    let Step::Awaits(waiting) = durable.decide(&request, None, now) else {
        panic!("nothing is stored yet");
    };
    // Another one waits for the same image.
    assert!(post(&durable, "a").is_admitted());
    let (mut waiting, mut context) = (pin!(waiting), Context::from_waker(Waker::noop()));
    let Poll::Ready(decision) = waiting.as_mut().poll(&mut context) else {
        panic!("the image covers both");
    };
    assert!(decision.is_admitted());
    let Poll::Ready(again) = waiting.as_mut().poll(&mut context) else {
        panic!("it has an answer");
    };
    assert_eq!(again.reason(), Some(Reason::StoreFailed));
    assert_eq!(left(&durable.limiter().peek(&request, now)), Some(997));
}

#[test]
fn tells_what_a_crash_would_cost_and_what_went_wrong() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let disk = Disk::default();
    let durable = disk.start(Options {
        report: |told| {
            let told = told.map_err(ToString::to_string);
            TOLD.lock().unwrap().push(format!("{told:?}"));
        },
        ..reserve(10, OnFailedWrite::GoOn)
    });
    assert_eq!(durable.health(), Health::default());
    for name in ["a", "a", "b"] {
        assert!(post(&durable, name).is_admitted());
    }
    let health = durable.health();
    assert_eq!(health.stored_at, Some(Instant::ZERO));
    assert_eq!((health.reserved_permits, health.error), (17, None));

    disk.is_full.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        assert!(post(&durable, "a").is_admitted());
    }
    let health = durable.health();
    assert_eq!(health.unprotected_permits, 20);
    let full = io::Error::from(io::ErrorKind::StorageFull).to_string();
    assert_eq!(health.error, Some(full.clone()));

    disk.is_full.store(false, Ordering::Relaxed);
    for _ in 0..10 {
        assert!(post(&durable, "a").is_admitted());
    }
    let health = durable.health();
    assert_eq!((health.unprotected_permits, health.error), (0, None));
    assert_eq!(health.counts.unprotected_permits, 20);
    durable.close().unwrap();
    assert_eq!(durable.health().reserved_permits, 0);
    // The first failure, and the first success after it.
    let expected = [format!("Err({full:?})"), "Ok(())".to_owned()];
    assert_eq!(*TOLD.lock().unwrap(), expected);
}

#[test]
fn d3_a_strike_counts_in_the_next_life() {
    let builder = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(Plan::new(0), 100, 100);
    let mode = DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 30,
    };
    let policy = builder.daily_limit(2).daily_mode(mode).build().unwrap();
    let disk = Disk::default();
    let start = || {
        let limiter = Arc::new(Concurrent::new(policy, 4, 4));
        let user = Registration::new(key().user(b"a"), Kind::ApiToken, Plan::new(0));
        let now = Time::default().now();
        limiter.register(key().token(b"a"), user, now).unwrap();
        let image = disk.image.lock().unwrap().clone();
        let found = image.map_or(Found::Nothing, |image| Found::Whole {
            image,
            flaws: Vec::new(),
        });
        let (options, clock) = (Options::default(), Time::default().clock());
        Durable::start_with(limiter, found, disk.clone(), options, key(), clock).unwrap()
    };
    let durable = start();
    for _ in 0..3 {
        assert!(
            post(&durable, "a").is_admitted(),
            "one such day is tolerated"
        );
    }
    durable.close().unwrap();
    let durable = start();
    let tomorrow = Now::new(Instant::from_millis(9), UnixTime::from_secs(NOON + 86_400));
    let request = Request::new(key().token(b"a"), Method::Post);
    let reasons = [(); 3].map(|()| durable.check(&request, tomorrow).reason());
    assert_eq!(reasons, [None, None, Some(Reason::Daily)]);
}

/// The help text promised one day in 23 hours, also where nothing is known of the day before.
#[test]
fn d10b_a_new_state_may_begin_two_days_at_once_though_off_time_is_ignored() {
    let disk = Disk::default();
    let options = Options {
        off_time: limiter_core::OffTime::Ignore,
        ..reserve(10, OnFailedWrite::Refuse)
    };
    let mut refilled = Vec::new();
    for day in 0..4 {
        // Each life begins when the date has been set a day forward.
        let durable = disk.start(options);
        let now = Now::new(Instant::ZERO, UnixTime::from_secs(NOON + day * 86_400));
        let request = Request::new(key().token(b"a"), Method::Post);
        let cost = std::num::NonZeroU32::new(900).unwrap();
        refilled.push(durable.check(&request.with_cost(cost), now).is_admitted());
        durable.close().unwrap();
    }
    assert_eq!(refilled, [true, true, true, false]);
}

#[test]
fn an_image_is_written_when_that_is_asked_for() {
    let folder = Folder::new("asked");
    let durable = folder.start(Options::default());
    durable.save();
    durable.close().unwrap();
    assert!(durable.counts().stored >= 1);
    assert!(folder.image(0).exists());
}

#[test]
fn r1_an_image_under_another_key_keeps_it_from_starting_and_stays() {
    let folder = Folder::new("foreign");
    let durable = folder.start(Options::default());
    assert!(post(&durable, "a").is_admitted());
    durable.close().unwrap();
    drop(durable);
    let before = fs::read(folder.image(0)).unwrap();
    let directory = Directory::open(&folder.0).unwrap();
    let clock = Time::default().clock();
    let other = HashKey::new([9; 16]);
    let started = Durable::start(limiter(), directory, Options::default(), other, clock);
    let error = started.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the image was made under another hash key; put back the key that it was made under, \
             or remove the images, and every count begins at 0",
            folder.image(0).display()
        )
    );
    assert_eq!(fs::read(folder.image(0)).unwrap(), before);
    assert_eq!(
        left(&post(&folder.start(Options::default()), "a")),
        Some(998)
    );
}

#[test]
fn makes_no_new_key_beside_images_of_an_old_one() {
    let folder = Folder::new("no-key");
    let directory = Directory::open(&folder.0).unwrap();
    fs::write(folder.image(1), b"an image").unwrap();
    let error = directory.key(|| Some([7; 16])).unwrap_err();
    let gone = folder.0.join("key").display().to_string();
    assert!(error.to_string().starts_with(&format!("{gone}: is gone")));
    assert!(!folder.0.join("key").exists());
    fs::remove_file(folder.image(1)).unwrap();
    assert!(directory.key(|| Some([7; 16])).is_ok());
}

#[test]
fn a_directory_that_goes_is_a_failed_write_until_it_is_back() {
    let folder = Folder::new("gone");
    let durable = folder.start(reserve(10, OnFailedWrite::Refuse));
    for _ in 0..9 {
        assert!(post(&durable, "a").is_admitted());
    }
    let away = folder.0.with_extension("away");
    fs::rename(&folder.0, &away).unwrap();
    fs::write(&folder.0, b"a file in its place").unwrap();
    assert!(post(&durable, "a").is_admitted(), "it is reserved");
    assert_eq!(post(&durable, "a").reason(), Some(Reason::StoreFailed));
    assert!(durable.health().error.is_some());
    fs::remove_file(&folder.0).unwrap();
    fs::rename(&away, &folder.0).unwrap();
    assert_eq!(left(&post(&durable, "a")), Some(989));
}
