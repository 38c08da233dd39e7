//! What can be chosen, one by one.

use super::*;
use limiter_core::Reason;
use sfv::{BareItem, List, ListEntry, Parser};

#[test]
fn takes_credential_cost_method_and_origin_from_closures() {
    let rig = Rig::new().with(|layer| {
        layer
            .credential(|head| {
                Ok(head
                    .uri
                    .path()
                    .split('/')
                    .nth(1)
                    .map(|t| t.as_bytes().into()))
            })
            .cost(|head| match head.headers.get("x-cost") {
                Some(_) => NonZeroU32::new(10).unwrap(),
                None => NonZeroU32::MIN,
            })
            .method(|head| match head.uri.path() {
                "/a/search" => Method::Get,
                _ => Method::from_name(head.method.as_str()),
            })
            .origin(|head| match head.headers.get("x-ui") {
                Some(_) => Origin::Ui,
                None => Origin::Api,
            })
    });
    let remaining = |path, headers| rig.ask("POST", path, headers).numbers()[1..4].join_all();
    assert_eq!(remaining("/a/deals", &[]), "39 2 9999");
    assert_eq!(remaining("/a/search", &[]), "38 2 -");
    assert_eq!(remaining("/a/deals", &[("x-ui", "")]), "37 2 -");
    assert_eq!(remaining("/a/deals", &[("x-cost", "")]), "27 2 9989");
    assert_eq!(rig.ask("POST", "/b/deals", A).status, 401);
}

trait JoinAll {
    fn join_all(&self) -> String;
}

impl JoinAll for [Option<&str>] {
    fn join_all(&self) -> String {
        let words: Vec<&str> = self.iter().map(|word| word.unwrap_or("-")).collect();
        words.join(" ")
    }
}

#[test]
fn tells_the_hook_every_decision_and_no_credential() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let rig = Rig::new().with(|layer| {
        layer.on_decision(move |event| {
            let reason = event.decision.reason().map_or("-", Reason::word);
            let line = format!("{reason} {} {:?}", event.passes, event.request.method);
            log.lock().unwrap().push(line);
            assert!(!format!("{event:?}").contains("unknown"));
        })
    });
    rig.post();
    rig.ask("GET", "/", &[("x-api-token", "unknown")]);
    let expected = ["- true Post", "unauthenticated false Get"];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn calls_every_hook_in_turn_and_times_decisions_if_told_to() {
    let seen: Arc<Mutex<Vec<(u8, bool)>>> = Arc::default();
    let hook = |number| {
        let seen = Arc::clone(&seen);
        move |event: &Event<'_>| seen.lock().unwrap().push((number, event.took.is_some()))
    };
    let rig = Rig::new().with(|layer| layer.on_decision(hook(1)).on_decision(hook(2)));
    rig.get();
    let rig = rig.with(|layer| layer.time_decisions(true));
    rig.get();
    let expected = [(1, false), (2, false), (1, true), (2, true)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn refuses_nobody_in_the_shadow_and_reports_all() {
    let refusals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refusals);
    let rig = Rig::new().with(|layer| {
        layer.shadow(true).on_decision(move |event| {
            assert!(event.passes);
            count.fetch_add(
                usize::from(!event.decision.is_admitted()),
                Ordering::Relaxed,
            );
        })
    });
    for _ in 0..40 {
        rig.get();
    }
    let over = rig.get();
    assert_eq!((over.status, over.body.as_str()), (200, "served"));
    assert_eq!(
        over.numbers(),
        [Some("40"), Some("0"), Some("2"), None, None]
    );
    let two = [("x-api-token", "a"), ("authorization", "Bearer b")];
    for headers in [&[][..], &two] {
        let answer = rig.ask("GET", "/", headers);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.numbers(), [Some("7"), None, None, None, None]);
    }
    assert_eq!((rig.calls(), refusals.load(Ordering::Relaxed)), (43, 3));
    let refused = rig.limiter.with(|l| l.statistics().refused(Reason::Window));
    assert_eq!(refused, 1);
}

