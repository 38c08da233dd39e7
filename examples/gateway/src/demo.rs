//! The tokens that are known without a file.

use limiter_host::config::{Plans, TokenEntry};
use limiter_host::core::{Kind, Plan, TokenLimit};

/// `demo-PLAN` and `demo-oauth-PLAN`, of a user each, for every plan there is; and two integrations
/// of one user, `martin-1` and `martin-2`, of the plan advanced, or of the first plan if none is
/// called so.
#[must_use]
pub fn tokens(plans: &Plans) -> Vec<TokenEntry> {
    let mut tokens = Vec::new();
    for (name, plan) in plans.iter() {
        for (prefix, kind) in [("demo", Kind::ApiToken), ("demo-oauth", Kind::AccessToken)] {
            let token = format!("{prefix}-{name}");
            tokens.push(entry(&token, &token, kind, plan));
        }
    }
    let first = plans.iter().next().map(|(_, plan)| plan);
    if let Some(plan) = plans.find("advanced").or(first) {
        for token in ["martin-1", "martin-2"] {
            tokens.push(entry(token, "martin", Kind::ApiToken, plan));
        }
    }
    tokens
}

fn entry(token: &str, user: &str, kind: Kind, plan: Plan) -> TokenEntry {
    TokenEntry {
        token: token.to_owned(),
        user: user.to_owned(),
        kind,
        limit: TokenLimit::Plan(plan),
    }
}
