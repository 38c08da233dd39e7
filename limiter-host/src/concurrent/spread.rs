//! Where cores change words: close together if there are many, far apart if there are few.
//!
//! A core that changes a word takes its cache line from all others, and with it the words beside;
//! and since processors fetch lines in pairs, the line beside as well.
//! In a large table that hardly matters, since a line is seldom at hand anyway, and memory does. In
//! a small one, which is in the caches throughout, it would make tokens that have nothing to do
//! with each other wait for each other.

use std::iter::repeat_with;

/// Values of 16 bytes.
pub(super) struct Spread<T> {
    pairs: Box<[Pair<T>]>,
    length: usize,
    /// One less than the values of a pair that are used: eight, or one.
    mask: usize,
    shift: u32,
}

/// Two cache lines.
#[repr(align(128))]
struct Pair<T>([T; IN_PAIR]);

impl<T> Spread<T> {
    /// So many values, all written to once.
    pub(super) fn new(length: usize, vacant: impl Fn() -> T) -> Self {
        const { assert!(size_of::<Pair<T>>() == 128, "eight values fill a pair") };
        let used = if length <= FEW { 1 } else { IN_PAIR };
        let pair = || Pair(std::array::from_fn(|_| vacant()));
        Self {
            pairs: repeat_with(pair).take(length.div_ceil(used)).collect(),
            length,
            mask: used - 1,
            shift: used.trailing_zeros(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        let Pair(values) = self.pairs.get(place >> self.shift)?;
        // The second mask changes nothing: it shows that the place is within the pair.
        values.get(place & self.mask & (IN_PAIR - 1))
    }

    /// The value at a place, if others are beside it.
    #[inline]
    pub(super) fn neighbour(&self, place: usize) -> Option<&T> {
        if self.mask == 0 {
            return None;
        }
        self.get(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.length).filter_map(|place| self.get(place))
    }
}

/// Values that a pair has room for.
const IN_PAIR: usize = 8;

/// So many may have a pair each: 2 MiB, about what a core's own cache holds.
#[cfg(not(limiter_loom))]
const FEW: usize = 1 << 14;
/// Loom counts every word that there is.
#[cfg(limiter_loom)]
const FEW: usize = 0;

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn every_place_has_a_value_of_its_own() {
        for length in [0, 1, 7, 8, 9, FEW, FEW + 1, FEW + 2] {
            let next = Cell::new(0_u128);
            let spread = Spread::new(length, || next.replace(next.get() + 1));
            let mut seen: Vec<u128> = spread.iter().copied().collect();
            assert_eq!((seen.len(), spread.len()), (length, length));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), length);
        }
    }

    #[test]
    fn few_values_lie_two_lines_apart_and_many_side_by_side() {
        let distance = |length| {
            let spread = Spread::new(length, || 0_u128);
            let at = |place| std::ptr::from_ref(spread.get(place).unwrap()).addr();
            at(1) - at(0)
        };
        assert_eq!((distance(FEW), distance(FEW + 1)), (128, 16));
        let has_neighbours = |length| Spread::new(length, || 0_u128).neighbour(1).is_some();
        assert!(!has_neighbours(FEW) && has_neighbours(FEW + 1));
    }
}
