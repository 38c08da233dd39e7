//! How fast the limiter's state wears a flash out, by how far ahead permits are reserved.
//!
//! Writes are counted: a limiter lives through a whole day ([`day`]). Erased pages are counted too, in the simulated
//! NOR flash under the real `sequential-storage` ([`flash`]). Nothing is rounded on the way but the figures shown.

mod day;
mod flash;

use std::{fmt::Write as _, iter};

use anyhow::Result;

use self::{
    day::{Day, Order},
    flash::{Geometry, Rate},
};
use crate::{
    check::Tally,
    table::{self, Marks},
    workspace,
};

/// Prints the tables and holds the README to them, or writes them there.
pub(crate) fn run(bless: bool, tally: &mut Tally) -> Result<()> {
    let tables = tables()?;
    println!("{tables}");
    let readme = workspace().join("README.md");
    let is_there = table::place(&readme, &MARKS, &tables, bless)?;
    let verdict = match is_there {
        Some(true) => Ok(()),
        Some(false) => Err("differs; `cargo xtask wear --bless` writes it".to_owned()),
        None => Err(format!("there is no `{}`", MARKS.begin)),
    };
    tally.count(&format!("the wear in {}", readme.display()), &verdict);
    Ok(())
}

/// All that is shown.
fn tables() -> Result<String> {
    let days: Vec<[Day; 3]> = RESERVES
        .into_iter()
        .map(|ahead| DEVICES.map(|device| device(ahead, Order::Mixed)))
        .collect();
    Ok(format!(
        "{}\n{}\n{}",
        writes(&days),
        images(&days)?,
        lives(&days)?
    ))
}

/// Writes of a user's day.
fn writes(days: &[[Day; 3]]) -> String {
    let mut text = head(&[
        "permits reserved, R: the most that a cut costs a user",
        "writes of a user's day, D / R",
        "counted, 1 user",
        "8 users at a time",
        "8 one after another",
        "64 at a time",
    ]);
    for (ahead, days) in RESERVES.into_iter().zip(days) {
        let formula = day::LIMIT.div_ceil(ahead);
        let [one, eight, many] = days;
        let in_turn = day::live::<8>(ahead, Order::InTurn);
        let counted = [one, eight, &in_turn, many].map(Day::writes_of_a_user);
        row(
            &mut text,
            [ahead.to_string(), formula.to_string()]
                .into_iter()
                .chain(counted.into_iter().map(short)),
        );
    }
    text
}

/// What a write is to the flash.
fn images(days: &[[Day; 3]]) -> Result<String> {
    let mut text = head(&[
        "users, and as many tokens",
        "image, bytes",
        "with what the storage adds",
        "writes for each erased page of 1 KiB",
        "of 4 KiB",
    ]);
    for day in days.first().into_iter().flatten() {
        let [small, large] =
            [1024, 4096].map(|page| flash::wear(day.image, Geometry { page, pages: 3 }));
        let (small, large) = (small?, large?);
        let stored = large.or(small).map(|rate| rate.stored_bytes.to_string());
        let writes = [small, large].map(|rate| rate.map(|rate| short(rate.writes_for_an_erase())));
        row(
            &mut text,
            [day.users.to_string(), day.image.to_string()]
                .into_iter()
                .chain(iter::once(stored).chain(writes).map(or_too_large)),
        );
    }
    Ok(text)
}

/// How long a flash lasts.
fn lives(days: &[[Day; 3]]) -> Result<String> {
    let mut text = head(&[
        "R",
        "users",
        "pages of 1 KiB erased a day, of 3",
        "years of 2 pages",
        "of 3",
        "of 8",
        "pages of 4 KiB erased a day, of 3",
        "years of 2 pages",
        "of 3",
        "of 8",
    ]);
    for (ahead, days) in RESERVES.into_iter().zip(days) {
        for day in days {
            let mut cells = vec![ahead.to_string(), day.users.to_string()];
            for page in [1024, 4096] {
                let rates = [2, 3, 8].map(|pages| flash::wear(day.image, Geometry { page, pages }));
                let [two, three, eight] = rates;
                let rates = [two?, three?, eight?];
                let erased =
                    rates[1].map(|rate| short(f64::from(day.writes) / rate.writes_for_an_erase()));
                let years = rates.map(|rate| rate.map(|rate| years(&rate, day)));
                cells.extend(iter::once(erased).chain(years).map(or_too_large));
            }
            row(&mut text, cells);
        }
    }
    Ok(text)
}

/// How long the most worn page lasts.
fn years(rate: &Rate, day: &Day) -> String {
    let days = CYCLES * rate.writes_for_an_erase_of_the_most_worn() / f64::from(day.writes);
    let years = days / 365.25;
    if years > MOST_YEARS {
        format!("> {MOST_YEARS}")
    } else {
        short(years)
    }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.000_5.. => format!("{value:.3}"),
        _ => "< 0.001".to_owned(),
    }
}

fn or_too_large(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "too large".to_owned())
}

fn head(columns: &[&str]) -> String {
    let mut text = String::new();
    row(&mut text, columns.iter().copied().map(str::to_owned));
    text.push_str(&"|--:".repeat(columns.len()));
    text.push_str("|\n");
    text
}

fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

/// The permits reserved ahead that are shown.
const RESERVES: [u32; 7] = [1, 10, 50, 100, 500, 1_000, 10_000];
/// The numbers of users that are shown.
const DEVICES: [fn(u32, Order) -> Day; 3] = [day::live::<1>, day::live::<8>, day::live::<64>];
/// Erasures that a page of a cheap part is good for.
const CYCLES: f64 = 10_000.0;
/// No flash is promised to keep its bytes longer.
const MOST_YEARS: f64 = 100.0;
const MARKS: Marks = Marks {
    begin: "<!-- wear: `cargo xtask wear --bless` writes it -->",
    end: "<!-- end of the wear -->",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_tables_that_are_computed() {
        let path = workspace().join("README.md");
        let is_there = table::place(&path, &MARKS, &tables().unwrap(), false).unwrap();
        assert_eq!(
            is_there,
            Some(true),
            "`cargo xtask wear --bless` writes them"
        );
    }

    #[test]
    fn shows_three_digits() {
        let shown = [0.000_4, 0.0123, 0.5, 1.0, 9.994, 10.0, 99.94, 100.0, 1234.5].map(short);
        let expected = [
            "< 0.001", "0.012", "0.500", "1.00", "9.99", "10.0", "99.9", "100", "1234",
        ];
        assert_eq!(shown, expected);
    }
}
