//! Images that are whole, and images that are not.

use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec;
use std::vec::Vec;

use crate::token::HashKey;

fn key() -> HashKey {
    HashKey::new(*b"provisioned once")
}

fn header(tokens: u32, users: u32) -> Header {
    Header {
        tokens,
        users,
        key_check: key().check_value(),
        number: 0x0102_0304_0506_0708,
        calendar: SavedCalendar {
            day: Some(20_000),
            refills: 12,
            age_ms: Some(3_600_000),
            left_ms: Some(-77),
            lost: false,
        },
    }
}

const USERS: [UserRecord; 2] = [
    UserRecord {
        id: 0xfedc_ba98_7654_3210,
        used: 9_900,
        strikes: Strikes::new(3, 11),
    },
    UserRecord {
        id: 5,
        used: 1,
        strikes: Strikes::NONE,
    },
];
const BLOCK: BlockRecord = BlockRecord {
    id: 0x0123_4567_89ab_cdef,
    left_ms: 299_999,
};

fn image() -> Vec<u8> {
    let mut image = vec![0xaa; size(2, 3)];
    let [first, second] = USERS;
    let users = [first, UserRecord::EMPTY, second].into_iter();
    let length = encode(&mut image, &header(2, 3), users, [BLOCK].into_iter());
    assert_eq!(length, Ok(image.len()));
    image
}

/// The checksum that the bytes should have.
fn seal(image: &mut [u8]) {
    let end = image.len() - 4;
    let sum = crc::crc32(&image[..end]);
    image[end..].copy_from_slice(&sum.to_le_bytes());
}

/// Changes bytes of a whole image and its checksum with them.
fn resealed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut image);
    image
}

fn error(image: &[u8]) -> Option<RestoreError> {
    Image::verify(image, &key()).err()
}

#[test]
fn reads_what_was_written() {
    let bytes = image();
    let image = Image::verify(&bytes, &key()).unwrap();
    assert_eq!(image.header(), &header(2, 3));
    assert!(image.users().eq(USERS));
    assert!(image.blocks().eq([BLOCK]));
}

#[test]
fn finds_an_image_at_the_beginning_of_a_larger_region() {
    let mut bytes = image();
    bytes.extend([0xff; 100]);
    assert_eq!(error(&bytes), None);
}

