//! Numbers that look random and are the same in every run.

/// A generator (xorshift).
#[derive(Clone, Debug)]
pub struct Random(u32);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u32) -> Self {
        // A state of 0 would stay there.
        Self(seed.wrapping_mul(0x9e37_79b9) | 1)
    }

    /// Any 32 bits.
    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: u32) -> u32 {
        self.bits().checked_rem(end).unwrap_or(0)
    }
}
