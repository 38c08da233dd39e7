//! What is committed of a run: `benches/results`, and the parts of the two READMEs that are made
//! from it.

use super::markdown::{aims, circumstances, figure, is_ours, table};
use super::{Row, Summary, package, plots};
use crate::steps::Walk;
use crate::subjects::governors::{BASE, TWO};
use crate::subjects::{ID, TOKEN, single};
use crate::works::many::{read, write};
use crate::works::{arrivals, http, memory, one_key, threads};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// Writes all of it.
///
/// # Errors
///
/// That a file could not be read or written, or has no marks to write between.
pub fn publish(summary: &Summary) -> Result<(), Box<dyn Error>> {
    let folder = results();
    fs::create_dir_all(&folder)?;
    let json = serde_json::to_string_pretty(summary)? + "\n";
    fs::write(folder.join("summary.json"), json)?;
    for (name, svg) in plots::all(summary)? {
        fs::write(folder.join(name), svg)?;
    }
    for (path, part) in parts(summary) {
        let text = fs::read_to_string(&path)?;
        let text = with_part(&text, &part)
            .ok_or_else(|| format!("{}: nothing to write between", path.display()))?;
        fs::write(&path, text)?;
    }
    Ok(())
}

/// Where the committed run is.
#[must_use]
pub fn results() -> PathBuf {
    package().join("results")
}

/// The READMEs and what a run puts into each.
#[must_use]
pub fn parts(summary: &Summary) -> [(PathBuf, String); 2] {
    [
        (package().join("../README.md"), glance(summary)),
        (package().join("README.md"), details(summary)),
    ]
}

/// The text with `part` between the marks; `None` if it has no marks.
#[must_use]
pub fn with_part(text: &str, part: &str) -> Option<String> {
    between(text, [BEGIN, END], part)
}

/// The text with `part` between two marks; `None` if it has not both.
#[must_use]
pub fn between(text: &str, [begin, end]: [&str; 2], part: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{part}\n{end}{after}"))
}

/// What wins, by how much, where we lose: a few lines.
fn glance(summary: &Summary) -> String {
    let mut text = String::from(
        "| | `Limiter` | `Concurrent` | governor | best of the others |\n|---|--:|--:|--:|---|\n",
    );
    for line in &glanced() {
        line.write(summary, &mut text);
    }
    let machine = &summary.machine;
    let small = if summary.quick {
        " A small run, for a hint."
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "\n{}, {}, {}. Medians of one interleaved run, the least in bold; in brackets the ratio to governor, \
         round by round.{small}",
        machine.date, machine.processor, machine.rustc
    );
    text
}

