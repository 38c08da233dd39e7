//! The policy file.

use super::draft::{BlockNumbers, Draft, PRESET_PLANS, judge, preset_block, preset_limit};
use super::error::ConfigError;
use super::read;
use super::reader::{Document, Found, Section};
use super::values::{length, utc, word};
use crate::origins::PathOrigins;
use limiter_core::daily::DailyMode;
use limiter_core::policy::PolicyBuilder;
use limiter_core::{Kind, Method, Methods, Origin, Plan, Policy};
use std::path::Path;

/// What a policy file says; `default` is what an absent file would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The limits.
    pub policy: Policy,
    /// The plans by name.
    pub plans: Plans,
    /// Where requests come from.
    pub origins: PathOrigins,
}

impl PolicyFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all mistakes.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read(path)?, &path.display().to_string())
    }

    /// Checks a text; `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all mistakes.
    ///
    /// ```
    /// use limiter_host::config::PolicyFile;
    ///
    /// let text = "preset = \"pipedrive\"\n[plans.advanced]\napi_token = 0\n[block]\noffense = 5\n";
    /// let error = PolicyFile::parse(text, "policy.toml").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "policy.toml:3: plans.advanced.api_token: a window limit must be at least 1\n\
    ///      policy.toml:5: block.offense: unknown key; known are offences, within, duration, \
    ///      extend_on_hit"
    /// );
    /// ```
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let (document, root) = Document::parse(text, file);
        let root = Section::root(&document, &root);
        root.allow(&POLICY_KEYS);
        let read = read_policy(&root, &Plans::none());
        document.finish(file, read.map(|read| read.file))
    }
}

impl Default for PolicyFile {
    /// The preset.
    fn default() -> Self {
        Self {
            policy: Policy::pipedrive(),
            plans: Plans::pipedrive(),
            origins: PathOrigins::none(),
        }
    }
}

/// The plans of a policy by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans(Vec<(String, Plan)>);

impl Plans {
    /// Those of the preset: essential, advanced, professional and enterprise.
    #[must_use]
    pub fn pipedrive() -> Self {
        let named = |(name, plan): &(&str, Plan)| ((*name).to_owned(), *plan);
        Self(PRESET_PLANS.iter().map(named).collect())
    }

    /// The plan of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Plan> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|&(_, plan)| plan)
    }

    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The names that a file gives to plans, whatever else is wrong with it.
    pub(super) fn named(root: &Section<'_, '_>) -> Self {
        let mut plans = Self::pipedrive();
        if let Some(section) = root.section_quietly("plans") {
            plans
                .0
                .extend(section.names().map(|name| (name.to_owned(), Plan::new(0))));
        }
        plans
    }

    /// The name of a plan.
    pub(super) fn name(&self, plan: Plan) -> Option<&str> {
        self.iter()
            .find_map(|(name, known)| (known == plan).then_some(name))
    }

    /// The same and one more.
    pub(super) fn with(mut self, name: &str, plan: Plan) -> Self {
        self.0.push((name.to_owned(), plan));
        self.0.sort_by_key(|(_, plan)| plan.index());
        self
    }

    /// Names and plans, in the order of the policy's table.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Plan)> {
        self.0.iter().map(|(name, plan)| (name.as_str(), *plan))
    }
}

/// A policy that was read, and its numbers to go on from.
pub(super) struct PolicyRead {
    pub(super) file: PolicyFile,
    pub(super) builder: PolicyBuilder,
}