#[test]
fn refuses_every_image_with_one_bit_flipped() {
    let mut bytes = image();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(error(&bytes).is_some(), "byte {at}, bit {bit}");
            // Nor does it help that more bytes follow.
            let mut longer = bytes.clone();
            longer.extend([0; 64]);
            assert!(
                error(&longer).is_some(),
                "byte {at}, bit {bit}, and more after it"
            );
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn refuses_every_image_that_ends_too_early() {
    let bytes = image();
    // Was taken for a new device, though a file that was emptied is none.
    let (needed, found) = (68, 0);
    assert_eq!(error(&[]), Some(RestoreError::Truncated { needed, found }));
    for erased in [0xff, 0] {
        assert_eq!(error(&[erased; 76]), Some(RestoreError::Blank));
        assert_ne!(error(&[erased; 75]), Some(RestoreError::Blank), "too short");
    }
    let mut nearly = [0; 76];
    nearly[75] = 0xff;
    assert_eq!(error(&nearly), Some(RestoreError::NoImage));
    for found in 1..bytes.len() {
        let needed = if found < 12 { 68 } else { bytes.len() };
        let truncated = RestoreError::Truncated { needed, found };
        assert_eq!(error(&bytes[..found]), Some(truncated), "{found}");
    }
}

#[test]
fn tells_a_torn_image_from_a_corrupt_one() {
    let mut older = header(2, 3);
    older.number -= 1;
    let mut old = vec![0; size(2, 3)];
    encode(&mut old, &older, USERS.into_iter(), [].into_iter()).unwrap();
    let new = image();
    for old in [old, vec![0xff; new.len()]] {
        for cut in 48..new.len() - 8 {
            let torn = [&new[..cut], &old[cut..]].concat();
            assert_eq!(error(&torn), Some(RestoreError::Torn), "{cut}");
        }
        for cut in new.len() - 8..new.len() {
            let torn = [&new[..cut], &old[cut..]].concat();
            let given = error(&torn);
            assert!(
                matches!(given, Some(RestoreError::Torn | RestoreError::Corrupt)),
                "{cut}"
            );
        }
    }
}

#[test]
fn skips_what_a_newer_minor_version_appended() {
    // One byte more in the header, two more a user, three more a token, four before the end.
    let old = image();
    let (head, rest) = old.split_at(68);
    let (users, rest) = rest.split_at(3 * 16);
    let (tokens, _) = rest.split_at(2 * 16);
    let mut new = head.to_vec();
    new.push(1);
    users
        .chunks(16)
        .for_each(|user| new.extend([user, &[2; 2]].concat()));
    tokens
        .chunks(16)
        .for_each(|token| new.extend([token, &[3; 3]].concat()));
    new.extend([4; 4]);
    new.extend(&old[old.len() - 8..]);
    new[5] = 1;
    new[6] = 69;
    let length = u32::try_from(new.len()).unwrap();
    new[8..12].copy_from_slice(&length.to_le_bytes());
    new[20] = 18;
    new[22] = 19;
    new[64] |= 0x80; // a flag that this version does not know
    seal(&mut new);
    let image = Image::verify(&new, &key()).unwrap();
    assert_eq!(image.header(), &header(2, 3));
    assert!(image.users().eq(USERS));
    assert!(image.blocks().eq([BLOCK]));
    // The same as our own version is nonsense.
    new[5] = 0;
    seal(&mut new);
    assert_eq!(error(&new), Some(RestoreError::Corrupt));
}

#[test]
fn refuses_another_major_version_whatever_follows() {
    for major in [0, 1, 255] {
        let version = RestoreError::Version { major, minor: 0 };
        assert_eq!(error(&resealed(4, &[major])), Some(version));
    }
    assert_eq!(
        error(b"LIMI\x03\x09"),
        Some(RestoreError::Version { major: 3, minor: 9 })
    );
}

#[test]
fn refuses_numbers_that_no_limiter_writes_though_the_checksum_is_right() {
    assert_eq!(error(&resealed(0, b"LIMI")), None, "the checksum is right");
    let nonsense: [(usize, &[u8]); 16] = [
        (6, &[67]), // a header too short
        (12, &[4]), // more users than there are bytes
        (12, &u32::MAX.to_le_bytes()),
        (16, &[1]),  // fewer tokens
        (20, &[15]), // records too short
        (22, &[0, 0]),
        (48, &((1_u64 << 44) + 1).to_le_bytes()), // an age beyond all monotonic time
        (48, &(-2_001_i64).to_le_bytes()),        // time behind a mark by more than M2 allows
        (56, &(23 * 3_600_000_i64 + 2_001).to_le_bytes()), // farther off than D10b allows
        (56, &i64::MIN.to_le_bytes()),
        (64, &[0]),                   // never fed, but of some day
        (64, &[1]),                   // never advanced, but with a bound
        (64, &[11]),                  // an unknown flag
        (68 + 12, &[1, 0, 0, 0]),     // no strikes, on some day
        (68 + 16 + 8, &[1]),          // nobody has used something
        (68 + 48 + 8, &[0, 0, 0, 0]), // a block that is over
    ];
    for (at, bytes) in nonsense {
        assert_eq!(
            error(&resealed(at, bytes)),
            Some(RestoreError::Corrupt),
            "{at}: {bytes:?}"
        );
    }
    assert_eq!(
        error(&resealed(68 + 48 + 12, &[1])),
        Some(RestoreError::Corrupt)
    );
}

#[test]
fn refuses_more_records_than_there_is_room_for() {
    let mut bytes = [0; size(1, 1)];
    let given = encode(&mut bytes, &header(1, 1), USERS.into_iter(), [].into_iter());
    assert_eq!(given, Err(EncodeError::TooManyRecords));
    assert!(error(&bytes).is_some());
    let blocks = [BLOCK, BLOCK].into_iter();
    let given = encode(&mut bytes, &header(1, 1), [].into_iter(), blocks);
    assert_eq!(given, Err(EncodeError::TooManyRecords));
}

#[test]
fn an_error_says_what_is_wrong() {
    let texts = [
        (
            RestoreError::Blank,
            "there is no image: the storage is blank",
        ),
        (
            RestoreError::Truncated {
                needed: 9,
                found: 4,
            },
            "the image is truncated: 4 of 9 bytes",
        ),
        (RestoreError::NoImage, "it does not begin like an image"),
        (
            RestoreError::Version { major: 2, minor: 1 },
            "the image has version 2.1, not 2",
        ),
        (
            RestoreError::Torn,
            "the image is torn: it begins and ends as different ones",
        ),
        (RestoreError::Corrupt, "the image is corrupt"),
        (
            RestoreError::Foreign,
            "the image was made under another hash key",
        ),
        (
            RestoreError::NoRoom {
                users: 2,
                tokens: 1,
            },
            "the image holds 2 users and 1 blocked tokens, more than there is room for",
        ),
        (
            RestoreError::CountsLost,
            "the image says that the counts of its day are lost",
        ),
        (RestoreError::InUse, "the limiter has decided already"),
    ];
    for (error, text) in texts {
        assert_eq!(std::format!("{error}"), text);
    }
    let needed = EncodeError::BufferTooSmall { needed: 108 };
    assert_eq!(std::format!("{needed}"), "the image takes 108 bytes");
    let many = std::format!("{}", EncodeError::TooManyRecords);
    assert_eq!(many, "there are more records than the image has room for");
}

#[test]
fn sizes_are_a_formula() {
    assert_eq!(
        [size(0, 0), size(1, 0), size(0, 1), size(32, 16)],
        [76, 92, 92, 844]
    );
    assert_eq!(size(usize::MAX, 0), 76 + 16 * (1 << 24));
}

/// Images of released versions, as text: what reads them must read them for ever.
#[test]
fn reads_the_images_of_every_version() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snapshot/images");
    let mut read = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let bytes: Vec<u8> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| {
                line.split_whitespace()
                    .map(String::from)
                    .collect::<Vec<_>>()
            })
            .map(|byte| u8::from_str_radix(&byte, 16).unwrap())
            .collect();
        let image = Image::verify(&bytes, &key()).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let users: Vec<_> = image.users().collect();
        let blocks: Vec<_> = image.blocks().collect();
        read.push(std::format!(
            "{name}: {:?} {users:?} {blocks:?}",
            image.header()
        ));
    }
    read.sort();
    let wanted = [
        std::format!("2.0-day: {:?} {:?} {:?}", header(2, 3), USERS, [BLOCK]),
        std::format!("2.0-lost: {:?} [] []", lost()),
        std::format!("2.0-new: {:?} [] []", new()),
    ];
    assert_eq!(read, wanted);
}

