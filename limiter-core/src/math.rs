//! Integer helpers that keep the core's laws visible: conversions by name, division without the
//! 64-bit division routine that costs 864 bytes and hundreds of cycles on a Cortex-M0.
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the one place where widths change; each function's name says what happens"
)]

/// Widens to 64 bits. Lossless. (`u64::from` is not `const`.)
pub const fn widen(value: u32) -> u64 {
    value as u64
}

/// Keeps the low 32 bits and drops the rest: arithmetic modulo 2^32.
pub const fn low32(value: u64) -> u32 {
    value as u32
}

/// Keeps the high 32 bits.
pub const fn high32(value: u64) -> u32 {
    (value >> 32) as u32
}

/// Widens to a slice index. Lossless: every target has at least 32-bit pointers.
pub const fn to_index(value: u32) -> usize {
    const {
        assert!(
            usize::BITS >= 32,
            "limiter-core needs pointers of at least 32 bits"
        )
    };
    value as usize
}

/// Narrows an index or a length that a capacity check has bounded by 2^24.
pub const fn from_index(value: usize) -> u32 {
    value as u32
}

/// The high word of `value * factor`, for `value < 2^32`: `floor(value * factor / 2^32)`.
pub const fn scale(value: u32, factor: u32) -> u32 {
    high32(widen(value).wrapping_mul(widen(factor)))
}

/// The same of an index or a length of at most 2^32.
#[cfg(target_pointer_width = "64")]
pub const fn scale_index(value: u32, factor: usize) -> usize {
    (value as usize).wrapping_mul(factor) >> 32
}

/// The quotient and remainder of `numerator / divisor`, by shifting and subtracting.
///
/// One step for each significant bit of the quotient: at most 64, and few where the numerator is
/// small. A divisor of 0 gives `(u64::MAX, 0)`.
pub const fn div_rem(numerator: u64, divisor: u32) -> (u64, u32) {
    if divisor == 0 {
        return (u64::MAX, 0);
    }
    let mut quotient = 0_u64;
    let mut remainder = 0_u64;
    let mut bit = 64_u32.wrapping_sub(numerator.leading_zeros());
    while bit > 0 {
        bit = bit.wrapping_sub(1);
        // OK because the remainder is below the divisor, hence below 2^32: doubling it fits.
        remainder = (remainder << 1) | ((numerator >> bit) & 1);
        quotient <<= 1;
        if remainder >= widen(divisor) {
            remainder = remainder.wrapping_sub(widen(divisor));
            quotient |= 1;
        }
    }
    (quotient, low32(remainder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn divides_at_the_edges() {
        assert_eq!(div_rem(0, 7), (0, 0));
        assert_eq!(div_rem(u64::MAX, 1), (u64::MAX, 0));
        assert_eq!(div_rem(u64::MAX, u32::MAX), (0x1_0000_0001, 0));
        assert_eq!(div_rem(5, 0), (u64::MAX, 0));
    }

    proptest! {
        #[test]
        fn divides_like_the_processor(numerator: u64, divisor in 1_u32..) {
            let wide = u64::from(divisor);
            prop_assert_eq!(
                div_rem(numerator, divisor),
                (numerator / wide, u32::try_from(numerator % wide).unwrap())
            );
        }
    }
}
