//! A small generator of pseudorandom numbers, SplitMix64: the same for the same seed, everywhere.

/// The state of the generator.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// An index of a list of `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % len as u64).expect("it is less than `len`")
    }

    /// One of a list.
    pub(super) fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// One of a list, each as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, list: &[(u64, T)]) -> T {
        let total: u64 = list.iter().map(|&(weight, _)| weight).sum();
        let mut at = self.next() % total;
        for &(weight, item) in list {
            if at < weight {
                return item;
            }
            at -= weight;
        }
        unreachable!("`at` is less than the sum of the weights")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(numbers, published);
    }

    #[test]
    fn the_ends_of_a_range_are_met_and_not_passed() {
        let mut random = Random::new(1);
        let numbers: Vec<u64> = (0..1_000).map(|_| random.between(3, 6)).collect();
        assert_eq!(
            (numbers.iter().min(), numbers.iter().max()),
            (Some(&3), Some(&6))
        );
        assert!((0..1_000).all(|_| random.weighted(&[(0, false), (1, true)])));
    }
}
