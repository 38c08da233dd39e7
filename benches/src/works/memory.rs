//! Bytes a token: what a limiter has allocated, and what the process has grown by, when so many
//! tokens have asked once. Each in a process of its own, which is this program called again.

use super::arrivals::CONTESTANTS;
use crate::allocator;
use crate::measure::{Effort, Subject};
use crate::report::Row;
use crate::steps::step;
use std::io::{Error, Result};
use std::process::Command;

/// Allocated and resident bytes a token, of 100 000 and 1 000 000 tokens.
///
/// # Errors
///
/// That this program could not be called, or did not answer.
pub fn rows(effort: Effort) -> Result<Vec<Row>> {
    let sizes: &[u32] = if effort.quick {
        &[100_000]
    } else {
        &[100_000, 1_000_000]
    };
    let mut rows = Vec::new();
    for &tokens in sizes {
        let mut tables = [Vec::new(), Vec::new()];
        for (name, make) in &CONTESTANTS {
            let answer = Command::new(std::env::current_exe()?)
                .args(["memory", name, &tokens.to_string()])
                .output()?;
            let text = String::from_utf8_lossy(&answer.stdout);
            let told = text.split_whitespace().map(str::parse::<u32>);
            let told: Vec<u32> = told
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| Error::other(format!("{name} answered `{text}`")))?;
            let &[allocated, resident] = told.as_slice() else {
                return Err(Error::other(format!("{name} answered `{text}`")));
            };
            let of = make(1);
            let per_token = |bytes: u32| f64::from(bytes) / f64::from(tokens);
            let values = [allocated, resident].map(per_token);
            for ((table, value), what) in tables.iter_mut().zip(values).zip([ALLOCATED, RESIDENT]) {
                table.push(Row::of_value(&work(what, tokens), &of, "B", value));
            }
        }
        for table in &mut tables {
            let base = table.first().map_or(f64::NAN, |row| row.median);
            for row in table {
                row.ratio = Some(row.median / base);
            }
        }
        rows.extend(tables.into_iter().flatten());
    }
    Ok(rows)
}

/// The name of a work.
#[must_use]
pub fn work(what: &str, tokens: u32) -> String {
    format!("memory, {what} bytes a token of {tokens}")
}

/// What the called program does: lets `tokens` tokens ask the limiter of that name, and returns how
/// many bytes are allocated and resident; `None` if there is no such limiter.
#[must_use]
pub fn measure(name: &str, tokens: u32) -> Option<(usize, usize)> {
    let (_, make) = CONTESTANTS.iter().find(|(other, _)| *other == name)?;
    let before = resident()?;
    allocator::count();
    let mut subject: Subject = make(tokens as usize);
    for n in 0..tokens {
        subject.run(&[step(n)]);
    }
    let (allocated, _) = allocator::counted();
    let grown = resident()?.saturating_sub(before);
    drop(subject);
    Some((allocated, grown))
}

/// What the kernel says is in memory.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

/// What is counted.
pub const ALLOCATED: &str = "allocated";
/// What is counted.
pub const RESIDENT: &str = "resident";
