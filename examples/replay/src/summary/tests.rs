use super::*;
use crate::backend::{BackendName, TableSize};
use crate::input::{Format, Reader};
use crate::run::{Output, run};
use limiter_core::{HashKey, Plan, Policy};
use limiter_host::config::Plans;

const TIMES: Times = Times {
    read: Duration::from_millis(1_500),
    decided: Duration::from_millis(20),
    plans: Duration::from_millis(10),
};

/// 45 requests of `loud` in one window, 2 of `calm`, one that shows no token, one bad line.
fn trace() -> String {
    let mut text = String::from("{\"t_ms\":0,\"token\":\"calm\"}\nnot JSON\n");
    for _ in 0..45 {
        text.push_str("{\"t_ms\":1,\"token\":\"loud\",\"plan\":\"advanced\"}\n");
    }
    text + "{\"t_ms\":2,\"token\":\"calm\",\"origin\":\"webhook\"}\n{\"t_ms\":2}\n"
}

fn summary_of(text: &str, backend: BackendName) -> String {
    let policy = Policy::pipedrive();
    let reader = Reader {
        format: Format::Trace,
        key: &HashKey::new([16; 16]),
        plans: &Plans::pipedrive(),
        plan: None,
        skip_bad: true,
    };
    let reading = reader.read(text.as_bytes(), |_| ()).unwrap();
    let decide = |plan| {
        let mut backend = backend
            .build(&policy, TableSize::for_log(&reading.log))
            .unwrap();
        let nowhere = &mut Output::none();
        let tally = run(&reading.log, &mut *backend, plan, nowhere, |_| ()).unwrap();
        (tally, backend.statistics())
    };
    let (tally, statistics) = decide(None);
    let plans = [
        ("essential", Plan::ESSENTIAL),
        ("professional", Plan::PROFESSIONAL),
    ];
    let plans = plans.map(|(name, plan)| (name, decide(Some(plan)).0));
    Summary {
        reading: &reading,
        backend: &backend.into(),
        tally: &tally,
        statistics,
        plans: &plans,
        times: TIMES,
    }
    .to_string()
}

#[test]
fn a_person_is_told_what_the_pass_came_to() {
    let shown = summary_of(&trace(), BackendName::Core);
    let loud = HashKey::new([16; 16]).token(b"loud").as_u64() >> 32;
    let wanted = format!(
        "48 requests of 2 tokens and 2 users, decided by `core`
1 bad line left out; the first: line 2: `line` is no JSON object: expected ident at column 2
read in 1.500s, decided and written in 20.000ms: 2 400 decisions/s
(without writing, by `core`: 9 600 decisions/s)
  admitted                        41   85.4 %
  exempt                           1    2.0 %
  refused                          6   12.5 %
    window                         5   10.4 %
    unauthenticated                1    2.0 %
table: 2 tokens and 2 users at the end, 0 and 0 evicted, 1 row at most to find a token
refused most often:
  token {loud:08x}…, first in line 3: 5 of 45 requests
if all callers had one plan:
  essential                       26   54.1 % refused (25 window, 1 unauthenticated)
  professional                     1    2.0 % refused (1 unauthenticated)
"
    );
    assert_eq!(shown, wanted);
}

#[test]
fn no_token_is_shown() {
    let shown = summary_of(&trace(), BackendName::Model);
    assert!(
        !shown.contains("loud") && !shown.contains("calm"),
        "{shown}"
    );
}

#[test]
fn an_empty_log_has_a_summary_too() {
    let shown = summary_of("", BackendName::Model);
    assert!(
        shown.starts_with("0 requests of 0 tokens and 0 users"),
        "{shown}"
    );
    assert!(
        shown.contains("  admitted                         0        -\n"),
        "{shown}"
    );
}

#[test]
fn numbers_are_grouped_and_rates_do_not_overflow() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_000), "1 000");
    assert_eq!(grouped(12_345_678), "12 345 678");
    assert_eq!(share(1, 3), "33.3 %");
    assert_eq!(share(u64::MAX, u64::MAX), "100.0 %");
    assert_eq!(per_second(7, Duration::ZERO), "-");
    assert_eq!(per_second(u64::MAX, Duration::from_nanos(1)), "-");
    assert_eq!(per_second(3, Duration::from_millis(2)), "1 500");
}