/// Reads the policy's keys, whatever others there are. A plan has the place that it has in
/// `before`, so that tokens that have it keep it.
pub(super) fn read_policy(root: &Section<'_, '_>, before: &Plans) -> Option<PolicyRead> {
    let preset = root.has("preset");
    if preset {
        word(root, "preset", &[("pipedrive", ())]);
    } else {
        root.require("window");
        root.require("plans");
    }
    let mut draft = Draft::new(preset);
    if let Some(Found { value, at }) = length(root, "window") {
        draft.set(root, "window", at, |builder| builder.window(value));
    }
    if let Some(floor) = utc(root, "utc_floor") {
        draft.builder = draft.builder.utc_floor(floor);
    }
    let mut plans = if preset {
        Plans::pipedrive()
    } else {
        Plans(Vec::new())
    };
    if let Some(section) = root.section("plans") {
        read_plans(&section, &mut draft, &mut plans, before);
    }
    match root.section_or_off("daily") {
        Some(Some(section)) => read_daily(&section, &mut draft),
        Some(None) => draft.builder = draft.builder.no_daily_limit(),
        None => {}
    }
    match root.section_or_off("block") {
        Some(Some(section)) => read_block(&section, &mut draft),
        Some(None) => draft.builder = draft.builder.no_block(),
        None => {}
    }
    let origins = root
        .section("origins")
        .map_or_else(PathOrigins::none, |section| read_origins(&section));
    plans.0.sort_by_key(|(_, plan)| plan.index());
    let file = PolicyFile {
        // An error left over has been noted where it arose.
        policy: draft.builder.build().ok()?,
        plans,
        origins,
    };
    let builder = draft.builder;
    Some(PolicyRead { file, builder })
}

fn read_plans(section: &Section<'_, '_>, draft: &mut Draft, plans: &mut Plans, before: &Plans) {
    let sections = section.sections();
    let named: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    for (name, plan) in sections {
        plan.allow(&["api_token", "access_token"]);
        let known = plans.find(name);
        let Some(place) = known.or_else(|| new_place(name, &named, plans, before)) else {
            plan.note_all(format!("a policy has at most {} plans", Policy::MAX_PLANS));
            continue;
        };
        if known.is_none() {
            plans.0.push((name.to_owned(), place));
            plan.require("api_token");
            plan.require("access_token");
        }
        let limit = |key, kind| {
            let Some(Found { value, at }) = plan.number(key) else {
                // Absent: the preset's stands, or it has been noted that it is missing.
                return preset_limit(place, kind);
            };
            match judge(|builder| builder.plan(Plan::ESSENTIAL, value, value)) {
                Ok(()) => value,
                Err(error) => {
                    plan.note(at, key, error.to_string());
                    1
                }
            }
        };
        let api_token = limit("api_token", Kind::ApiToken);
        let access_token = limit("access_token", Kind::AccessToken);
        draft.builder = draft.builder.plan(place, api_token, access_token);
    }
    if plans.0.is_empty() {
        section.note_all("a policy needs at least one plan");
    }
}

/// The place of a plan that has none yet: the one it had before; one that none had; one that only a
/// plan had that is gone.
fn new_place(name: &str, named: &[&str], plans: &Plans, before: &Plans) -> Option<Plan> {
    let free = |plan: &Plan| plans.name(*plan).is_none();
    let wanted = |plan: Plan| before.name(plan).is_some_and(|name| named.contains(&name));
    let places = || (0..MAX_PLANS).map(Plan::new).filter(free);
    before
        .find(name)
        .filter(free)
        .or_else(|| places().find(|&place| before.name(place).is_none()))
        .or_else(|| places().find(|&place| !wanted(place)))
        .or_else(|| places().next())
}

fn read_daily(section: &Section<'_, '_>, draft: &mut Draft) {
    section.allow(&[
        "limit",
        "mode",
        "tolerated_days",
        "forgiven_after_days",
        "writes",
    ]);
    if !draft.preset {
        section.require("limit");
    }
    if let Some(Found { value, at }) = section.number("limit") {
        draft.set(section, "limit", at, |builder| builder.daily_limit(value));
    }
    read_mode(section, draft);
    if let Some(names) = section.texts("writes") {
        let mut writes = Methods::NONE;
        for Found { value, at } in names {
            match Method::from_exact_name(value) {
                Method::Other => {
                    section.note(at, "writes", "no such method; names are in capitals")
                }
                method => writes = writes.with(method),
            }
        }
        draft.builder = draft.builder.writes(writes);
    }
}

