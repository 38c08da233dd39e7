//! Identities: keyed hashes of credentials, never the credentials themselves (SPEC T4).
//!
//! The hash is SipHash-1-3 with an injected 128-bit key: a caller who chooses tokens but does not
//! know the key can neither aim at a slot of the table nor make two tokens collide. It is computed
//! *before* any lock is taken. There is no default key, since a published key would be none.

use crate::math::widen;
use core::fmt;
use core::num::NonZeroU64;

/// The 128-bit key under which tokens and users are hashed.
///
/// Take it from a cryptographically secure source; on a device without one, from a random value
/// written to flash at provisioning. It must stay the same over restarts for a snapshot to be
/// restored. `Debug` and `defmt` never show it.
///
/// ```
/// use limiter_core::HashKey;
///
/// let key = HashKey::new(*b"provisioned once");
/// assert_eq!(key.token(b"a1b2"), key.token(b"a1b2"));
/// assert_ne!(key.token(b"a1b2"), key.token(b"a1b3"));
/// assert_eq!(format!("{key:?}"), "HashKey(..)");
/// ```
#[derive(Clone)]
pub struct HashKey {
    k0: u64,
    k1: u64,
}

impl HashKey {
    /// Takes the key's 16 bytes.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        let value = u128::from_le_bytes(key);
        Self {
            k0: low64(value),
            k1: low64(value >> 64),
        }
    }

    /// Hashes a credential: the bytes after `Bearer`, the value of `x-api-token`.
    ///
    /// *O*(bytes): about 6 instructions a byte on a 64-bit host. Does not allocate.
    #[must_use]
    pub fn token(&self, credential: &[u8]) -> TokenId {
        TokenId(non_zero(self.hash(Domain::Token, credential)))
    }

    /// Hashes the name of an account.
    #[must_use]
    pub fn user(&self, account: &[u8]) -> UserId {
        UserId(non_zero(self.hash(Domain::User, account)))
    }

    /// A keyed hash of a constant, which tells an image that was made under this key from others'
    /// (R1). It gives nothing of the key away.
    #[must_use]
    pub fn check_value(&self) -> u64 {
        self.hash(Domain::Check, b"limiter-core: which key made this image?")
    }

    fn hash(&self, domain: Domain, bytes: &[u8]) -> u64 {
        let mut hasher = SipHash::<1, 3>::new(self.k0, self.k1);
        hasher.v1 ^= domain.tag();
        hasher.digest(bytes)
    }
}

/// The use that a hash has. Equal bytes have unrelated hashes in two of them: a credential that is an
/// account's name, or the text behind the check value, does not show in the other's id.
#[derive(Clone, Copy)]
enum Domain {
    User,
    Token,
    Check,
}

impl Domain {
    /// Goes into the initial state, as the function's 128-bit form differs from this one. A user's
    /// hash is plain SipHash.
    const fn tag(self) -> u64 {
        match self {
            Self::User => 0,
            Self::Token => 0x74,
            Self::Check => 0x63,
        }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for HashKey {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "HashKey(..)");
    }
}

/// A token's identity: the keyed hash of a credential.
///
/// Two credentials share an id with a probability of about *n*² / 2^65 among *n* of them, and then
/// share one allowance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(NonZeroU64);

impl TokenId {
    /// The id of a number that the device gives out itself: a channel, a bus address, a row of a
    /// configuration.
    ///
    /// No two numbers share an id, and numbers that count up are spread over the table as hashes
    /// are. There is no secret in it: a client that may choose the number can choose one whose row
    /// lies among others'. A credential, or a number that comes from a caller, is for
    /// [`HashKey::token`]. 2 multiplications of 32 bits and 2 more for the low half, no division.
    ///
    /// ```
    /// # use limiter_core::TokenId;
    /// const PUMP: TokenId = TokenId::from_u32(17);
    /// assert_ne!(PUMP, TokenId::from_u32(18));
    /// ```
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        Self(spread(number))
    }

    /// An id computed elsewhere, by a keyed hash whose key no caller knows.
    ///
    /// The table places a row by the id's bits as they are, so these must be spread as a hash
    /// spreads them: ids that count up, or that a caller may choose, gather in one place and make
    /// every look-up visit all of them. For numbers that are your own use [`TokenId::from_u32`].
    #[must_use]
    pub const fn from_hash(hash: NonZeroU64) -> Self {
        Self(hash)
    }

    /// The id as a number, for storage and for display to an operator.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }
}

