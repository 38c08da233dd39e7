//! A directory into which others put links, pipes and files with a second name, or whose
//! files were taken away. Nothing is followed, truncated or waited for.

use super::*;
use rustix::fs::{CWD, FileType, Mode};
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Puts something into the place of a file that is no file of the limiter's.
type Trap = fn(victim: &Path, place: &Path);

const TRAPS: [(&str, Trap); 5] = [
    ("is a symbolic link", |victim, place| {
        symlink(victim, place).unwrap();
    }),
    ("is a symbolic link", |_, place| {
        symlink("/dev/zero", place).unwrap();
    }),
    ("has a second name", |victim, place| {
        fs::hard_link(victim, place).unwrap();
    }),
    ("is no plain file", |_, place| {
        rustix::fs::mknodat(CWD, place, FileType::Fifo, Mode::RWXU, 0).unwrap();
    }),
    ("is no plain file", |_, place| {
        fs::create_dir(place).unwrap();
    }),
];

/// It followed links, truncated what they led to, and waited for a pipe for ever.
#[test]
fn what_lies_in_an_images_place_is_told_and_never_followed_truncated_or_waited_for() {
    for (number, (what, trap)) in TRAPS.iter().enumerate() {
        let folder = Folder::new(&format!("trap-{number}"));
        let durable = folder.start(reserve(10, OnFailedWrite::Refuse));
        assert!(post(&durable, "a").is_admitted());
        durable.close().unwrap();
        drop(durable);
        let victim = folder.0.join("victim");
        fs::write(&victim, "precious").unwrap();
        // The newest one.
        fs::remove_file(folder.image(1)).unwrap();
        trap(&victim, &folder.image(1));
        let durable = folder.start(reserve(10, OnFailedWrite::Refuse));
        let [warning] = durable.warnings() else {
            panic!("{:?}", durable.warnings());
        };
        assert!(warning.to_string().contains(what), "{warning}");
        let is_directory = folder.image(1).is_dir();
        // A directory in its place cannot be replaced. All else is, by a new file.
        assert_eq!(post(&durable, "a").is_admitted(), !is_directory, "{what}");
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{what}");
        let _ = durable.close();
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{what}");
    }
}

#[test]
fn what_lies_where_a_new_image_is_written_goes_and_is_not_written_through() {
    for (number, (what, trap)) in TRAPS.iter().enumerate() {
        let folder = Folder::new(&format!("new-trap-{number}"));
        let durable = folder.start(reserve(1, OnFailedWrite::Refuse));
        let victim = folder.0.join("victim");
        fs::write(&victim, "precious").unwrap();
        let places = ["image-0.new", "image-1.new"].map(|name| folder.0.join(name));
        places.iter().for_each(|place| trap(&victim, place));
        let is_directory = places[0].is_dir();
        for _ in 0..4 {
            assert_eq!(post(&durable, "a").is_admitted(), !is_directory, "{what}");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{what}");
    }
}

#[test]
fn a_key_that_is_no_plain_file_of_its_own_is_refused_at_once() {
    for (number, (what, trap)) in TRAPS.iter().enumerate() {
        let folder = Folder::new(&format!("key-trap-{number}"));
        let directory = Directory::open(&folder.0).unwrap();
        let victim = folder.0.join("victim");
        fs::write(&victim, [3; 16]).unwrap();
        trap(&victim, &folder.0.join("key"));
        let error = directory.key(|| Some([7; 16])).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_link_to_a_directory_is_followed_as_its_owner_set_it() {
    let (folder, link) = (Folder::new("linked"), Folder::new("link"));
    fs::create_dir(&folder.0).unwrap();
    symlink(&folder.0, &link.0).unwrap();
    let durable = link.start(Options::default());
    assert!(post(&durable, "a").is_admitted());
    assert!(folder.image(0).exists());
    drop(durable);
    fs::remove_file(&link.0).unwrap();
}

/// A file named `lock` was what kept the second one out.
#[test]
fn nothing_that_is_removed_lets_a_second_process_in() {
    let folder = Folder::new("removed");
    let durable = folder.start(reserve(1, OnFailedWrite::Refuse));
    assert!(post(&durable, "a").is_admitted());
    for entry in fs::read_dir(&folder.0).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let again = Directory::open(&folder.0).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
    assert!(post(&durable, "a").is_admitted(), "it writes on");
}

/// It would have gone on writing where the next start does not look, together with a second process.
#[test]
fn a_directory_that_another_one_took_the_place_of_is_a_failed_write() {
    let (folder, away) = (Folder::new("replaced"), Folder::new("replaced-away"));
    let durable = folder.start(reserve(1, OnFailedWrite::Refuse));
    assert!(post(&durable, "a").is_admitted());
    fs::rename(&folder.0, &away.0).unwrap();
    let second = folder.start(reserve(1, OnFailedWrite::Refuse));
    assert!(post(&second, "a").is_admitted());
    assert_eq!(post(&durable, "a").reason(), Some(Reason::StoreFailed));
    let error = durable.health().error.unwrap();
    assert_eq!(error, "another directory is in its place");
}

#[test]
fn a_new_directory_and_what_is_in_it_are_the_owners_alone() {
    let folder = Folder::new("modes");
    let deep = folder.0.join("a/b");
    let directory = Directory::open(&deep).unwrap();
    directory.key(|| Some([7; 16])).unwrap();
    for path in [&folder.0, &folder.0.join("a"), &deep] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&deep.join("key")), 0o600);
    assert_eq!(directory.warnings(), []);
}

#[test]
fn permissions_of_others_are_taken_away_and_told() {
    let folder = Folder::new("open-to-others");
    let directory = Directory::open(&folder.0).unwrap();
    directory.key(|| Some([7; 16])).unwrap();
    drop(directory);
    let key = folder.0.join("key");
    set_mode(&folder.0, 0o755);
    set_mode(&key, 0o644);
    let directory = Directory::open(&folder.0).unwrap();
    directory.key(|| None).unwrap();
    assert_eq!((mode(&folder.0), mode(&key)), (0o700, 0o600));
    let told: Vec<String> = directory
        .warnings()
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [(&folder.0, 755), (&key, 644)].map(|(path, mode)| {
        let path = path.display();
        format!("{path}: others had access to it (mode {mode}); that is taken from them")
    });
    assert_eq!(told, expected);
}

#[test]
fn a_directory_of_others_is_neither_used_nor_changed() {
    let folder = Folder::new("of-others");
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("theirs"), "").unwrap();
    set_mode(&folder.0, 0o1777);
    let error = Directory::open(&folder.0).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("others may write to it (mode 1777): ")
    );
    assert_eq!(mode(&folder.0), 0o1777);
}
