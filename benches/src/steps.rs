//! The requests of a run: who asks, in which order. The same seeds each time.

use limiter_core::{HashKey, TokenId};

/// One request, as a front has it in hand: the credential just parsed, and what hangs on it.
#[derive(Clone, Debug)]
pub struct Step {
    /// A credential of 40 characters. Each step has a copy of its own, and they lie in the order in
    /// which they are walked: a credential that was just parsed is in the cache.
    pub token: String,
    /// Its id, for callers who hash once and keep the id.
    pub id: TokenId,
    /// The account's name, for peers that limit a user's day by a limiter of its own.
    pub user: String,
}

/// How the tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Each token as often as any other.
    Uniform,
    /// The n-th token 1/n as often as the first.
    Zipf,
}

impl Walk {
    /// For the names of rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }
}

/// The key of every hash in a run.
#[must_use]
pub const fn hash_key() -> HashKey {
    HashKey::new(*b"benchmarks only!")
}

/// The `n`-th token's step.
#[must_use]
pub fn step(n: u32) -> Step {
    let token = token(n);
    let id = hash_key().token(token.as_bytes());
    Step {
        token,
        id,
        user: user(n),
    }
}

/// The `n`-th token: 40 hexadecimal digits, as an API token looks.
#[must_use]
pub fn token(n: u32) -> String {
    let mut random = Random(u64::from(n) << 20 | 0x5eed);
    let (high, low) = (random.bits(), random.bits());
    format!("{high:016x}{low:016x}{n:08x}")
}

/// The name of the `n`-th token's user, who has [`TOKENS_PER_USER`] of them.
#[must_use]
pub fn user(n: u32) -> String {
    format!("user-{:011}", n / TOKENS_PER_USER)
}

/// `length` steps over `tokens` tokens.
#[must_use]
pub fn walk(tokens: u32, walk: Walk, length: usize) -> Vec<Step> {
    let mut random = Random(u64::from(tokens) ^ 0x0123_4567_89ab_cdef);
    let zipf = Zipf::new(tokens);
    let draw = |_| match walk {
        Walk::Uniform => step(random.below(tokens)),
        Walk::Zipf => step(zipf.draw(&mut random)),
    };
    (0..length).map(draw).collect()
}

/// Draws ranks that are as likely as 1/rank, by halving the table of sums.
struct Zipf {
    /// Sums of 2^32 / rank, up to each rank.
    sums: Vec<u64>,
}

impl Zipf {
    fn new(tokens: u32) -> Self {
        let shares = (1..=u64::from(tokens)).map(|rank| (1 << 32) / rank);
        let sums = shares.scan(0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        Self {
            sums: sums.collect(),
        }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let all = self.sums.last().copied().unwrap_or(1);
        let at = random.bits() % all;
        u32::try_from(self.sums.partition_point(|&sum| sum <= at)).unwrap_or(0)
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        let scaled = ((self.bits() >> 32) * u64::from(bound)) >> 32;
        u32::try_from(scaled).unwrap_or(0)
    }
}

/// As in the page's example of a user with several integrations.
pub const TOKENS_PER_USER: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_forty_characters_and_all_differ() {
        let mut tokens: Vec<String> = (0..5_000).map(token).collect();
        assert!(tokens.iter().all(|token| token.len() == 40));
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 5_000);
    }

    #[test]
    fn zipf_draws_the_first_token_about_twice_as_often_as_the_second() {
        let zipf = Zipf::new(1_000);
        let mut random = Random(1);
        let mut drawn = [0_u32; 2];
        for _ in 0..100_000 {
            if let Some(count) = drawn.get_mut(zipf.draw(&mut random) as usize) {
                *count += 1;
            }
        }
        let [first, second] = drawn;
        // 1/7.49 of all draws, and half of that.
        assert!((12_900..13_900).contains(&first), "{first}");
        assert!((6_300..7_100).contains(&second), "{second}");
    }

    #[test]
    fn a_uniform_walk_reaches_both_ends_and_nothing_else() {
        let mut random = Random(2);
        let drawn: Vec<u32> = (0..10_000).map(|_| random.below(100)).collect();
        assert_eq!(
            (drawn.iter().min(), drawn.iter().max()),
            (Some(&0), Some(&99))
        );
    }
}
