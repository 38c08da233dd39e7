//! Measured figures, by target and by name.

use std::collections::BTreeMap;

/// Figures of all targets: target → name → value. A name says its unit: `text B: …`, `instructions: …`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures(BTreeMap<String, BTreeMap<String, u64>>);

impl Figures {
    /// Notes a figure; a second value for the same name replaces the first.
    pub(crate) fn set(&mut self, target: &str, name: impl Into<String>, value: u64) {
        self.0
            .entry(target.to_owned())
            .or_default()
            .insert(name.into(), value);
    }

    /// Returns one figure.
    pub(crate) fn value(&self, target: &str, name: &str) -> Option<u64> {
        self.0.get(target)?.get(name).copied()
    }

    /// All figures of all targets, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().flat_map(|(target, figures)| {
            figures
                .iter()
                .map(move |(name, &value)| (target.as_str(), name.as_str(), value))
        })
    }
}