fn read_mode(section: &Section<'_, '_>, draft: &mut Draft) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mode {
        Strict,
        Advisory,
        FairUse,
    }
    let words = [
        ("strict", Mode::Strict),
        ("advisory", Mode::Advisory),
        ("fair_use", Mode::FairUse),
    ];
    let has_mode = section.has("mode");
    let mode = word(section, "mode", &words);
    let days = ["tolerated_days", "forgiven_after_days"];
    let [tolerated, forgiven] = days.map(|key| section.number(key));
    match mode {
        Some(Mode::FairUse) => {
            for key in days {
                section.require(key);
            }
            let tolerated_days = fitting::<u8>(section, days[0], tolerated, "255");
            let forgiven_after_days = fitting::<u16>(section, days[1], forgiven, "65535");
            let (Some(tolerated_days), Some(forgiven_after_days)) =
                (tolerated_days, forgiven_after_days)
            else {
                return;
            };
            let at = forgiven.map_or(0, |found| found.at);
            let mode = DailyMode::FairUse {
                tolerated_days,
                forgiven_after_days,
            };
            draft.set(section, days[1], at, |builder| builder.daily_mode(mode));
        }
        // A mode that is wrong says nothing about the keys beside it.
        None if has_mode => {}
        _ => {
            for key in days {
                if let Some(Found { at, .. }) = section.value(key) {
                    section.note(at, key, "belongs to mode = \"fair_use\"");
                }
            }
            if mode == Some(Mode::Advisory) {
                draft.builder = draft.builder.daily_mode(DailyMode::Advisory);
            }
        }
    }
}

/// A number as a narrower type.
fn fitting<T: TryFrom<u32>>(
    section: &Section<'_, '_>,
    key: &str,
    found: Option<Found<u32>>,
    most: &str,
) -> Option<T> {
    let Found { value, at } = found?;
    let fitting = T::try_from(value).ok();
    if fitting.is_none() {
        section.note(at, key, format!("must be at most {most}"));
    }
    fitting
}

fn read_block(section: &Section<'_, '_>, draft: &mut Draft) {
    section.allow(&["offences", "within", "duration", "extend_on_hit"]);
    if !draft.preset {
        for key in ["offences", "within", "duration"] {
            section.require(key);
        }
    }
    // Each number is judged beside right ones, so that each mistake is found.
    let mut block = preset_block();
    if let Some(Found { value, at }) = section.number("offences") {
        let BlockNumbers {
            within, duration, ..
        } = preset_block();
        match judge(|builder| builder.block(value, within, duration)) {
            Ok(()) => block.offences = value,
            Err(error) => section.note(at, "offences", error.to_string()),
        }
    }
    if let Some(Found { value, at }) = length(section, "within") {
        let BlockNumbers {
            offences, duration, ..
        } = preset_block();
        match judge(|builder| builder.block(offences, value, duration)) {
            Ok(()) => block.within = value,
            Err(error) => section.note(at, "within", error.to_string()),
        }
    }
    if let Some(Found { value, at }) = length(section, "duration") {
        let BlockNumbers {
            offences, within, ..
        } = preset_block();
        match judge(|builder| builder.block(offences, within, value)) {
            Ok(()) => block.duration = value,
            Err(error) => section.note(at, "duration", error.to_string()),
        }
    }
    let BlockNumbers {
        offences,
        within,
        duration,
    } = block;
    draft.builder = draft.builder.block(offences, within, duration);
    if let Some(Found { value, .. }) = section.flag("extend_on_hit") {
        draft.builder = draft.builder.extend_block_on_hit(value);
    }
}

fn read_origins(section: &Section<'_, '_>) -> PathOrigins {
    section.allow(&["ui", "webhook"]);
    let mut origins = PathOrigins::none();
    for (key, origin) in [("ui", Origin::Ui), ("webhook", Origin::Webhook)] {
        for Found { value, at } in section.texts(key).unwrap_or_default() {
            match origins.clone().with(value, origin) {
                Ok(more) => origins = more,
                Err(error) => section.note(at, key, error.to_string()),
            }
        }
    }
    origins
}

/// The keys of a policy.
pub(super) const POLICY_KEYS: [&str; 7] = [
    "preset",
    "window",
    "utc_floor",
    "plans",
    "daily",
    "block",
    "origins",
];
#[allow(clippy::cast_possible_truncation, reason = "it is 8")]
const MAX_PLANS: u8 = Policy::MAX_PLANS as u8;
