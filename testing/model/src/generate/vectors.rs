//! The project's own vectors: what `testing/vectors` holds, made anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Generator, Profile};
use crate::policy::Policy;
use crate::trace::{Replay, decision_line};

/// The names of the vectors and the profiles they are made of.
pub const VECTORS: [(&str, Profile); 4] = [
    ("edges", Profile::Edges),
    ("days", Profile::Days),
    ("clocks", Profile::Clocks),
    ("flood", Profile::Flood),
];

/// Holds a trace and its decisions, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The trace; every other line leaves its defaults out.
    pub trace: String,
    /// The model's decisions.
    pub decisions: String,
}

impl Vector {
    /// Makes the vector of a profile.
    #[must_use]
    pub fn make(profile: Profile) -> Self {
        let mut replay = Replay::new(Policy::pipedrive());
        let mut vector = Self {
            trace: String::new(),
            decisions: String::new(),
        };
        let generator = Generator::new(Policy::pipedrive(), profile, SEED);
        for (i, event) in generator.take(LINES).enumerate() {
            let line = if i % 2 == 0 {
                event.line()
            } else {
                event.short_line()
            };
            let decision = decision_line(i, &replay.decide(&event));
            writeln!(vector.trace, "{line}").expect("a string takes all");
            writeln!(vector.decisions, "{decision}").expect("a string takes all");
        }
        vector
    }
}

/// Returns the folder that holds the vectors, in the source tree of this crate.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

const LINES: usize = 400;
const SEED: u64 = 16;
