//! What a person reads when the gateway has started.

use crate::memory::{Memory, MemoryLimit};
use crate::server::Gateway;
use crate::settings::Settings;
use std::fmt::Write as _;

/// Where the gateway listens, for whom, and three curl lines to try. No token of a file is shown.
#[must_use]
pub fn welcome(settings: &Settings, gateway: &Gateway) -> String {
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}", gateway.local_addr());
    let [first, second, third] = if settings.tokens.is_none() {
        ["demo-advanced", "demo-essential", "demo-oauth-enterprise"]
    } else {
        ["YOUR-TOKEN"; 3]
    };
    let mut text = match &settings.upstream {
        Some(upstream) => format!("gateway: listening on {url}, forwarding to {upstream}\n"),
        None => format!("gateway: listening on {url}, answering by itself\n"),
    };
    let (memory, limit) = (Memory::of(settings), MemoryLimit::of(settings));
    text += &format!("gateway: memory {memory}; {limit}\n");
    let origins = &settings.policy.origins;
    if origins.iter().next().is_some() {
        // OK because writing to a String does not fail.
        let _ = writeln!(
            text,
            "gateway: freed of limits, by path: {origins}; no token is asked for below a webhook's"
        );
    }
    if settings.exempt_preflight {
        text += "gateway: CORS preflight requests pass without a token\n";
    }
    if let Some(admin) = gateway.admin_addr() {
        text += &format!("gateway: for operators http://{admin}/");
        text += if admin.ip().is_loopback() {
            "\n"
        } else {
            ", without a login, for all who reach it\n"
        };
    }
    // OK because writing to a String does not fail.
    let _ = write!(
        text,
        "Try:\n  \
         curl -i -X POST -H 'x-api-token: {first}' {url}/v1/deals\n  \
         curl -i '{url}/v1/deals?api_token={second}'\n  \
         curl -i -H 'authorization: Bearer {third}' {url}/v1/deals\n\
         Ctrl-C ends it.\n"
    );
    text
}
