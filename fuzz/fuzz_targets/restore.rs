//! Restores any bytes, as they are and with a checksum that is right. What is refused changes
//! nothing; what is restored is what the image says, and is written again the same way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limiter_core::snapshot::Image;
use limiter_core::{HashKey, Instant, Limiter, OffTime, Policy, Reserve, Reserved};

const KEY: HashKey = HashKey::new([7; 16]);

fuzz_target!(|data: &[u8]| {
    restore(data);
    let mut sealed = data.to_vec();
    if sealed.len() >= 76 {
        sealed[..4].copy_from_slice(b"LIMI");
        sealed[4] = 2;
        sealed[24..32].copy_from_slice(&KEY.check_value().to_le_bytes());
        let end = sealed.len() - 4;
        let number = [32, 33, 34, 35].map(|at| sealed[at]);
        sealed[end - 4..end].copy_from_slice(&number);
        let length = u32::try_from(sealed.len()).expect("inputs are short");
        sealed[8..12].copy_from_slice(&length.to_le_bytes());
        let sum = crc32(&sealed[..end]);
        sealed[end..].copy_from_slice(&sum.to_le_bytes());
        restore(&sealed);
    }
});

fn restore(bytes: &[u8]) {
    let image = Image::verify(bytes, &KEY);
    let at = Instant::from_millis(5);
    let mut device = Reserved::<8, 8>::new(Policy::pipedrive(), Reserve::DEFAULT);
    let restored = device.restore(&KEY, bytes, OffTime::Trust, at);
    let mut plain = Limiter::<8, 8>::new(Policy::pipedrive());
    let into_plain = plain.restore(&KEY, bytes, OffTime::Ignore, at);
    let Ok(restored) = restored else {
        assert!(!device.limiter().calendar().is_started());
        assert_eq!((device.limiter().statistics().users, plain.statistics().users), (0, 0));
        return;
    };
    let image = image.expect("what was restored was whole");
    assert_eq!(into_plain.is_ok(), !image.header().calendar.lost);
    let mut again = [0; limiter_core::snapshot::size(8, 8)];
    let written = device.limiter().snapshot(&KEY, restored.number, &mut again, at);
    let again = &again[..written.expect("the buffer is large enough")];
    let again = Image::verify(again, &KEY).expect("what was written is whole");
    let (before, after) = (image.header().calendar, again.header().calendar);
    assert_eq!((before.day, before.refills, before.lost), (after.day, after.refills, after.lost));
    assert_eq!((before.age_ms, before.left_ms), (after.age_ms, after.left_ms));
}

/// Bit by bit, unlike the limiter's own.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
