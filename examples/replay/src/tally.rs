//! What a pass came to: counts by outcome, and by token.

use limiter_core::{Outcome, Reason};

use crate::log::{Entry, Log};
use crate::verdict::Verdict;

/// Counts verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were admitted.
    pub admitted: u64,
    /// Requests of origin webhook.
    pub exempt: u64,
    refused: [u64; Reason::ALL.len()],
    /// By the token's place in the log.
    tokens: Vec<TokenTally>,
}

/// What one token asked for, exempt requests apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenTally {
    /// Its requests.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
}

impl Tally {
    /// Counts nothing yet.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        Self {
            admitted: 0,
            exempt: 0,
            refused: [0; Reason::ALL.len()],
            tokens: vec![TokenTally::default(); log.tokens().len()],
        }
    }

    /// Counts one verdict.
    pub fn count(&mut self, entry: &Entry, verdict: &Verdict) {
        let refused = match verdict.outcome {
            Outcome::Exempt => {
                self.exempt += 1;
                return;
            }
            Outcome::Admitted => {
                self.admitted += 1;
                false
            }
            Outcome::Refused(reason) => {
                for (known, count) in Reason::ALL.iter().zip(&mut self.refused) {
                    *count += u64::from(*known == reason);
                }
                true
            }
        };
        if let Some(caller) = entry.caller {
            let token = &mut self.tokens[caller.token as usize];
            token.requests += 1;
            token.refused += u64::from(refused);
        }
    }

    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.admitted + self.exempt + self.refused_in_all()
    }

    /// Requests refused for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Requests refused for each reason, in the order of SPEC 7.
    pub fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.refused)
    }

    /// Up to `count` tokens that were refused most often, the most often first; of equals the one
    /// that asked more, then the one that came first. Each is told by its place in the log.
    #[must_use]
    pub fn worst(&self, count: usize) -> Vec<(usize, TokenTally)> {
        let refused = self.tokens.iter().copied().enumerate();
        let mut worst: Vec<_> = refused.filter(|(_, token)| token.refused > 0).collect();
        worst.sort_by_key(|&(place, token)| {
            (std::cmp::Reverse((token.refused, token.requests)), place)
        });
        worst.truncate(count);
        worst
    }
}
