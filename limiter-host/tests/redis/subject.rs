//! The limiter on a server of the tests' own, asked by one task.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use limiter_core::{
    Decision, Instant, Now, Outage, Policy, PolicyError, Receipt, Refunded, RegisterError,
    Registered, Registration, Request, Statistics, TokenId, TokenLimit, UpdateError,
};
use limiter_host::RedisLimiter;
use limiter_host::redis::{ManageError, RedisConfig, StoreTime};
use limiter_redis_servers::Server;
use limiter_suite::Subject;
use tokio::runtime::Runtime;

/// One server for all tests that only need keys of their own.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);

/// Whether there is a server to test on.
pub(crate) fn is_possible() -> bool {
    SERVER.is_some()
}

/// A limiter with keys of its own.
pub(crate) struct Stored {
    runtime: Runtime,
    limiter: RedisLimiter,
}

/// A configuration for keys of one's own on the common server.
pub(crate) fn config() -> RedisConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.as_ref().expect("looked for before");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    RedisConfig::from_url(&server.url())
        .expect("an address")
        .key_prefix(&format!("limiter:{number}"))
        .time(StoreTime::Injected)
        .connect_timeout(PATIENCE)
        .response_timeout(PATIENCE)
}

impl Subject for Stored {
    const TOKENS: usize = 64;
    const USERS: usize = 32;

    fn new(policy: Policy) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let limiter = runtime
            .block_on(RedisLimiter::connect(policy, config().capacity(64)))
            .expect("an address");
        assert_eq!(limiter.store_statistics().outages, 0);
        Self { runtime, limiter }
    }

    fn check(&mut self, request: &Request, now: Now) -> Decision {
        self.runtime.block_on(self.limiter.check(request, now))
    }

    fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
        self.limiter.refuse_for(request, outage)
    }

    fn check_with_failed_clock(&mut self, request: &Request) -> Decision {
        self.limiter.refuse_for(request, Outage::ClockFailed)
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.runtime.block_on(self.limiter.peek(request, now))
    }

    fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        let refunded = self.runtime.block_on(self.limiter.refund(receipt, now));
        refunded.expect("the store is there")
    }

    fn register(
        &mut self,
        token: TokenId,
        registration: Registration,
        _: Now,
    ) -> Result<Registered, RegisterError> {
        let registered = self.limiter.register(token, registration);
        self.runtime.block_on(registered).map_err(refused)
    }

    fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.limiter.update(token, limit)
    }

    fn revoke(&mut self, token: TokenId, now: Now) -> bool {
        self.runtime.block_on(self.limiter.revoke(token, now))
    }

    fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
        let unblocked = self.limiter.unblock(token);
        self.runtime.block_on(unblocked).map_err(refused)
    }

    fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        let set = self.limiter.set_policy(policy);
        self.runtime.block_on(set).map_err(refused)
    }

    fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        let next = self.limiter.next_reset(token, Now::new(now, None));
        self.runtime.block_on(next).expect("the store is there")
    }

    fn statistics(&self) -> Statistics {
        self.limiter.statistics()
    }

    fn accounting_day(&self) -> (Option<u32>, u32) {
        let day = self.limiter.accounting_day();
        self.runtime.block_on(day).expect("the store is there")
    }
}

fn refused<E: std::fmt::Debug>(error: ManageError<E>) -> E {
    match error {
        ManageError::Refused(error) => error,
        error => panic!("the store is there: {error:?}"),
    }
}

/// Far longer than a server takes, so that a busy machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
