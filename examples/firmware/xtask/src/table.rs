//! Figures as a Markdown table: a line per figure, a column per machine.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{figures::Figures, machine::MACHINES};

/// Renders the table.
pub(crate) fn markdown(figures: &Figures) -> String {
    let mut text = String::from("| |");
    for machine in &MACHINES {
        let _ = write!(text, " {} |", machine.core);
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(MACHINES.len()));
    text.push('\n');
    let names: BTreeSet<&str> = figures.iter().map(|(_, name, _)| name).collect();
    for name in names {
        let _ = write!(text, "| {name} |");
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

/// Puts `table` between the marks in the file at `path`, if it has them and `write` is set; says whether it is
/// there now.
pub(crate) fn place(path: &Path, table: &str, write: bool) -> Result<Option<bool>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let Some(wanted) = with_table(&text, table) else {
        return Ok(None);
    };
    if write && wanted != text {
        fs::write(path, &wanted)?;
    }
    Ok(Some(write || wanted == text))
}

fn with_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

const BEGIN: &str = "<!-- firmware table: `cargo xtask measure --bless` writes it -->";
const END: &str = "<!-- end of the firmware table -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_column_per_machine_and_a_gap_where_nothing_was_measured() {
        let mut figures = Figures::default();
        figures.set("thumbv7m-none-eabi", "text B: all", 12);
        let table = markdown(&figures);
        assert_eq!(table.lines().last(), Some("| text B: all | | 12 | | | |"));
    }

    #[test]
    fn replaces_what_stands_between_the_marks_and_nothing_else() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = with_table(&text, "| t |\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\n| t |\n\n{END}\nb\n"));
        assert_eq!(with_table(&new, "| t |\n"), Some(new));
        assert_eq!(with_table("no marks", "| t |\n"), None);
    }
}