/// A user's identity: the keyed hash of an account's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(NonZeroU64);

impl UserId {
    /// The id of a number that the device gives out itself; see [`TokenId::from_u32`].
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        Self(spread(number))
    }

    /// An id computed elsewhere, by a keyed hash whose key no caller knows.
    ///
    /// The table places a row by the id's bits as they are, so these must be spread as a hash
    /// spreads them: ids that count up, or that a caller may choose, gather in one place and make
    /// every look-up visit all of them. For numbers that are your own use [`UserId::from_u32`].
    #[must_use]
    pub const fn from_hash(hash: NonZeroU64) -> Self {
        Self(hash)
    }

    /// The id as a number, for storage and for display to an operator.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({:016x})", self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({:016x})", self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for TokenId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TokenId({=u64:016x})", self.0.get());
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for UserId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "UserId({=u64:016x})", self.0.get());
    }
}

/// Spreads a number over 64 bits: each half is a bijection of the number, so no two numbers share
/// an id, and every bit of the number changes every bit of the id with even odds.
const fn spread(number: u32) -> NonZeroU64 {
    let high = mix(number);
    // Never 0 together with `high`: the mix of a number that is not 0 is not 0.
    let low = mix(high ^ 0x9e37_79b9);
    non_zero((widen(high) << 32) | widen(low))
}