/// A line of the short table.
struct Glance {
    what: String,
    work: String,
    ours: [&'static str; 2],
    governor: &'static str,
    form: &'static str,
}

fn glanced() -> Vec<Glance> {
    const PLAIN: [&str; 2] = ["Limiter", "Concurrent"];
    const ARRIVING: [&str; 2] = [
        "Limiter, register and check",
        "Concurrent, register and check",
    ];
    let line = |what: &str, work: String, ours, governor| Glance {
        what: what.to_owned(),
        work,
        ours,
        governor,
        form: TOKEN,
    };
    let reading = |tokens| read(tokens, Walk::Uniform);
    vec![
        Glance {
            what: "one key".to_owned(),
            work: one_key::GIVEN.to_owned(),
            ours: PLAIN,
            governor: single::BASE,
            form: "",
        },
        line("read, 1 000 tokens", reading(1_000), PLAIN, BASE),
        line("read, 100 000 tokens", reading(100_000), PLAIN, BASE),
        line("read, 1 000 000 tokens", reading(1_000_000), PLAIN, BASE),
        line(
            "write (window and day), 1 000 tokens",
            write(1_000),
            PLAIN,
            TWO,
        ),
        line("write, 1 000 000 tokens", write(1_000_000), PLAIN, TWO),
        line(
            "two threads, zipf",
            threads::ZIPF.to_owned(),
            ["", "Concurrent"],
            BASE,
        ),
        line(
            "two threads, one hot token",
            threads::HOT.to_owned(),
            ["", "Concurrent"],
            BASE,
        ),
        line(
            "longest of a million arrivals",
            arrivals::work("longest"),
            ARRIVING,
            BASE,
        ),
        line(
            "bytes a token of a million",
            memory::work(memory::RESIDENT, 1_000_000),
            ARRIVING,
            BASE,
        ),
        Glance {
            what: "a request through axum".to_owned(),
            work: http::WORK.to_owned(),
            ours: [
                "axum + LimiterLayer, Locked",
                "axum + LimiterLayer, Concurrent",
            ],
            governor: "axum + tower_governor",
            form: "request",
        },
    ]
}

impl Glance {
    fn write(&self, summary: &Summary, text: &mut String) {
        // With one key, ours are told its id, and others nothing.
        let row = |subject: &str| {
            let row = summary.row(&self.work, subject, self.form);
            row.or_else(|| {
                summary
                    .row(&self.work, subject, ID)
                    .filter(|_| self.form.is_empty())
            })
        };
        let named = [self.ours[0], self.ours[1], self.governor];
        let others = summary.rows.iter().filter(|row| {
            row.work == self.work
                && row.form == self.form
                && !is_ours(&row.subject)
                && is_limiter(row)
                && !named.contains(&row.subject.as_str())
        });
        let best = others.min_by(|a, b| a.median.total_cmp(&b.median));
        let cells = [row(named[0]), row(named[1]), row(named[2]), best];
        let least = cells.iter().flatten().map(|row| row.median);
        let least = least.min_by(f64::total_cmp);
        let _ = write!(text, "| {} |", self.what);
        for (place, cell) in cells.into_iter().enumerate() {
            text.push(' ');
            if let Some(row) = cell {
                let value = amount(row);
                if Some(row.median) == least {
                    let _ = write!(text, "**{value}**");
                } else {
                    text.push_str(&value);
                }
                // governor's own is 1, as everybody can tell.
                if place != 2
                    && let Some(ratio) = row.ratio
                {
                    let _ = write!(text, " ({})", figure(ratio));
                }
                if place == 3 {
                    let _ = write!(text, " {}", row.subject);
                }
            }
            text.push_str(" |");
        }
        text.push('\n');
    }
}

/// A figure with its unit; long times in longer units.
fn amount(row: &Row) -> String {
    let value = row.median;
    match row.unit.as_str() {
        "ns" if value >= 1e6 => format!("{} ms", figure(value / 1e6)),
        "ns" if value >= 1e4 => format!("{} µs", figure(value / 1e3)),
        unit => format!("{} {unit}", figure(value)),
    }
}

/// Whether a row is of something that decides, token by token: neither bare axum nor a sketch.
fn is_limiter(row: &Row) -> bool {
    row.lacks != NO_LIMIT && !row.lacks.starts_with("approximate")
}

/// Works at which another limiter is ahead of the best of ours that is told the same.
fn losses(summary: &Summary) -> String {
    let mut text = String::new();
    for work in summary.works() {
        let rows = || summary.rows.iter().filter(|row| row.work == work);
        if rows().any(|row| row.unit != "ns" && row.unit != "B") || work.starts_with("the floor") {
            continue;
        }
        let least = |ours: bool| {
            rows()
                .filter(|row| is_ours(&row.subject) == ours && is_limiter(row))
                .filter(|row| row.form != ID || work.starts_with("one key"))
                .min_by(|a, b| a.median.total_cmp(&b.median))
        };
        if let (Some(ours), Some(other)) = (least(true), least(false))
            && other.median < ours.median
        {
            let _ = writeln!(
                text,
                "| {work} | {} | {} | {} | {} |",
                other.subject,
                amount(other),
                amount(ours),
                other.lacks,
            );
        }
    }
    if text.is_empty() {
        return String::new();
    }
    format!("| work | who | theirs | our best | does less |\n|---|---|--:|--:|---|\n{text}")
}

/// Everything, for the benchmarks' own README.
fn details(summary: &Summary) -> String {
    let mut text = circumstances(summary);
    text.push_str("\n### Aims\n\n");
    text.push_str(&aims(summary));
    text.push_str("\n### Where others are ahead\n\n");
    text.push_str(&losses(summary));
    for work in summary.works() {
        let rows: Vec<&Row> = summary.rows.iter().filter(|row| row.work == work).collect();
        let _ = write!(
            text,
            "\n<details><summary>{work}</summary>\n\n{}\n</details>\n",
            table(&rows)
        );
    }
    text
}

const BEGIN: &str = "<!-- benchmarks: `./ci.sh bench-publish` writes this -->";
const END: &str = "<!-- end of the benchmarks -->";
/// What bare axum is said to do less.
const NO_LIMIT: &str = "no limit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_show_what_the_committed_run_says() {
        let json = fs::read_to_string(results().join("summary.json")).unwrap();
        let summary: Summary = serde_json::from_str(&json).unwrap();
        for (path, part) in parts(&summary) {
            let text = fs::read_to_string(&path).unwrap();
            let wanted = with_part(&text, &part).expect("marks");
            assert!(wanted == text, "{}: ./ci.sh bench-publish", path.display());
        }
    }

    #[test]
    fn replaces_what_stands_between_the_marks_and_nothing_else() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = with_part(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(with_part(&new, "new\n"), Some(new));
        assert_eq!(with_part("no marks", "new\n"), None);
    }
}
