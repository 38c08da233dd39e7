//! Recorded traces, each with the decisions that the specification demands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use limiter_core::{HashKey, Plan, Policy, Registration, Request, TokenLimit};
use limiter_model as model;
use limiter_model::trace::Event;

use crate::twin::{core_kind, core_request};
use crate::{Seen, Subject, now};

/// Replays every pair `<name>.trace.jsonl` and `<name>.decisions.jsonl` of a folder through a new
/// subject of the preset policy; answers the number of decisions.
///
/// # Panics
///
/// If a file cannot be read, or a decision differs in any field.
pub fn replay_folder<S: Subject>(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry can be read").file_name())
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".trace.jsonl")?.to_owned()))
        .collect();
    names.sort();
    names.iter().map(|name| replay::<S>(folder, name)).sum()
}

/// Returns the project's own vectors.
#[must_use]
pub fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// Returns the shared vectors: the folder that `LIMITER_VECTORS` names, else one beside the
/// workspace; `None` if there is no such folder.
#[must_use]
pub fn shared_folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vectors");
    let folder = std::env::var_os("LIMITER_VECTORS").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn replay<S: Subject>(folder: &Path, name: &str) -> usize {
    let read = |what: &str| {
        let path = folder.join(format!("{name}.{what}.jsonl"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let (trace, decisions) = (read("trace"), read("decisions"));
    let mut replay = Replay::<S>::new();
    let mut count = 0;
    let mut wanted = decisions.lines();
    for line in trace.lines() {
        let event = Event::read(line).unwrap_or_else(|e| panic!("{name} {count}: {e}"));
        let given = replay.decide(&event).line(count);
        assert_eq!(
            Some(given.as_str()),
            wanted.next(),
            "{name} {count}: {line}"
        );
        count += 1;
    }
    assert_eq!(wanted.next(), None, "{name}: a decision without a line");
    count
}

/// Drives a subject through a trace as SPEC 11 says.
struct Replay<S> {
    subject: S,
    key: HashKey,
    /// The plan of each token's last line.
    plans: BTreeMap<String, usize>,
}

impl<S: Subject> Replay<S> {
    fn new() -> Self {
        Self {
            subject: S::new(Policy::pipedrive()),
            key: HashKey::new(*b"only for vectors"),
            plans: BTreeMap::new(),
        }
    }

    fn decide(&mut self, event: &Event) -> Seen {
        let now = now(event.now.t_ms, event.now.utc);
        if event.origin != model::Origin::Webhook {
            self.make_known(event);
        }
        let request = core_request(&model::Request {
            token: None,
            method: event.method,
            origin: event.origin,
            cost: event.cost,
        });
        let caller = event.caller.as_ref();
        let token = caller.map(|caller| self.key.token(caller.token.as_bytes()));
        Seen::from(&self.subject.check(&Request { token, ..request }, now))
    }

    fn make_known(&mut self, event: &Event) {
        let Some(caller) = &event.caller else { return };
        let token = self.key.token(caller.token.as_bytes());
        let plan = Plan::new(u8::try_from(event.plan).expect("there are four plans"));
        match self.plans.insert(caller.token.clone(), event.plan) {
            None => {
                let user = self.key.user(caller.user.as_bytes());
                let registration = Registration::new(user, core_kind(event.kind), plan);
                let now = now(event.now.t_ms, event.now.utc);
                self.subject
                    .register(token, registration, now)
                    .expect("the table has room for every token of a trace");
            }
            Some(before) if before != event.plan => self
                .subject
                .update(token, TokenLimit::Plan(plan))
                .expect("the token is registered"),
            Some(_) => {}
        }
    }
}
