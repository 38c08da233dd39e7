//! CRC-32 of IEEE 802.3: polynomial 0x04C11DB7 reflected, all ones before and after.
//!
//! It finds every single flipped bit and every burst of up to 32 bits. Half a byte at a time: a
//! table of 64 bytes, two steps for each byte.

/// The checksum of `bytes`. *O*(bytes).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for &byte in bytes {
        sum = step(sum ^ u32::from(byte));
        sum = step(sum);
    }
    !sum
}

/// Takes the low four bits out.
fn step(sum: u32) -> u32 {
    let [index, ..] = (sum & 15).to_le_bytes();
    // There always is such an entry.
    let entry = TABLE.get(usize::from(index)).copied().unwrap_or(0);
    (sum >> 4) ^ entry
}

/// What each value of four bits leaves after four steps of the division.
const TABLE: [u32; 16] = {
    let mut table = [0_u32; 16];
    let mut rest: &mut [u32] = &mut table;
    let mut value = 0_u32;
    while let [entry, others @ ..] = rest {
        let mut sum = value;
        let mut bit = 0;
        while bit < 4_u32 {
            sum = (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg());
            bit = bit.wrapping_add(1);
        }
        *entry = sum;
        value = value.wrapping_add(1);
        rest = others;
    }
    table
};

/// 0x04C11DB7, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_check_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"a"), 0xe8b7_be43);
        assert_eq!(crc32(&[0; 32]), 0x190a_55ad);
        assert_eq!(crc32(&[0xff; 32]), 0xff6c_ab0b);
    }
}
