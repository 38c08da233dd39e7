//! A file that changes under a limiter in use.

use super::*;
use crate::{Concurrent, Decide as _, Locked, Manage, SharedClock};
use limiter_core::{HashKey, Instant, Method, Now, Reason, Registration, Request};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that goes when the test is over.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("limiter-live-{}-{next}.toml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    /// Puts another file in its place.
    fn write(&self, text: &str) {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, &self.0).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn key() -> HashKey {
    HashKey::new([3; 16])
}

fn now() -> Now {
    Now::new(Instant::from_millis(1_000), None)
}

fn start<D: Manage>(file: &File, limiter: impl FnOnce(Policy) -> D) -> LiveConfig<D> {
    let config = Config::read(&file.0).unwrap();
    let limiter = Arc::new(limiter(config.limits.policy));
    let clock = SharedClock::from_fn(|| Ok(now()));
    LiveConfig::start(&file.0, config, limiter, key(), clock).unwrap()
}

fn small(policy: Policy) -> Locked {
    Locked::new(policy, 4, 4)
}

/// Limit and what is left of it and of the day after a POST; or why not.
fn post<D: Manage>(live: &LiveConfig<D>, token: &str) -> Result<(u32, u32, u32), Reason> {
    let request = Request::new(key().token(token.as_bytes()), Method::Post);
    let decision = live.limiter().check(&request, now());
    match decision.reason() {
        Some(reason) => Err(reason),
        None => {
            let quota = decision.quota().unwrap();
            Ok((quota.limit, quota.remaining, quota.daily_left.unwrap_or(0)))
        }
    }
}

fn tokens(list: &[(&str, &str, &str)]) -> String {
    let mut text = String::new();
    for (token, user, plan) in list {
        text += &format!("[[tokens]]\ntoken = '{token}'\nuser = '{user}'\nplan = '{plan}'\n");
    }
    text
}

const PRESET: &str = "preset = 'pipedrive'\n";

#[test]
fn keeps_what_is_used_over_a_change_of_everything() {
    keeps_what_is_used(|policy| Locked::new(policy, 8, 8));
    keeps_what_is_used(|policy| Concurrent::new(policy, 8, 8));
}

fn keeps_what_is_used<D: Manage>(limiter: impl FnOnce(Policy) -> D) {
    let before = tokens(&[
        ("a", "u", "advanced"),
        ("b", "v", "essential"),
        ("c", "w", "essential"),
    ]);
    let file = File::new(&format!("{PRESET}{before}"));
    let mut live = start(&file, limiter);
    assert_eq!(post(&live, "a"), Ok((40, 39, 9_999)));
    assert_eq!(post(&live, "b"), Ok((20, 19, 9_999)));
    let after = tokens(&[
        ("a", "u", "advanced"),
        ("b", "v", "enterprise"),
        ("d", "x", "essential"),
    ]);
    let head = "plans.advanced.api_token = 50\ndaily.limit = 7\norigins.ui = ['/app/']\n";
    file.write(&format!("{PRESET}{head}{after}"));
    let changes = live.reload().unwrap();
    assert_eq!(
        changes.to_string(),
        "policy changed; paths with an origin of their own: /app/ (ui); 1 token registered; 1 token updated; 1 token revoked"
    );
    assert_eq!(post(&live, "a"), Ok((50, 48, 5)));
    assert_eq!(post(&live, "b"), Ok((120, 118, 5)));
    assert_eq!(post(&live, "c"), Err(Reason::Unauthenticated));
    assert_eq!(post(&live, "d"), Ok((20, 19, 6)));
    let origins = live.origins();
    assert_eq!(
        (origins.of("/app/x"), origins.of("/ui/x")),
        (Origin::Ui, Origin::Api)
    );
    assert_eq!(live.reload().unwrap().to_string(), "nothing changed");
}

#[test]
fn a_file_without_tokens_revokes_all_only_if_that_is_allowed() {
    let limiter = |policy| Concurrent::new(policy, 8, 8);
    let file = File::new(&format!("{PRESET}{}", tokens(&[("a", "u", "advanced")])));
    let mut live = start(&file, limiter);
    for empty in [PRESET.to_owned(), format!("{PRESET}tokens = []\n")] {
        file.write(&empty);
        let error = live.reload().unwrap_err().to_string();
        assert!(
            error.ends_with("lists no token, and would revoke all 1"),
            "{error}"
        );
        assert!(post(&live, "a").is_ok());
    }
    let mut live = live.allow_empty(true);
    assert_eq!(live.reload().unwrap().revoked, 1);
    assert_eq!(post(&live, "a"), Err(Reason::Unauthenticated));
}

#[test]
fn plans_go_on_by_name_in_whatever_order() {
    let plan = |name: &str, limit: u32| {
        format!("[plans.{name}]\napi_token = {limit}\naccess_token = {limit}\n")
    };
    let listed = tokens(&[("a", "u", "low"), ("b", "v", "high")]);
    let file = File::new(&format!(
        "window = '2s'\n{}{}{listed}",
        plan("low", 5),
        plan("high", 9)
    ));
    let mut live = start(&file, small);
    file.write(&format!(
        "window = '2s'\n{}{}{}{listed}",
        plan("new", 7),
        plan("high", 90),
        plan("low", 50)
    ));
    let changes = live.reload().unwrap();
    assert_eq!((changes.policy, changes.updated), (true, 0));
    let limit = |token| post(&live, token).map(|(limit, ..)| limit);
    assert_eq!((limit("a"), limit("b")), (Ok(50), Ok(90)));
}

#[test]
fn a_plan_goes_with_its_last_token_and_stays_for_one_that_is_not_of_the_file() {
    let gold = "[plans.gold]\napi_token = 6\naccess_token = 6\n";
    let file = File::new(&format!("{PRESET}{gold}{}", tokens(&[("a", "u", "gold")])));
    let mut live = start(&file, small);
    let place = Config::read(&file.0)
        .unwrap()
        .limits
        .plans
        .find("gold")
        .unwrap();
    let outsider = Registration::new(key().user(b"o"), Kind::ApiToken, place);
    let token = key().token(b"o");
    live.limiter().register(token, outsider, now()).unwrap();

    file.write(&format!("{PRESET}{}", tokens(&[("a", "u", "advanced")])));
    let changes = live.reload().unwrap();
    assert_eq!(
        changes.to_string(),
        "1 token updated; plans kept for tokens not of the file: gold"
    );
    assert_eq!(post(&live, "o"), Ok((6, 5, 9_999)));
    assert_eq!(post(&live, "a"), Ok((40, 39, 9_999)));

    live.limiter().revoke(token, now());
    assert_eq!(live.reload().unwrap().to_string(), "policy changed");
    assert_eq!(
        live.limiter().policy().window_limit(place, Kind::ApiToken),
        None
    );
}

#[test]
fn a_token_of_another_user_or_kind_keeps_its_window() {
    let file = File::new(&format!("{PRESET}{}", tokens(&[("a", "u", "advanced")])));
    let mut live = start(&file, small);
    assert_eq!(post(&live, "a"), Ok((40, 39, 9_999)));
    file.write(&format!("{PRESET}{}", tokens(&[("a", "v", "advanced")])));
    assert_eq!(live.reload().unwrap().updated, 1);
    assert_eq!(post(&live, "a"), Ok((40, 38, 9_999)));
    let kind = tokens(&[("a", "v", "advanced")]) + "kind = 'access_token'\n";
    file.write(&format!("{PRESET}{kind}"));
    assert_eq!(live.reload().unwrap().updated, 1);
    assert_eq!(post(&live, "a"), Ok((160, 157, 0)));
}

#[test]
fn a_wrong_file_is_told_in_a_line_and_changes_nothing() {
    let file = File::new(&format!("{PRESET}{}", tokens(&[("a", "u", "advanced")])));
    let mut live = start(&file, small);
    post(&live, "a").unwrap();
    let name = file.0.display().to_string();
    let wrong = "plans.advanced.api_token = 0\nwindow = '1'\n";
    file.write(&format!("{PRESET}{wrong}{}", tokens(&[("b", "u", "gold")])));
    let error = live.reload().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{name}:2: plans.advanced.api_token: a window limit must be at least 1 (and 2 more mistakes)"
        )
    );
    assert_eq!(post(&live, "a"), Ok((40, 38, 9_998)));
    assert_eq!(post(&live, "b"), Err(Reason::Unauthenticated));
    std::fs::remove_file(&file.0).unwrap();
    let error = live.reload().unwrap_err().to_string();
    assert!(
        error.starts_with(&name) && error.lines().count() == 1,
        "{error}"
    );
    assert_eq!(post(&live, "a"), Ok((40, 37, 9_997)));
}

