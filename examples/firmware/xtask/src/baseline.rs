//! Holds figures to those that were accepted before, in `baseline.json`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::{figures::Figures, workspace};

/// A figure on a target, and whether it passes.
pub(crate) type Verdict = (String, Result<(), String>);

/// Reads what was accepted, and says so if another compiler had made it.
pub(crate) fn read(rustc: &str) -> Result<Figures> {
    let path = path();
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let baseline: Value = serde_json::from_str(&text).context("baseline.json")?;
    let compiler = baseline["rustc"]
        .as_str()
        .context("baseline.json names no rustc")?;
    if compiler != rustc {
        println!("note: the baseline was made by {compiler}, the figures by {rustc}");
    }
    from_json(&baseline["figures"]).context("baseline.json holds no figures")
}

/// Accepts `figures`.
pub(crate) fn bless(rustc: &str, figures: &Figures) -> Result<()> {
    let baseline = json!({"rustc": rustc, "figures": to_json(figures)});
    fs::write(path(), serde_json::to_string_pretty(&baseline)? + "\n").context("baseline.json")
}

/// `{"<target>": {"<figure>": value}}`
pub(crate) fn to_json(figures: &Figures) -> Value {
    let mut targets = Map::new();
    for (target, name, value) in figures.iter() {
        let entry = targets.entry(target).or_insert_with(|| json!({}));
        if let Some(map) = entry.as_object_mut() {
            map.insert(name.to_owned(), value.into());
        }
    }
    Value::Object(targets)
}

fn from_json(json: &Value) -> Option<Figures> {
    let mut figures = Figures::default();
    for (target, named) in json.as_object()? {
        for (name, value) in named.as_object()? {
            figures.set(target, name, value.as_u64()?);
        }
    }
    Some(figures)
}

/// Compares, figure by figure of either side; the errors name each that grew, appeared or is gone.
pub(crate) fn judge(accepted: &Figures, measured: &Figures) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (target, name, value) in measured.iter() {
        let verdict = match accepted.value(target, name) {
            None => Err(format!("{value} is new; `--bless` accepts it")),
            Some(before) if value > before + tolerance(before) => Err(format!(
                "grew by {}, from {before} to {value}",
                value - before
            )),
            Some(_) => Ok(()),
        };
        verdicts.push((format!("{name} on {target}"), verdict));
    }
    for (target, name, before) in accepted.iter() {
        if measured.value(target, name).is_none() {
            verdicts.push((
                format!("{name} on {target}"),
                Err(format!("{before} is gone")),
            ));
        }
    }
    verdicts
}

/// 1 %, at least 2: a compiler's whim, not a change of ours.
fn tolerance(before: u64) -> u64 {
    (before / 100).max(2)
}

fn path() -> PathBuf {
    workspace().join("baseline.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(value: u64) -> Figures {
        let mut figures = Figures::default();
        figures.set("m0", "text B: all", value);
        figures
    }

    fn verdict(before: &Figures, after: &Figures) -> Vec<Result<(), String>> {
        judge(before, after)
            .into_iter()
            .map(|(_, verdict)| verdict)
            .collect()
    }

    #[test]
    fn lets_a_figure_shrink_and_grow_by_one_percent() {
        assert_eq!(verdict(&figures(1000), &figures(10)), [Ok(())]);
        assert_eq!(verdict(&figures(1000), &figures(1010)), [Ok(())]);
        assert_eq!(verdict(&figures(10), &figures(12)), [Ok(())]);
    }

    #[test]
    fn names_the_figure_that_grew_and_by_how_much() {
        let verdicts = judge(&figures(1000), &figures(1011));
        let grew = Err("grew by 11, from 1000 to 1011".to_owned());
        assert_eq!(verdicts, [("text B: all on m0".to_owned(), grew)]);
    }

    #[test]
    fn fails_a_figure_that_is_new_and_one_that_is_gone() {
        assert!(
            verdict(&Figures::default(), &figures(1))
                .iter()
                .all(Result::is_err)
        );
        let gone = verdict(&figures(7), &Figures::default());
        assert_eq!(gone, [Err("7 is gone".to_owned())]);
    }

    #[test]
    fn reads_back_what_it_writes() {
        assert_eq!(from_json(&to_json(&figures(3))), Some(figures(3)));
        assert_eq!(from_json(&json!({"m0": {"x": -1}})), None);
    }
}
