//! [`limiter_host::RedisLimiter`] against its specification, on servers that the tests start.
//!
//! Without a `redis-server` on the machine they pass and say so, unless `LIMITER_REDIS_REQUIRED`
//! is set; `./ci.sh redis` installs one and sets it.

mod checkup;
mod cluster;
mod differential;
mod faults;
mod history;
mod instances;
mod leases;
mod processes;
mod records;
mod subject;
#[cfg(feature = "redis-tls")]
mod tls;
mod together;
mod vectors;
#[cfg(feature = "config")]
mod waiting;

mod every_rule {
    use crate::subject::{Stored, is_possible};

    limiter_suite::suite!(roomy: Stored, when: is_possible());
}
