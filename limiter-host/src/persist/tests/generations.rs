//! Two generations of images: which one is written, and what is lost if the newest one is.

use super::*;

/// A directory on a disk of which some writes fail.
struct Flaky {
    directory: Directory,
    writes: Arc<AtomicU64>,
    fails: fn(u64) -> bool,
}

impl Storage for Flaky {
    fn store(&mut self, number: u64, image: &[u8]) -> io::Result<()> {
        if (self.fails)(self.writes.fetch_add(1, Ordering::Relaxed)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.directory.store(number, image)
    }
}

fn start(folder: &Folder, options: Options, fails: fn(u64) -> bool) -> Durable {
    let directory = Directory::open(&folder.0).unwrap();
    let found = directory.load(&key());
    let storage = Flaky {
        directory,
        writes: Arc::default(),
        fails,
    };
    let clock = Time::default().clock();
    Durable::start_with(limiter(), found, storage, options, key(), clock).unwrap()
}

/// The newest image, by its number.
fn newest(folder: &Folder) -> PathBuf {
    let number = |file: &PathBuf| {
        let bytes = fs::read(file).ok()?;
        let image = limiter_core::snapshot::Image::verify(&bytes, &key()).ok()?;
        Some(image.header().number)
    };
    let files = [folder.image(0), folder.image(1)];
    files.into_iter().max_by_key(number).unwrap()
}

/// A copy of the directory as it is now: as a crash leaves it.
fn crashed(folder: &Folder, name: &str) -> Folder {
    let copy = Folder::new(name);
    drop(Directory::open(&copy.0).unwrap());
    for entry in fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.0.join(entry.file_name())).unwrap();
    }
    copy
}

/// Every image went to the same file, since the number counted attempts, and the other file grew
/// arbitrarily old: 1 500 permits were handed out twice where the warning said 50.
#[test]
fn the_older_generation_is_one_write_old_also_if_every_second_write_fails() {
    let folder = Folder::new("every-second");
    let durable = start(&folder, reserve(50, OnFailedWrite::Refuse), |n| n % 2 == 1);
    let mut admitted = 0;
    for _ in 0..600 {
        admitted += u32::from(post(&durable, "a").is_admitted());
    }
    assert!(admitted > 500, "{admitted}");
    let after = crashed(&folder, "every-second-crashed");
    fs::write(newest(&after), "unreadable").unwrap();
    let durable = after.start(reserve(50, OnFailedWrite::Refuse));
    let [Warning::Older { permits, .. }] = durable.warnings() else {
        panic!("{:?}", durable.warnings());
    };
    let left = left(&post(&durable, "a")).unwrap();
    let twice = (left + 1).saturating_sub(1_000 - admitted);
    assert!(twice <= *permits, "{twice} permits a second time");
}

#[test]
fn a_write_that_fails_is_made_again_where_the_last_image_is_not() {
    let folder = Folder::new("fails-often");
    let durable = start(&folder, reserve(1, OnFailedWrite::Refuse), |n| n % 3 != 0);
    for _ in 0..30 {
        let before = newest(&folder);
        let _ = post(&durable, "a");
        let is_whole = |file| {
            let bytes = fs::read(file).unwrap_or_default();
            limiter_core::snapshot::Image::verify(&bytes, &key()).is_ok()
        };
        assert!(!before.exists() || is_whole(before), "it was overwritten");
    }
    drop(durable);
}

/// The older generation was of before the failures, and so lacked all that went out unprotected.
#[test]
fn what_went_out_unprotected_is_in_both_generations_once_a_write_succeeds() {
    static IS_FULL: AtomicBool = AtomicBool::new(false);
    let folder = Folder::new("unprotected");
    let fails = |_| IS_FULL.load(Ordering::Relaxed);
    let durable = start(&folder, reserve(10, OnFailedWrite::GoOn), fails);
    assert!(post(&durable, "a").is_admitted());
    IS_FULL.store(true, Ordering::Relaxed);
    for _ in 0..190 {
        assert!(post(&durable, "a").is_admitted());
    }
    IS_FULL.store(false, Ordering::Relaxed);
    // This one is the first that succeeds.
    durable.close().unwrap();
    drop(durable);
    fs::write(newest(&folder), "unreadable").unwrap();
    let durable = folder.start(reserve(10, OnFailedWrite::Refuse));
    assert_eq!(left(&post(&durable, "a")), Some(1_000 - 192));
}

/// It went on from the older one without a word.
#[test]
fn the_newest_image_that_is_gone_is_told() {
    let folder = Folder::new("newest-gone");
    let durable = folder.start(reserve(10, OnFailedWrite::Refuse));
    for _ in 0..15 {
        assert!(post(&durable, "a").is_admitted());
    }
    durable.close().unwrap();
    drop(durable);
    let gone = newest(&folder);
    fs::remove_file(&gone).unwrap();
    let durable = folder.start(reserve(10, OnFailedWrite::Refuse));
    let [warning] = durable.warnings() else {
        panic!("{:?}", durable.warnings());
    };
    let told = warning.to_string();
    assert!(told.starts_with(&format!(
        "{}: is gone; going on from image 2: ",
        gone.display()
    )));
    assert!(left(&post(&durable, "a")).unwrap() < 1_000 - 15 + 10);
}

#[test]
fn one_image_alone_is_nothing_wrong_after_the_first_write_however_often_that_failed() {
    let folder = Folder::new("first-alone");
    let durable = start(&folder, reserve(10, OnFailedWrite::Refuse), |n| n < 3);
    for _ in 0..4 {
        let _ = post(&durable, "a");
    }
    let after = crashed(&folder, "first-alone-crashed");
    assert!(after.image(0).exists() != after.image(1).exists());
    assert_eq!(after.start(Options::default()).warnings(), []);
}

#[test]
fn images_that_were_all_removed_begin_every_count_at_0_which_is_told() {
    let folder = Folder::new("all-removed");
    let directory = Directory::open(&folder.0).unwrap();
    let key = directory.key(|| Some([7; 16])).unwrap();
    assert_eq!(directory.load(&key), Found::Nothing);
    assert_eq!(directory.warnings(), [], "it is new");
    drop(directory);
    let directory = Directory::open(&folder.0).unwrap();
    let key = directory.key(|| None).unwrap();
    assert_eq!(directory.load(&key), Found::Nothing);
    let [warning] = &directory.warnings()[..] else {
        panic!("{:?}", directory.warnings());
    };
    assert!(warning.to_string().ends_with("every count begins at 0"));
}
