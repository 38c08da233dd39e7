//@ secret: a1b2c3d4e5f60718
//@ secret: martin@example.org
//@ secret: provisioned once
//! Decisions as log lines, and the library's own log points; no credential, account or key may be in what is sent.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(target_arch = "arm")]
use cortex_m as _;
use defmt_semihosting as _;
use limiter_core::{
    HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy, Registration, Request, UnixTime,
};
#[cfg(target_arch = "riscv32")]
use riscv as _;

/// The time of the log: that of the story below.
static MILLIS: AtomicU32 = AtomicU32::new(0);
defmt::timestamp!("{=u32:ms}", MILLIS.load(Ordering::Relaxed));

fn at(millis: u32) -> Now {
    MILLIS.store(millis, Ordering::Relaxed);
    Now::new(
        Instant::from_millis(u64::from(millis)),
        UnixTime::from_secs(1_716_000_000 + u64::from(millis / 1_000)),
    )
}

#[board::entry]
fn main() -> ! {
    let key = HashKey::new(*b"provisioned once");
    let token = key.token(b"a1b2c3d4e5f60718");
    let martin = Registration::new(
        key.user(b"martin@example.org"),
        Kind::ApiToken,
        Plan::ADVANCED,
    )
    .pinned();
    let mut limiter = Limiter::<1, 1>::new(Policy::pipedrive());
    defmt::info!("{} makes ids", key);

    defmt::info!(
        "register {}: {}",
        martin,
        limiter.register(token, martin, at(5))
    );
    let write = Request::new(token, Method::Post);
    defmt::info!("{} is {}", write, limiter.check(&write, at(10)));
    let rest = write.with_cost(NonZeroU32::new(39).unwrap_or(NonZeroU32::MIN));
    defmt::debug!("{}", limiter.check(&rest, at(20)));
    defmt::warn!("{}", limiter.check(&write, at(30)).reason());
    defmt::info!(
        "a day later {}",
        limiter.check(&write, at(86_400_000)).quota()
    );

    let stranger = key.token(b"a1b2c3d4e5f60718, and one more");
    defmt::warn!("{}", limiter.register(stranger, martin, at(86_400_001)));
    defmt::warn!(
        "{}",
        limiter
            .check(&Request::new(stranger, Method::Get), at(86_400_002))
            .outcome()
    );
    let statistics = limiter.statistics();
    defmt::info!(
        "{} admitted, {} refused",
        statistics.admitted(),
        statistics.refused_in_all()
    );
    board::exit(0)
}