#[test]
fn tokens_that_have_no_room_change_nothing() {
    let before = [("a", "u", "advanced"), ("b", "v", "advanced")];
    let file = File::new(&format!("{PRESET}{}", tokens(&before)));
    let mut live = start(&file, small);
    assert_eq!(post(&live, "a"), Ok((40, 39, 9_999)));
    let after = [
        ("c", "u", "essential"),
        ("b", "v", "enterprise"),
        ("d", "v", "essential"),
        ("e", "v", "essential"),
        ("f", "v", "essential"),
    ];
    file.write(&format!("{PRESET}daily.limit = 5\n{}", tokens(&after)));
    let error = live.reload().unwrap_err().to_string();
    assert!(
        error.ends_with(": the tables have no room for its 5 tokens"),
        "{error}"
    );
    assert_eq!(post(&live, "a"), Ok((40, 38, 9_998)));
    assert_eq!(post(&live, "b"), Ok((40, 39, 9_999)));
    for token in ["c", "d", "e", "f"] {
        assert_eq!(post(&live, token), Err(Reason::Unauthenticated), "{token}");
    }
    assert_eq!(live.limiter().with(|l| l.statistics().tokens), 2);
}

#[test]
fn a_look_reads_a_changed_file_once_it_is_at_rest() {
    let file = File::new(&format!("{PRESET}{}", tokens(&[("a", "u", "advanced")])));
    let mut live = start(&file, small).allow_empty(true);
    for _ in 0..3 {
        assert!(live.look().is_none());
    }
    file.write(&format!("{PRESET}{}", tokens(&[("b", "u", "advanced")])));
    assert!(live.look().is_none(), "it may not be whole yet");
    let told = live.look().unwrap().unwrap().to_string();
    assert_eq!(told, "1 token registered; 1 token revoked");
    assert!(live.look().is_none());

    file.write("preset = 'pipe'\n");
    assert!(live.look().is_none());
    assert!(live.look().unwrap().is_err());
    assert!(live.look().is_none(), "it is told once");
    file.write(&format!("{PRESET}table = {{ tokens = 9, users = 9 }}\n"));
    assert!(live.look().is_none());
    let told = live.look().unwrap().unwrap().to_string();
    assert_eq!(
        told,
        "1 token revoked; the size of the tables changes at the next start"
    );
}