/// A bijection of 32 bits with full avalanche ("lowbias32" of Wellons' hash prospector).
const fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// SipHash with `C` rounds a block and `D` at the end (Aumasson and Bernstein, 2012).
struct SipHash<const C: usize, const D: usize> {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl<const C: usize, const D: usize> SipHash<C, D> {
    const fn new(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline]
    fn digest(mut self, bytes: &[u8]) -> u64 {
        #[cfg(target_pointer_width = "64")]
        let rest = self.fives(bytes);
        #[cfg(not(target_pointer_width = "64"))]
        let rest = bytes;

        let last = self.remainder(rest);
        // The last block: the bytes left over, and the length modulo 256 on top.
        self.block(last | length_byte(bytes.len()));
        self.v2 ^= 0xff;
        for _ in 0..D {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    /// Takes whole blocks, and gives the bytes left over as a number.
    #[inline]
    fn remainder(&mut self, bytes: &[u8]) -> u64 {
        if cfg!(target_pointer_width = "64") && bytes.is_empty() {
            return 0;
        }
        let (blocks, tail) = bytes.as_chunks::<8>();
        for block in blocks {
            self.block(u64::from_le_bytes(*block));
        }
        let mut last = 0_u64;
        for &byte in tail.iter().rev() {
            last = (last << 8) | u64::from(byte);
        }
        last
    }

    /// Takes blocks by fives, of which a credential of 40 bytes is made, and gives what is left: a
    /// loop that goes around once costs nothing.
    #[cfg(target_pointer_width = "64")]
    #[inline]
    fn fives<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while let Some((five, others)) = rest.split_first_chunk::<40>() {
            for block in five.as_chunks::<8>().0 {
                self.block(u64::from_le_bytes(*block));
            }
            rest = others;
        }
        rest
    }

    #[inline]
    fn block(&mut self, block: u64) {
        self.v3 ^= block;
        for _ in 0..C {
            self.round();
        }
        self.v0 ^= block;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

/// Zero marks a vacant row, so no id may be zero; hash 0 becomes 1.
const fn non_zero(hash: u64) -> NonZeroU64 {
    match NonZeroU64::new(hash) {
        Some(hash) => hash,
        None => NonZeroU64::MIN,
    }
}

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "modulo 2^64, by name"
)]
const fn low64(value: u128) -> u64 {
    value as u64
}

#[allow(
    clippy::as_conversions,
    reason = "only the low byte of the length is used"
)]
const fn length_byte(length: usize) -> u64 {
    (length as u64) << 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Key 00 01 … 0f, the key of the published vectors.
    const K0: u64 = 0x0706_0504_0302_0100;
    const K1: u64 = 0x0f0e_0d0c_0b0a_0908;

    #[test]
    fn matches_the_published_vectors_of_siphash_2_4() {
        // Appendix A of the SipHash paper: the input 00 01 … 0e; and the reference
        // implementation's first vectors.
        let input: Vec<u8> = (0..15).collect();
        let digest = |n: usize| SipHash::<2, 4>::new(K0, K1).digest(&input[..n]);
        assert_eq!(digest(15), 0xa129_ca61_49be_45e5);
        assert_eq!(
            digest(0),
            u64::from_le_bytes([0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72])
        );
        assert_eq!(
            digest(1),
            u64::from_le_bytes([0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74])
        );
        assert_eq!(
            digest(8),
            u64::from_le_bytes([0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93])
        );
    }

    /// A user's id was the id of a token of the same text, and the check value that of a credential.
    #[test]
    fn equal_texts_have_unrelated_ids_as_token_as_user_and_as_check_value() {
        let key = HashKey::new([7; 16]);
        let text = b"limiter-core: which key made this image?";
        let (token, user) = (key.token(text).as_u64(), key.user(text).as_u64());
        let check = key.check_value();
        for (a, b) in [(token, user), (token, check), (user, check)] {
            assert!((16..=48).contains(&(a ^ b).count_ones()), "{a:x} {b:x}");
        }
    }

    #[test]
    fn never_gives_the_id_that_marks_a_vacant_row() {
        assert_eq!(non_zero(0).get(), 1);
    }

    #[test]
    fn numbers_that_count_up_are_spread_over_the_table_as_hashes_are() {
        use crate::{Instant, Kind, Limiter, Now, Plan, Policy, Registration};
        let longest_probe = |id: &dyn Fn(u32) -> TokenId| {
            let mut limiter = Limiter::<128, 1>::new(Policy::pipedrive());
            let user = Registration::new(UserId::from_u32(0), Kind::ApiToken, Plan::ADVANCED);
            let now = Now::new(Instant::ZERO, None);
            for number in 0..60 {
                limiter.register(id(number), user, now).unwrap();
            }
            limiter.statistics().longest_probe
        };
        // Left as they are, all of them meet in one place.
        let bare = |number| TokenId::from_hash(NonZeroU64::new(u64::from(number) + 1).unwrap());
        assert_eq!(longest_probe(&bare), 60);
        for stride in [1, 2, 3, 10, 256, 1 << 16, 1 << 20, 0x0101_0101] {
            let spread = |number: u32| TokenId::from_u32(number.wrapping_mul(stride));
            assert!(longest_probe(&spread) <= 8, "stride {stride}");
        }
    }

    #[test]
    fn every_bit_of_a_number_changes_every_bit_of_its_id_with_even_odds() {
        const SAMPLES: u32 = 2_000;
        for bit in 0..32 {
            let mut changes = [0_u32; 64];
            for number in 0..SAMPLES {
                let other = TokenId::from_u32(number ^ (1 << bit)).as_u64();
                let changed = TokenId::from_u32(number).as_u64() ^ other;
                for (place, count) in changes.iter_mut().enumerate() {
                    *count += u32::from(changed >> place & 1 == 1);
                }
            }
            // Five standard deviations are 112.
            let all_even = changes
                .iter()
                .all(|count| count.abs_diff(SAMPLES / 2) < 130);
            assert!(all_even, "bit {bit}: {changes:?}");
        }
    }

    #[test]
    fn each_half_of_an_id_tells_its_number() {
        // A mix can be undone, so no two numbers share one.
        fn undo(mut x: u32) -> u32 {
            x ^= x >> 16;
            x = x.wrapping_mul(0x4302_1123); // the inverses modulo 2^32
            x ^= (x >> 15) ^ (x >> 30);
            x = x.wrapping_mul(0x1d69_e2a5);
            x ^ (x >> 16)
        }
        for number in (0..u32::MAX).step_by(65_537).chain([u32::MAX]) {
            assert_eq!(undo(mix(number)), number);
            let id = TokenId::from_u32(number).as_u64();
            assert_eq!(undo(crate::math::high32(id)), number);
            assert_eq!(undo(undo(crate::math::low32(id)) ^ 0x9e37_79b9), number);
        }
    }

    #[test]
    fn shows_ids_and_hides_the_key() {
        let key = HashKey::new([7; 16]);
        let shown = std::format!("{key:?} {:?}", key.token(b"secret"));
        assert!(shown.starts_with("HashKey(..) TokenId("), "{shown}");
        assert!(!shown.contains("secret"));
    }

    proptest! {
        #[test]
        fn matches_another_implementation_of_siphash_1_3(
            key: [u8; 16],
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut other = siphasher::sip::SipHasher13::new_with_key(&key);
            other.write(&bytes);
            prop_assert_eq!(HashKey::new(key).user(&bytes).as_u64(), other.finish().max(1));
        }
    }
}
