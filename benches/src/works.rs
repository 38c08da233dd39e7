//! The work that subjects are given. Each file makes [`Row`]s; a row's `work` names what was done.

pub mod arrivals;
pub mod counts;
pub mod defects;
pub mod floor;
pub mod http;
pub mod many;
pub mod memory;
pub mod one_key;
pub mod threads;
pub mod turnover;

use crate::measure::Effort;
use crate::report::Row;

/// All work, one after the other, telling on standard error what is going on.
///
/// # Errors
///
/// What kept memory from being measured, for which this program calls itself.
pub fn all(effort: Effort) -> std::io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut note = |what: &str, more: Vec<Row>| {
        eprintln!("{what}: {} rows", more.len());
        rows.extend(more);
    };
    note("floor", floor::rows(effort));
    note("one key", one_key::rows(effort));
    note("many tokens", many::rows(effort));
    note("two threads", threads::rows(effort));
    note("arrivals", arrivals::rows(effort));
    note("turnover", turnover::rows(effort));
    note("memory", memory::rows(effort)?);
    note("HTTP", http::rows(effort));
    note("instructions", counts::rows());
    note("defects", defects::rows());
    Ok(rows)
}
