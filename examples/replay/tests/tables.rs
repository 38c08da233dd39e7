//! Small tables: what they decide is what an unbounded one decides, or `table_full` (T2, T3).

mod support;

use limiter_core::{Outcome, Policy, Reason};
use limiter_model::Policy as ModelPolicy;
use limiter_model::generate::{Generator, Profile};
use limiter_model::trace::Event;
use replay::backend::{BackendName, TableSize};
use replay::log::Log;
use support::log;

/// Some generated traces woven into one, each with tokens and users of its own; monotonic time
/// never goes back, since T2 promises nothing when it does.
fn woven(profile: Profile, traces: u64, lines: usize) -> Log {
    let mut generators: Vec<Generator> = (0..traces)
        .map(|seed| Generator::new(ModelPolicy::pipedrive(), profile, seed))
        .collect();
    let mut text = String::new();
    let mut latest_ms = 0;
    for i in 0..lines {
        // Some lines of each in turn, so that others fall idle meanwhile.
        let turn = (i / 12) % generators.len();
        let mut event: Event = generators[turn].next().unwrap();
        latest_ms = latest_ms.max(event.now.t_ms);
        event.now.t_ms = latest_ms;
        if let Some(caller) = &mut event.caller {
            caller.token.push_str(&format!(" of {turn}"));
            caller.user.push_str(&format!(" of {turn}"));
        }
        text.push_str(&event.line());
        text.push('\n');
    }
    log(text.as_bytes())
}

/// Replays through a small table, and through the model without what the table had no room for;
/// answers how many requests were refused with `table_full`, and how many rows were evicted.
fn compare(log: &Log, backend: BackendName, table: TableSize) -> (usize, u64) {
    let policy = Policy::pipedrive();
    let mut small = backend.build(&policy, table).unwrap();
    let mut unbounded = BackendName::Model.build(&policy, table).unwrap();
    let mut full = 0;
    for (i, entry) in log.entries().iter().enumerate() {
        let given = small.decide(entry).unwrap();
        if given.outcome == Outcome::Refused(Reason::TableFull) {
            assert_eq!((given.status(), given.retry_after_ms), (503, Some(1_000)));
            assert_eq!((given.limit, given.daily_left), (None, None));
            full += 1;
        } else {
            let wanted = unbounded.decide(entry).unwrap();
            assert_eq!(
                given, wanted,
                "{backend}, {table:?}, request {i}: {entry:?}"
            );
        }
    }
    let counts = small.statistics().unwrap();
    assert_eq!(counts.table_full, full as u64);
    (full, counts.evicted_tokens)
}

const PROFILES: [Profile; 4] = [
    Profile::Edges,
    Profile::Days,
    Profile::Clocks,
    Profile::Flood,
];

#[test]
fn a_small_table_decides_like_an_unbounded_one_or_is_full() {
    let mut full = 0;
    let mut evicted = 0;
    for profile in PROFILES {
        let log = woven(profile, 6, 6_000);
        for (tokens, users) in [(1, 1), (2, 1), (3, 3), (5, 4), (9, 6), (17, 12)] {
            for backend in [
                BackendName::Core,
                BackendName::Shared,
                BackendName::Concurrent,
            ] {
                let (f, e) = compare(&log, backend, TableSize { tokens, users });
                full += f;
                evicted += e;
            }
        }
    }
    assert!(
        full > 1_000 && evicted > 1_000,
        "{full} full, {evicted} evicted"
    );
}

#[test]
fn a_table_with_room_for_all_is_never_full() {
    for profile in PROFILES {
        let log = woven(profile, 6, 3_000);
        let table = TableSize {
            tokens: log.tokens().len(),
            users: log.users(),
        };
        assert_eq!(compare(&log, BackendName::Core, table), (0, 0));
    }
}
