//! The limiter for threads that wait: a configuration file that is followed, and plain calls.

use std::sync::Arc;

use limiter_core::{Method, Request};
use limiter_host::config::{Config, LiveConfig};
use limiter_host::redis::{Blocking, RedisLimiter};
use limiter_host::{Decide as _, SharedClock};
use limiter_redis_servers::Server;

use crate::instances::{key, patient, token};

fn text(tokens: &str) -> String {
    format!(
        "window = '1h'\ndaily = {{ limit = 90, mode = 'fair_use', \
         tolerated_days = 1, forgiven_after_days = 2 }}\n\
         plans.only = {{ api_token = 9, access_token = 9 }}\n{tokens}"
    )
}

const A: &str = "[[tokens]]\ntoken = 'a'\nuser = 'u'\nplan = 'only'\n";
const OF_ANOTHER: &str = "[[tokens]]\ntoken = 'a'\nuser = 'v'\nplan = 'only'\n";

#[test]
fn a_file_that_is_followed_keeps_what_is_used_and_needs_the_store_for_little() {
    let Some(server) = Server::start() else {
        return;
    };
    let path = std::env::temp_dir().join(format!("limiter-followed-{}.toml", server.port()));
    std::fs::write(&path, text(A)).expect("a temporary file");
    let config = Config::read(&path).expect("a configuration");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let limiter = RedisLimiter::connect(config.limits.policy, patient(&server.url()));
    let limiter = runtime.block_on(limiter).expect("an address");
    let blocking = Arc::new(Blocking::new(limiter.clone(), runtime.handle().clone()));
    let clock = SharedClock::system();
    let now = || clock.now().expect("a clock");
    let mut live = LiveConfig::start(&path, config, Arc::clone(&blocking), key(), clock.clone())
        .expect("there is room")
        .allow_empty(true);
    let get = Request::new(token("a"), Method::Get);
    for remaining in [8, 7] {
        let decision = blocking.check(&get, now());
        assert_eq!(
            decision.quota().map(|quota| quota.remaining),
            Some(remaining)
        );
    }
    // Another policy, in a mode that has the store asked about strikes.
    let larger = text(A).replace("api_token = 9", "api_token = 19");
    std::fs::write(&path, larger).expect("a temporary file");
    assert!(live.reload().expect("a policy").policy);
    let decision = blocking.check(&get, now());
    assert_eq!(decision.quota().map(|quota| quota.remaining), Some(16));
    let receipt = decision.into_receipt().expect("an admission");
    assert_eq!(blocking.refund(receipt, now()).window, 1);
    // Revoked, and taken up again with another user: its window goes along.
    std::fs::write(&path, text("")).expect("a temporary file");
    assert_eq!(live.reload().expect("no tokens").revoked, 1);
    assert_eq!(blocking.check(&get, now()).status(), Some(401));
    std::fs::write(&path, text(OF_ANOTHER)).expect("a temporary file");
    live.reload().expect("the same token");
    let decision = blocking.check(&get, now());
    assert_eq!(decision.quota().map(|quota| quota.remaining), Some(6));

    // Without the store a policy comes into force all the same, and what cannot be told stays.
    drop(server);
    std::fs::write(&path, text(A).replace("90", "80")).expect("a temporary file");
    let refused = live
        .reload()
        .expect_err("whose window goes along cannot be told");
    assert!(refused.to_string().contains("tokens[0]"), "{refused}");
    std::fs::write(&path, text(OF_ANOTHER).replace("90", "80")).expect("a temporary file");
    assert!(live.reload().expect("a policy").policy);
    assert_eq!(limiter.policy().daily().limit, 80);
    std::fs::remove_file(&path).expect("it was there");
}
