//! The implementations under test.

use limiter_core::Limiter;

/// Room for everybody in a test.
pub(crate) type Roomy = Limiter<64, 32>;

/// Room for four tokens of three users.
pub(crate) type Small = Limiter<4, 3>;
