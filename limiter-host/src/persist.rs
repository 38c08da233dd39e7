//! Daily counts, strikes and blocks that survive the end of the process, however it comes
//! (SPEC 10), and the limiter for all cores that keeps them so.
//!
//! | file | says |
//! |---|---|
//! | [`directory`] | where images are: two generations of them, each written whole or not at all |
//! | `folder` | how its files are opened and replaced, whatever others put there |
//! | [`durable`] | [`Durable`]: a permit is handed out once it is stored; who waits for that |
//! | [`options`] | what its owner chooses |
//! | [`health`] | how its writes go |
//! | [`waiting`] | a request that waits for the disk |
//! | [`warning`] | what may be wrong at the start |
//! | `writer` | the thread that writes, one image for all who wait |
//!
//! A write reserves permits ahead ([`Reserve`](limiter_core::Reserve)), so that one in a hundred
//! requests that count daily waits for the disk, and all others for nothing. Whatever happens to
//! the process or the power, no user is admitted more than the daily limit in an accounting day; a
//! crash costs each user at most the reserve. Requests that do not count daily never wait.
//!
//! A [`Locked`](crate::Locked) has no such form: what it would need is
//! [`ReservedIn`](limiter_core::ReservedIn) in the place of the limiter behind its mutex, and a
//! [`Directory`]; `examples/durable-calls.rs` has the few lines.
//!
//! ```
//! use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
//! use limiter_host::persist::{Directory, Durable, Options};
//! use limiter_host::{Concurrent, LimiterLayer, SharedClock};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("persist-doc-{}", std::process::id()));
//! let directory = Directory::open(&path)?;
//! let key = directory.key(|| Some(*b"from the OS, say"))?; // made at the first start, kept then
//! let clock = SharedClock::system();
//! let limiter = Arc::new(Concurrent::new(Policy::pipedrive(), 1_000, 200));
//! let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
//! limiter.register(key.token(b"a1b2c3"), martin, clock.now()?)?;
//!
//! let options = Options::default();
//! let durable = Durable::start(limiter, directory, options, key.clone(), clock.clone())?;
//! for warning in durable.warnings() {
//!     eprintln!("{warning}");
//! }
//! # #[cfg(feature = "tower")]
//! let layer = LimiterLayer::new(Arc::new(durable.clone()), key, clock);
//! durable.close()?; // at the end: the last image is exact
//! # std::fs::remove_dir_all(path)?;
//! # Ok(())
//! # }
//! ```

pub mod directory;
pub mod durable;
#[cfg(unix)]
mod folder;
#[cfg(not(unix))]
#[path = "persist/folder_elsewhere.rs"]
mod folder;
pub mod health;
pub mod options;
mod state;
pub mod waiting;
pub mod warning;
mod writer;

pub use self::directory::{Directory, Flaw, Found, Storage};
pub use self::durable::Durable;
pub use self::health::Health;
pub use self::options::Options;
pub use self::state::Counts;
pub use self::waiting::Waiting;
pub use self::warning::{StartError, Warning};

#[cfg(all(test, limiter_loom))]
mod races;
#[cfg(all(test, not(limiter_loom)))]
mod tests;
