//! Requests that pass whatever the limits.

use super::*;

const PREFLIGHT: &[(&str, &str)] = &[
    ("origin", "https://app.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "x-api-token"),
];

#[test]
fn a_cors_preflight_is_not_asked_for_a_credential() {
    let rig = Rig::new();
    rig.exhaust();
    let calls = rig.calls();
    let answer = rig.ask("OPTIONS", "/v1/deals", PREFLIGHT);
    assert_eq!((answer.status, answer.body.as_str()), (200, "served"));
    assert_eq!(answer.numbers(), [Some("7"), None, None, None, None]);
    assert_eq!(rig.calls(), calls + 1);
    rig.set(BROKEN);
    assert_eq!(rig.ask("OPTIONS", "/v1/deals", PREFLIGHT).status, 200);
}

#[test]
fn what_is_no_preflight_is_decided_as_ever() {
    let rig = Rig::new();
    for (method, headers) in [
        ("OPTIONS", &PREFLIGHT[..1]),
        ("OPTIONS", &PREFLIGHT[1..]),
        ("OPTIONS", &[]),
        ("POST", PREFLIGHT),
        ("options", PREFLIGHT),
    ] {
        assert_eq!(rig.ask(method, "/", headers).status, 401, "{method}");
    }
    assert_eq!(rig.calls(), 0);
    let limited = rig.with(|layer| layer.exempt_preflight(false));
    assert_eq!(limited.ask("OPTIONS", "/", PREFLIGHT).status, 401);
}

#[test]
fn exempts_what_it_is_given_and_nothing_else() {
    let rig = Rig::new().with(|layer| {
        layer
            .origin(|_| Origin::Ui)
            .exempt(|head| head.uri.path() == "/healthz")
            .exempt(|head| head.uri.path() == "/readyz")
    });
    for path in ["/healthz", "/readyz", "/healthz?verbose"] {
        let answer = rig.ask("GET", path, &[]);
        assert_eq!((answer.status, answer.numbers()[1]), (200, None), "{path}");
    }
    for path in ["/", "/healthz/", "/v1/healthz"] {
        assert_eq!(rig.ask("GET", path, &[]).status, 401, "{path}");
    }
    let charged = rig.ask("POST", "/v1", A);
    assert_eq!(charged.numbers()[1..4], [Some("39"), Some("2"), None]);
    let exempt = rig.limiter.with(|l| l.statistics().exempt());
    assert_eq!(exempt, 3);
}
