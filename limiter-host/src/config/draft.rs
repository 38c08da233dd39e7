//! A policy under construction, beginning as the preset or as nothing.

use super::reader::Section;
use limiter_core::policy::PolicyBuilder;
use limiter_core::{Kind, Plan, Policy, PolicyError};
use std::time::Duration;

/// A policy under construction. The core judges every number; a wrong one is noted at its key and
/// left out, so that the next can be judged too.
pub(super) struct Draft {
    pub(super) builder: PolicyBuilder,
    /// Whether it began as the preset.
    pub(super) preset: bool,
}

impl Draft {
    pub(super) fn new(preset: bool) -> Self {
        let builder = match preset {
            true => Policy::pipedrive_builder(),
            false => Policy::builder(),
        };
        Self { builder, preset }
    }

    /// Takes one more number, if the core allows it.
    pub(super) fn set(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        at: usize,
        set: impl Fn(PolicyBuilder) -> PolicyBuilder,
    ) {
        match judge(&set) {
            Ok(()) => self.builder = set(self.builder),
            Err(error) => section.note(at, key, error.to_string()),
        }
    }
}

/// What the core says of one setting, beside a policy that is right.
pub(super) fn judge(set: impl Fn(PolicyBuilder) -> PolicyBuilder) -> Result<(), PolicyError> {
    set(Policy::pipedrive_builder()).build().map(|_| ())
}

/// The preset's permits per window, 1 for a plan that it does not have.
pub(super) fn preset_limit(plan: Plan, kind: Kind) -> u32 {
    let preset = const { Policy::pipedrive() };
    preset.window_limit(plan, kind).unwrap_or(1)
}

/// The numbers of a block, not yet judged together.
pub(super) struct BlockNumbers {
    pub(super) offences: u32,
    pub(super) within: Duration,
    pub(super) duration: Duration,
}

pub(super) fn preset_block() -> BlockNumbers {
    const {
        match Policy::pipedrive().block() {
            Some(rule) => BlockNumbers {
                offences: rule.offences(),
                within: Duration::from_millis(rule.within_ms() as u64),
                duration: Duration::from_millis(rule.duration_ms() as u64),
            },
            None => panic!("the preset has a block"),
        }
    }
}

/// The preset's plans by name.
pub(super) const PRESET_PLANS: [(&str, Plan); 4] = [
    ("essential", Plan::ESSENTIAL),
    ("advanced", Plan::ADVANCED),
    ("professional", Plan::PROFESSIONAL),
    ("enterprise", Plan::ENTERPRISE),
];