#[test]
fn gives_back_what_a_failed_request_took_if_told_to() {
    let used = |rig: &Rig| 40 - rig.get().numbers()[1].unwrap().parse::<u32>().unwrap() - 1;

    let rig = Rig::new().with(|layer| layer.refund_on_5xx(true));
    rig.behave(Behaviour::Answer(503));
    let failed = rig.post();
    assert_eq!((failed.status, failed.numbers()[3]), (503, Some("9999")));
    rig.behave(Behaviour::Fail);
    assert_eq!(rig.try_ask("POST", "/", A).unwrap_err(), ServiceFailed);
    rig.behave(Behaviour::Answer(499));
    rig.post();
    rig.behave(Behaviour::Answer(200));
    assert_eq!(used(&rig), 1, "the 499 alone");
    assert_eq!(rig.post().numbers()[3], Some("9998"));

    let keeps = Rig::new();
    keeps.behave(Behaviour::Answer(503));
    keeps.post();
    keeps.behave(Behaviour::Answer(200));
    assert_eq!(used(&keeps), 1);
}

#[test]
fn spreads_the_return_of_each_token_and_never_makes_it_earlier() {
    let rig = Rig::new().with(|layer| layer.retry_jitter(Duration::from_secs(1_000)));
    let wait = |headers| -> u32 {
        let refused = loop {
            let answer = rig.ask("GET", "/", headers);
            if answer.status == 429 {
                break answer;
            }
        };
        assert_eq!(refused.numbers()[2], Some("2"));
        refused.numbers()[4].unwrap().parse().unwrap()
    };
    let first = wait(A);
    assert_eq!(first, wait(A));
    let other = wait(&[("x-api-token", "o")]);
    assert_ne!(first, other, "two tokens of this key differ");
    for jittered in [first, other] {
        assert!((2..=1_002).contains(&jittered), "{jittered}");
    }
    rig.set(BROKEN);
    assert_eq!(rig.get().numbers()[4], Some("1"), "an outage is short");
}

#[test]
fn sends_no_quota_headers_if_told_not_to() {
    let rig = Rig::new().with(|layer| layer.quota_headers(false));
    assert_eq!(rig.post().numbers(), [Some("7"), None, None, None, None]);
    rig.exhaust();
    assert_eq!(rig.get().numbers(), [None, None, None, None, Some("2")]);
}

#[test]
fn writes_structured_fields_that_another_parser_understands() {
    let rig = Rig::new().with(|layer| layer.style(Style::STANDARDS));
    let post = rig.post();
    assert_eq!(
        items(&post, "ratelimit-policy"),
        ["window q=40 w=2", "daily q=10000 w=86400"]
    );
    assert_eq!(
        items(&post, "ratelimit"),
        ["window r=39 t=2", "daily r=9999"]
    );
    let get = rig.get();
    assert_eq!(items(&get, "ratelimit-policy"), ["window q=40 w=2"]);
    rig.exhaust();
    let refused = rig.get();
    assert_eq!(items(&refused, "ratelimit"), ["window r=0 t=2"]);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let problem: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!(["window"]));
    assert_eq!(rig.ask("GET", "/", &[]).header("ratelimit"), None);
}

#[test]
fn takes_the_policy_in_force_for_the_fields() {
    let rig = Rig::new().with(|layer| layer.style(Style::STANDARDS));
    let policy = Policy::builder()
        .window(Duration::from_secs(10))
        .plan(Plan::ADVANCED, 5, 6)
        .daily_limit(3)
        .build()
        .unwrap();
    rig.limiter.with(|l| l.set_policy(policy)).unwrap();
    assert_eq!(rig.limiter.policy(), policy);
    assert_eq!(
        items(&rig.post(), "ratelimit-policy"),
        ["window q=5 w=10", "daily q=3 w=86400"]
    );
}

/// The items of a structured list, each a string with integers for parameters.
fn items(answer: &Answer, name: &str) -> Vec<String> {
    let field = answer.header(name).unwrap();
    let list: List = Parser::new(field).parse().unwrap();
    let shown = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list in {field}");
        };
        let BareItem::String(policy) = &item.bare_item else {
            panic!("no string in {field}");
        };
        let mut shown = policy.as_str().to_owned();
        for (key, value) in &item.params {
            let BareItem::Integer(value) = value else {
                panic!("no integer in {field}");
            };
            shown += &format!(" {}={}", key.as_str(), value);
        }
        shown
    };
    list.iter().map(shown).collect()
}
