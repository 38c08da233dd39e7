//! What an image is expected to say: `<name>.out` beside its source, or `<name>.<machine>.out` where it differs,
//! or files of the project that it names.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{image::Image, machine::Machine, project};

/// Compares `actual` with what is expected; the error shows the first line that differs.
pub(crate) fn compare(image: &Image, machine: &Machine, actual: &str) -> Result<(), String> {
    if !image.wants.expects.is_empty() {
        return compare_with_files(&image.wants.expects, actual);
    }
    let own = file(&image.source, Some(machine));
    let path = if own.exists() {
        own
    } else {
        file(&image.source, None)
    };
    let expected = read(&path).map_err(|error| format!("{error} (`--bless` writes it)"))?;
    difference(&expected, actual).map_or(Ok(()), Err)
}

/// Compares with files of the project, one after the other. Spaces mean nothing in what they hold.
fn compare_with_files(files: &[String], actual: &str) -> Result<(), String> {
    let texts: Result<Vec<String>, String> = files
        .iter()
        .map(|file| read(&project().join(file)))
        .collect();
    let expected = texts?.concat().replace(' ', "");
    difference(&expected, &actual.replace(' ', "")).map_or(Ok(()), Err)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes what the machines said as expected: one file if they all said the same, else one for each.
pub(crate) fn bless(source: &Path, said: &[(&Machine, String)]) -> Result<()> {
    let Some(((_, first), rest)) = said.split_first() else {
        return Ok(());
    };
    let agree = rest.iter().all(|(_, text)| text == first);
    write_or_remove(&file(source, None), agree.then_some(first))?;
    for (machine, text) in said {
        write_or_remove(&file(source, Some(machine)), (!agree).then_some(text))?;
    }
    Ok(())
}

fn file(source: &Path, machine: Option<&Machine>) -> PathBuf {
    match machine {
        Some(machine) => source.with_extension(format!("{}.out", machine.name)),
        None => source.with_extension("out"),
    }
}

fn write_or_remove(path: &Path, text: Option<&String>) -> Result<()> {
    let done = match text {
        Some(text) => fs::write(path, text),
        None => fs::remove_file(path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }),
    };
    done.with_context(|| path.display().to_string())
}

/// Says where two texts part, or nothing if they do not.
fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (mut wanted, mut got) = (expected.lines(), actual.lines());
    let mut number = 1;
    loop {
        let (want, have) = (wanted.next(), got.next());
        if want != have || want.is_none() {
            let mut text = format!("line {number} differs\n");
            let _ = writeln!(text, "    expected: {}", want.unwrap_or("(the end)"));
            let _ = write!(text, "    actual:   {}", have.unwrap_or("(the end)"));
            return Some(text);
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_nothing_of_equal_texts() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn shows_the_first_line_that_differs() {
        let text = difference("a\nb\nc\n", "a\nx\nc\n").unwrap();
        assert_eq!(text, "line 2 differs\n    expected: b\n    actual:   x");
    }

    #[test]
    fn notices_a_missing_end_and_a_missing_line_feed() {
        assert!(
            difference("a\nb\n", "a\n")
                .unwrap()
                .contains("actual:   (the end)")
        );
        assert!(difference("a\n", "a").is_some());
    }
}
