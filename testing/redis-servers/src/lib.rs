//! Redis servers of one's own, on free loopback ports: started here, and stopped when they are
//! dropped or this process ends, however it ends.
//!
//! They need the `redis-server` of the system's packages, or the program that `REDIS_SERVER` names,
//! such as a `valkey-server`. Where there is none, [`Server::start`] and its like say so once and
//! answer `None`, unless `LIMITER_REDIS_REQUIRED` or `REDIS_SERVER` is set: then they panic.
#![forbid(unsafe_code)]

mod many;
mod process;
mod server;
mod tls;

pub use many::{Cluster, Watched};
pub use process::free_port;
pub use server::{LIMITER_ACL, Options, Server, wait_until};
pub use tls::{Authority, Identity};
