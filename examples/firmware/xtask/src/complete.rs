//! Holds an image that claims to use a whole library to the library's source.
//!
//! The comparison is by name: the image must name a function as often as the library defines a public one of that
//! name. That is crude, and enough to notice a function that was added.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

/// Checks that `image` names every public function of the Rust files below `library`.
pub(crate) fn check(image: &Path, library: &Path) -> Result<(), String> {
    let missing = || -> Result<Vec<String>> {
        let mut defined = BTreeMap::new();
        let root = fs::read_to_string(library.join("lib.rs"))?;
        let hidden: Vec<String> = hidden_modules(&root)
            .map(|name| format!("{name}.rs"))
            .collect();
        collect(library, &hidden, &mut defined)?;
        let image = fs::read_to_string(image)?;
        Ok(defined
            .into_iter()
            .filter(|(name, times)| uses(&image, name) < *times)
            .map(|(name, _)| name)
            .collect())
    };
    match missing().with_context(|| library.display().to_string()) {
        Ok(names) if names.is_empty() => Ok(()),
        Ok(names) => Err(format!(
            "it does not use every function named {}",
            names.join(", ")
        )),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// The modules that a crate's documentation leaves out: public for the project's other crates alone.
fn hidden_modules(root: &str) -> impl Iterator<Item = &str> {
    let lines = root.lines().zip(root.lines().skip(1));
    lines.filter_map(|(before, line)| {
        let name = line.strip_prefix("pub mod ")?.strip_suffix(';')?;
        (before == "#[doc(hidden)]").then_some(name)
    })
}

fn collect(folder: &Path, hidden: &[String], defined: &mut BTreeMap<String, usize>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, &[], defined)?;
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
            && !hidden.iter().any(|name| path.ends_with(name))
        {
            for name in public_functions(&fs::read_to_string(&path)?) {
                *defined.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// The names of the public functions of a source file, its tests left out.
fn public_functions(source: &str) -> impl Iterator<Item = &str> {
    let source = source
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    source.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line
            .strip_prefix("pub fn ")
            .or_else(|| line.strip_prefix("pub const fn "))?;
        rest.split(['(', '<']).next()
    })
}

/// How often `source` names the function, as a path's or a method call's end.
fn uses(source: &str, name: &str) -> usize {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    ["::", "."]
        .iter()
        .flat_map(|before| {
            let whole = format!("{before}{name}");
            source
                .split(&whole)
                .skip(1)
                .map(|after| !after.starts_with(is_part))
                .collect::<Vec<_>>()
        })
        .filter(|&is_whole| is_whole)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "
        pub fn one() {}
        pub const fn two<T>(t: T) {}
        pub(crate) fn three() {}
        fn four() {}
#[cfg(test)]
mod tests { pub fn five() {} }
";

    #[test]
    fn finds_the_public_functions_outside_the_tests() {
        let names: Vec<&str> = public_functions(LIBRARY).collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[test]
    fn leaves_modules_out_that_the_documentation_leaves_out() {
        let root = "pub mod one;\n#[doc(hidden)]\npub mod two;\nmod three;\n";
        assert_eq!(hidden_modules(root).collect::<Vec<_>>(), ["two"]);
    }

    #[test]
    fn counts_whole_names_only() {
        assert_eq!(
            uses("A::one, b.one(), one, A::one_more, keep!(B::one)", "one"),
            3
        );
        assert_eq!(uses("A::is_one", "one"), 0);
    }

    #[test]
    fn names_what_an_image_leaves_out() {
        let folder = std::env::temp_dir().join(format!("complete-{}", std::process::id()));
        fs::create_dir_all(folder.join("library")).unwrap();
        fs::write(folder.join("library/lib.rs"), LIBRARY).unwrap();
        let image = folder.join("image.rs");
        fs::write(&image, "keep!(library::one);").unwrap();
        let library = folder.join("library");
        let verdict = check(&image, &library);
        assert_eq!(
            verdict,
            Err("it does not use every function named two".to_owned())
        );
        fs::write(&image, "keep!(library::one, library::two);").unwrap();
        assert_eq!(check(&image, &library), Ok(()));
        fs::remove_dir_all(folder).unwrap();
    }
}