fn lost() -> Header {
    Header {
        number: 1,
        calendar: SavedCalendar {
            day: None,
            refills: 0,
            age_ms: Some(0),
            left_ms: None,
            lost: true,
        },
        ..header(1, 1)
    }
}

fn new() -> Header {
    Header {
        number: 0,
        calendar: SavedCalendar {
            age_ms: None,
            lost: false,
            ..lost().calendar
        },
        ..header(1, 1)
    }
}

proptest! {
    #[test]
    fn random_bytes_are_no_image(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Image::verify(&bytes, &key()).is_err());
        // Nor with a beginning that is right.
        if let Some(head) = bytes.get_mut(..8) {
            head.copy_from_slice(b"LIMI\x02\x00\x44\x00");
            prop_assert!(Image::verify(&bytes, &key()).is_err());
        }
    }

    #[test]
    fn an_image_with_several_bytes_changed_is_refused(
        changes in prop::collection::vec((0..156_usize, 1..=255_u8), 1..4),
    ) {
        let (whole, mut bytes) = (image(), image());
        for (at, change) in changes {
            bytes[at] ^= change;
        }
        prop_assume!(bytes != whole);
        prop_assert!(Image::verify(&bytes, &key()).is_err());
    }

    /// Whoever can compute a checksum can say what he likes, but only what makes sense is read,
    /// and it is read as it stands.
    #[test]
    fn a_sealed_image_is_sane_or_corrupt(
        changes in prop::collection::vec((8..148_usize, any::<u8>()), 0..6),
    ) {
        let mut bytes = image();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let length = bytes.len();
        let sum = crc::crc32(&bytes[..length - 4]);
        bytes[length - 4..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(image) = Image::verify(&bytes, &key()) {
            prop_assert!(image.header().calendar.is_sane());
            let mut again = vec![0; length];
            // In the order and with the gaps that were there.
            let users = drafted_users(&bytes);
            encode(&mut again, image.header(), users, image.blocks()).unwrap();
            let blocks: Vec<_> = image.blocks().collect();
            let reread = Image::verify(&again, &key()).unwrap();
            prop_assert_eq!(reread.header(), image.header());
            prop_assert!(reread.users().eq(image.users()));
            prop_assert!(reread.blocks().eq(blocks));
        }
    }
}
