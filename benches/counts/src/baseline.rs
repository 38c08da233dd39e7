//! Holds counts to those that were accepted before, in `baseline.json`.

use crate::callgrind::Count;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::path::Path;

/// Accepts what is ours of `counts`.
pub(crate) fn bless(path: &Path, counts: &[Count]) -> Result<(), Box<dyn Error>> {
    let mut accepted = Map::new();
    for count in counts.iter().filter(|count| count.ours) {
        for (event, value) in events(count) {
            accepted.insert(name(count, event), value.into());
        }
    }
    let baseline = json!({"rustc": rustc()?, "counts": accepted});
    std::fs::write(path, serde_json::to_string_pretty(&baseline)? + "\n")?;
    Ok(())
}

/// What was accepted; says so if another compiler had made it.
pub(crate) fn read(path: &Path) -> Result<Map<String, Value>, Box<dyn Error>> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut baseline: Value = serde_json::from_str(&text)?;
    let made_by = baseline["rustc"].as_str().unwrap_or_default();
    let rustc = rustc()?;
    if made_by != rustc {
        println!("note: the baseline was made by {made_by}, the counts by {rustc}");
    }
    match baseline["counts"].take() {
        Value::Object(accepted) => Ok(accepted),
        _ => Err(format!("{}: no counts", path.display()).into()),
    }
}

/// A line for each count that grew, appeared or is gone.
pub(crate) fn judge(accepted: &Map<String, Value>, counts: &[Count]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    for count in counts.iter().filter(|count| count.ours) {
        for (event, now) in events(count) {
            let name = name(count, event);
            match accepted.get(&name).and_then(Value::as_u64) {
                None => lines.push(format!("{name}: {now} is new")),
                Some(before) if now > before + tolerance(before) => lines.push(format!(
                    "{name}: grew by {}, from {before} to {now}",
                    now - before
                )),
                Some(_) => {}
            }
            seen.push(name);
        }
    }
    let gone = accepted.keys().filter(|name| !seen.contains(name));
    lines.extend(gone.map(|name| format!("{name}: is gone")));
    lines
}

fn events(count: &Count) -> [(&'static str, u64); 2] {
    [
        ("instructions", count.instructions),
        ("data reads", count.reads),
    ]
}

fn name(count: &Count, event: &str) -> String {
    format!("{event}: {}, {}, {}", count.work, count.subject, count.form)
}

/// 2 %, at least 2: a compiler's whim, not a change of ours.
fn tolerance(before: u64) -> u64 {
    (before / 50).max(2)
}

fn rustc() -> Result<String, Box<dyn Error>> {
    let output = std::process::Command::new("rustc")
        .arg("--version")
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(instructions: u64) -> [Count; 2] {
        let ours = Count {
            work: "read".to_owned(),
            subject: "Limiter".to_owned(),
            form: "id".to_owned(),
            ours: true,
            instructions,
            reads: 20,
            writes: 10,
        };
        let peer = Count {
            subject: "peer".to_owned(),
            ours: false,
            ..ours.clone()
        };
        [ours, peer]
    }

    fn accepted(instructions: u64) -> Map<String, Value> {
        let mut accepted = Map::new();
        accepted.insert(
            "instructions: read, Limiter, id".to_owned(),
            instructions.into(),
        );
        accepted.insert("data reads: read, Limiter, id".to_owned(), 20.into());
        accepted
    }

    #[test]
    fn lets_a_count_shrink_and_grow_by_two_in_a_hundred() {
        for now in [50, 100, 102] {
            assert_eq!(judge(&accepted(100), &counts(now)), [""; 0]);
        }
    }

    #[test]
    fn names_the_count_that_grew_and_by_how_much() {
        let lines = judge(&accepted(100), &counts(103));
        assert_eq!(
            lines,
            ["instructions: read, Limiter, id: grew by 3, from 100 to 103"]
        );
    }

    #[test]
    fn names_what_is_new_and_what_is_gone_and_asks_nothing_of_peers() {
        assert_eq!(judge(&Map::new(), &counts(1)).len(), 2);
        assert_eq!(judge(&accepted(1), &[]).len(), 2);
    }
}
