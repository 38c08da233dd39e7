//! Figures as Markdown tables: one per kind, a line per figure, a column per machine.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{figures::Figures, machine::MACHINES};

/// Renders a table for each kind of figure: the part of a name before the colon.
pub(crate) fn markdown(figures: &Figures) -> String {
    let names: BTreeSet<&str> = figures.iter().map(|(_, name, _)| name).collect();
    let mut text = String::new();
    let mut last_kind = None;
    for name in names {
        let (kind, what) = name.split_once(": ").unwrap_or(("", name));
        if last_kind != Some(kind) {
            text.push_str(if last_kind.is_some() { "\n" } else { "" });
            last_kind = Some(kind);
            head(&mut text, kind);
        }
        let _ = write!(text, "| {what} |");
        for machine in &MACHINES {
            match figures.value(machine.target, name) {
                Some(value) => {
                    let _ = write!(text, " {value} |");
                }
                None => text.push_str(" |"),
            }
        }
        text.push('\n');
    }
    text
}

fn head(text: &mut String, kind: &str) {
    let _ = write!(text, "| {kind} |");
    for machine in &MACHINES {
        let _ = write!(text, " {} |", machine.core);
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(MACHINES.len()));
    text.push('\n');
}

/// What stands before and behind a table in a file.
pub(crate) struct Marks {
    pub(crate) begin: &'static str,
    pub(crate) end: &'static str,
}

/// Puts `table` between the marks in the file at `path`, if it has them and `write` is set; says whether it is
/// there now.
pub(crate) fn place(path: &Path, marks: &Marks, table: &str, write: bool) -> Result<Option<bool>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let Some(wanted) = with_table(&text, marks, table) else {
        return Ok(None);
    };
    if write && wanted != text {
        fs::write(path, &wanted)?;
    }
    Ok(Some(write || wanted == text))
}

fn with_table(text: &str, marks: &Marks, table: &str) -> Option<String> {
    let Marks { begin, end } = marks;
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{table}\n{end}{after}"))
}

/// The table of the measured figures.
pub(crate) const FIGURES: Marks = Marks {
    begin: "<!-- firmware table: `cargo xtask measure --bless` writes it -->",
    end: "<!-- end of the firmware table -->",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_column_per_machine_and_a_gap_where_nothing_was_measured() {
        let mut figures = Figures::default();
        figures.set("thumbv7m-none-eabi", "text B: all", 12);
        let table = markdown(&figures);
        assert_eq!(table.lines().last(), Some("| all | | 12 | | | |"));
    }

    #[test]
    fn begins_a_new_table_for_each_kind() {
        let mut figures = Figures::default();
        for name in ["RAM B: row", "text B: more", "text B: all"] {
            figures.set("thumbv6m-none-eabi", name, 1);
        }
        let table = markdown(&figures);
        let first_cells: Vec<&str> = table
            .lines()
            .filter_map(|line| line.split(" | ").next())
            .collect();
        assert_eq!(first_cells.len(), 3 + 1 + 4);
        assert_eq!((first_cells[2], first_cells[4]), ("| row", "| text B"));
        assert_eq!((first_cells[6], first_cells[7]), ("| all", "| more"));
    }

    #[test]
    fn replaces_what_stands_between_the_marks_and_nothing_else() {
        let Marks { begin, end } = FIGURES;
        let text = format!("a\n{begin}\nold\n{end}\nb\n");
        let new = with_table(&text, &FIGURES, "| t |\n").unwrap();
        assert_eq!(new, format!("a\n{begin}\n\n| t |\n\n{end}\nb\n"));
        assert_eq!(with_table(&new, &FIGURES, "| t |\n"), Some(new));
        assert_eq!(with_table("no marks", &FIGURES, "| t |\n"), None);
    }
}
