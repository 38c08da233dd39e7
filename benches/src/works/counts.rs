//! Instructions and data accesses, as `benches/counts` left them: valgrind runs there, not here.

use crate::measure::Subject;
use crate::report::{Row, target};
use serde::Deserialize;

#[derive(Deserialize)]
struct Count {
    work: String,
    subject: String,
    form: String,
    instructions: u32,
    reads: u32,
}

/// A row of instructions and one of data reads for each case; none if nothing was counted.
#[must_use]
pub fn rows() -> Vec<Row> {
    let path = target().join("counts.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("  {}: run ./ci.sh counts", path.display());
        return Vec::new();
    };
    of(&text)
}

fn of(text: &str) -> Vec<Row> {
    let counts: Vec<Count> = serde_json::from_str(text).unwrap_or_default();
    let mut rows = Vec::new();
    for event in ["instructions", "data reads"] {
        for count in &counts {
            let mut row = Row::of_value(
                &format!("{event}, {}", count.work),
                &Subject::alone(count.subject.as_str(), "", "", |_| {}),
                event,
                f64::from(if event == "instructions" {
                    count.instructions
                } else {
                    count.reads
                }),
            );
            row.form.clone_from(&count.form);
            rows.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_two_rows_of_a_case() {
        let text = r#"[{"work":"read","subject":"Limiter","form":"id","ours":true,
            "instructions":89,"reads":20,"writes":9}]"#;
        let rows = of(text);
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.work.as_str(), row.median))
            .collect();
        assert_eq!(
            told,
            [("instructions, read", 89.0), ("data reads, read", 20.0)]
        );
    }
}
