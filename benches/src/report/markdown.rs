//! Tables in Markdown: the whole run for who wants all of it, and a few lines for who wants to know.

use super::Row;
use super::Summary;
use std::fmt::Write as _;

/// All works, all rows, all aims.
#[must_use]
pub fn all(summary: &Summary) -> String {
    let mut text = circumstances(summary);
    text.push_str("\n## Aims\n\n");
    text.push_str(&aims(summary));
    for work in summary.works() {
        let rows: Vec<&Row> = summary.rows.iter().filter(|row| row.work == work).collect();
        let _ = writeln!(text, "\n## {work}\n");
        text.push_str(&table(&rows));
    }
    text
}

/// Where, when, and how to read it.
#[must_use]
pub fn circumstances(summary: &Summary) -> String {
    let machine = &summary.machine;
    let small = if summary.quick {
        " This was the small run: take it for a hint."
    } else {
        ""
    };
    format!(
        "{}{small}\n{}.\n",
        machine.circumstances(""),
        machine.releases()
    )
}

/// The aims, a line each.
#[must_use]
pub fn aims(summary: &Summary) -> String {
    let mut text = String::from("| work | aim | measured | |\n|---|---|--:|---|\n");
    for aim in &summary.aims {
        let value = aim.value.map_or_else(|| "not run".to_owned(), figure);
        let met = if aim.met { "met" } else { "**missed**" };
        let _ = writeln!(text, "| {} | {} | {value} | {met} |", aim.name, aim.aim);
    }
    text
}

/// Rows of one work, the best first.
#[must_use]
pub fn table(rows: &[&Row]) -> String {
    let unit = rows.first().map_or("", |row| row.unit.as_str());
    let mut rows = rows.to_vec();
    // More is better of gains alone; what was admitted stands in the order of the work.
    match unit {
        "times" => rows.sort_by(|a, b| b.median.total_cmp(&a.median)),
        "admitted" => {}
        _ => rows.sort_by(|a, b| a.median.total_cmp(&b.median)),
    }
    let spread = rows.iter().any(|row| row.p25 < row.p75);
    let mut text = format!("| subject | told | {unit} |");
    let mut line = String::from("|---|---|--:|");
    if spread {
        text.push_str(" min | half of all |");
        line.push_str("--:|--:|");
    }
    let ratios = rows.iter().any(|row| row.ratio.is_some());
    if ratios {
        text.push_str(" ratio |");
        line.push_str("--:|");
    }
    let _ = writeln!(text, " does less |\n{line}---|");
    for row in rows {
        let _ = write!(
            text,
            "| {} | {} | {} |",
            strong(&row.subject),
            row.form,
            figure(row.median)
        );
        if spread {
            let (min, p25, p75) = (figure(row.min), figure(row.p25), figure(row.p75));
            let _ = write!(text, " {min} | {p25}–{p75} |");
        }
        if ratios {
            let ratio = row.ratio.map_or_else(String::new, figure);
            let _ = write!(text, " {ratio} |");
        }
        let _ = writeln!(text, " {} |", row.lacks);
    }
    text
}

/// Ours stand out.
fn strong(subject: &str) -> String {
    if is_ours(subject) {
        format!("**{subject}**")
    } else {
        subject.to_owned()
    }
}

/// Whether a subject is one of ours.
#[must_use]
pub fn is_ours(subject: &str) -> bool {
    [
        "Limiter",
        "Shared",
        "Locked",
        "Concurrent",
        "axum + LimiterLayer",
        "HashKey",
        "SystemClock",
    ]
    .iter()
    .any(|ours| subject.starts_with(ours))
}

/// Three digits, as many as the spread of any figure here bears.
#[must_use]
pub fn figure(value: f64) -> String {
    if value.fract() == 0.0 {
        return thousands(&format!("{value:.0}"));
    }
    match value.abs() {
        size if size >= 100.0 => thousands(&format!("{value:.0}")),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Groups of three, from 10 000 on.
fn thousands(digits: &str) -> String {
    if digits.len() < 5 {
        return digits.to_owned();
    }
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Subject;

    #[test]
    fn shows_as_many_digits_as_a_figure_bears() {
        let shown = [0.004_2, 0.25, 21.94, 123.4, 10_000.0, 1_234_567.8, 10.0].map(figure);
        assert_eq!(
            shown,
            [
                "0.0042",
                "0.25",
                "21.9",
                "123",
                "10\u{a0}000",
                "1\u{a0}234\u{a0}568",
                "10"
            ]
        );
    }

    #[test]
    fn a_table_has_the_best_first_and_says_what_each_does_less() {
        let row = |name: &str, lacks: &'static str, ns: f64| {
            let subject = Subject::alone(name, "token", lacks, |_| {});
            Row::of_times(
                "w",
                &subject,
                &[ns, ns + 1.0, ns + 2.0, ns + 3.0, ns + 4.0],
                &[ns / 8.0],
            )
        };
        let (slow, fast) = (row("other", "no day", 30.0), row("Limiter", "", 6.0));
        let text = table(&[&slow, &fast]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| subject | told | ns | min | half of all | ratio | does less |"
        );
        assert_eq!(lines[2], "| **Limiter** | token | 8 | 6 | 7–9 | 0.75 |  |");
        assert_eq!(
            lines[3],
            "| other | token | 32 | 30 | 31–33 | 3.75 | no day |"
        );
    }
}
