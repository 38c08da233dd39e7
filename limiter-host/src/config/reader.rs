//! Walks a file's tree and collects mistakes instead of stopping at the first.
//!
//! Every value is asked for by key and type; what is not there or of another type is `None`, and
//! has been noted. Messages name types and limits, never the text of a value.

use super::error::{ConfigError, Mistake};
use super::tree::{Format, Placed, Table, Value};
use super::{json_tree, toml_tree};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A document, and what was found wrong with it.
pub(super) struct Document<'t> {
    text: &'t str,
    /// Where each line ends, in order: of many tokens each is asked for its line.
    line_ends: Vec<usize>,
    format: Format,
    mistakes: RefCell<Vec<Mistake>>,
    /// Lines that could not be read: what was made of them is not judged.
    broken: BTreeSet<usize>,
}

impl<'t> Document<'t> {
    /// Parses the text, as well as it can be, by the extension of the file's name.
    pub(super) fn parse(text: &'t str, file: &str) -> (Self, Placed<Table<'t>>) {
        let format = Format::of(file);
        let (root, flaws) = match format {
            Format::Toml => toml_tree::parse(text),
            Format::Json => json_tree::parse(text),
        };
        let mut document = Self {
            text,
            line_ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            format,
            mistakes: RefCell::default(),
            broken: BTreeSet::new(),
        };
        for flaw in flaws {
            if !flaw.key.is_empty() {
                document.note(flaw.at, flaw.key, flaw.what);
            } else if !document.broken.contains(&document.line(flaw.at)) {
                document.note(flaw.at, flaw.key, flaw.what);
                document.broken.insert(document.line(flaw.at));
            }
        }
        (document, root)
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, file: &str, value: Option<T>) -> Result<T, ConfigError> {
        let mut mistakes = self.mistakes.into_inner();
        match value {
            Some(value) if mistakes.is_empty() => Ok(value),
            _ => {
                mistakes.sort();
                Err(ConfigError::Mistakes {
                    file: file.to_owned(),
                    mistakes,
                })
            }
        }
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.line_ends.partition_point(|&end| end < at)
    }

    /// The column of a byte, in characters from 1; of a TOML file, where a line has one key, none.
    fn column(&self, at: usize) -> Option<usize> {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        (self.format == Format::Json).then(|| 1 + line.chars().count())
    }

    fn note(&self, at: usize, key: String, what: impl Into<String>) {
        let line = self.line(at);
        if !self.broken.contains(&line) {
            self.mistakes.borrow_mut().push(Mistake {
                line,
                column: self.column(at),
                key,
                what: what.into(),
            });
        }
    }
}

/// A table of a document, or the document itself.
pub(super) struct Section<'d, 't> {
    document: &'d Document<'t>,
    table: &'d Table<'t>,
    /// Its own key with a dot at the end; empty for the document.
    path: String,
    at: usize,
}

/// A value and where it stands.
pub(super) type Found<T> = Placed<T>;

impl<'d, 't> Section<'d, 't> {
    pub(super) fn root(document: &'d Document<'t>, root: &'d Placed<Table<'t>>) -> Self {
        Self {
            document,
            table: &root.value,
            path: String::new(),
            at: 0,
        }
    }

    /// Notes every key that is none of these.
    pub(super) fn allow(&self, keys: &[&str]) {
        for (key, _) in &self.table.entries {
            if !keys.contains(&key.value.as_ref()) {
                let what = format!("unknown key; known are {}", keys.join(", "));
                self.note(key.at, &key.value, what);
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.find(key).is_some()
    }

    /// Notes that a key is missing, at the table's own line. A document that could not all be read
    /// may have it there.
    pub(super) fn require(&self, key: &str) {
        if !self.has(key) && self.document.broken.is_empty() {
            self.note(self.at, key, "is missing");
        }
    }

    /// Notes something wrong about a key of this table.
    pub(super) fn note(&self, at: usize, key: &str, what: impl Into<String>) {
        self.document.note(at, format!("{}{key}", self.path), what);
    }

    /// Notes something wrong about the table.
    pub(super) fn note_all(&self, what: impl Into<String>) {
        let key = self.path.trim_end_matches('.').to_owned();
        self.document.note(self.at, key, what);
    }

    pub(super) fn line(&self) -> usize {
        self.document.line(self.at)
    }

    pub(super) fn text(&self, key: &str) -> Option<Found<&'d str>> {
        self.typed(key, "a string", Value::as_text)
    }

    pub(super) fn flag(&self, key: &str) -> Option<Found<bool>> {
        self.typed(key, "true or false", Value::as_flag)
    }

    /// A whole number from 0 to 2^32 - 1.
    pub(super) fn number(&self, key: &str) -> Option<Found<u32>> {
        self.typed(key, "a whole number from 0 to 4294967295", Value::as_number)
    }

    /// The value of a key as it stands.
    pub(super) fn value(&self, key: &str) -> Option<Found<&'d Value<'t>>> {
        let Placed { value, at } = self.table.find(key)?;
        Some(Found { value, at: *at })
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<Found<&'d str>>> {
        let wanted = "a list of strings";
        let list = self.typed(key, wanted, Value::as_list)?;
        let mut texts = Vec::new();
        for item in list.value.iter() {
            let at = item.at;
            match item.value.as_text() {
                Some(value) => texts.push(Found { value, at }),
                None => self.note(at, key, mistyped(wanted, &item.value)),
            }
        }
        Some(texts)
    }

    pub(super) fn section(&self, key: &str) -> Option<Self> {
        let table = self.typed(key, "a table", Value::as_table)?;
        Some(self.inner(format!("{}{key}.", self.path), table))
    }

    /// A table, without a word if it is none.
    pub(super) fn section_quietly(&self, key: &str) -> Option<Self> {
        let Found { value, at } = self.value(key)?;
        let value = value.as_table()?;
        Some(self.inner(format!("{}{key}.", self.path), Found { value, at }))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'d str> {
        self.table.entries.iter().map(|(key, _)| key.value.as_ref())
    }

    /// A table, or `None` where the key says `false`.
    pub(super) fn section_or_off(&self, key: &str) -> Option<Option<Self>> {
        match self.value(key)?.value {
            Value::Flag(false) => Some(None),
            Value::Table(_) => self.section(key).map(Some),
            _ => {
                self.mistyped(key, "a table or false");
                None
            }
        }
    }

    /// All tables of this table, in the order of the file, with their names.
    pub(super) fn sections(&self) -> Vec<(&'d str, Self)> {
        let named = |(key, _): &'d (Placed<Cow<'t, str>>, _)| {
            let name: &'d str = &key.value;
            Some((name, self.section(name)?))
        };
        self.table.entries.iter().filter_map(named).collect()
    }

    /// The tables of a list.
    pub(super) fn list(&self, key: &str) -> Option<Vec<Self>> {
        let wanted = "a list of tables";
        let list = self.typed(key, wanted, Value::as_list)?;
        let mut sections = Vec::new();
        for (i, item) in list.value.iter().enumerate() {
            let at = item.at;
            match item.value.as_table() {
                Some(value) => {
                    let path = format!("{}{key}[{i}].", self.path);
                    sections.push(self.inner(path, Found { value, at }));
                }
                None => self.note(at, key, mistyped(wanted, &item.value)),
            }
        }
        Some(sections)
    }

    fn inner(&self, path: String, table: Found<&'d Table<'t>>) -> Self {
        Self {
            document: self.document,
            table: table.value,
            path,
            at: table.at,
        }
    }

    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'d Value<'t>) -> Option<T>,
    ) -> Option<Found<T>> {
        let Found { value, at } = self.value(key)?;
        let read = read(value);
        if read.is_none() {
            self.mistyped(key, wanted);
        }
        Some(Found { value: read?, at })
    }

    fn mistyped(&self, key: &str, wanted: &str) {
        if let Some(Found { value, at }) = self.value(key) {
            self.note(at, key, mistyped(wanted, value));
        }
    }
}

/// What is wrong with a value of the wrong type, or with a number out of range.
fn mistyped(wanted: &str, value: &Value<'_>) -> String {
    match value {
        Value::Number(_) if wanted.contains("number") => format!("must be {wanted}"),
        _ => format!("must be {wanted}, not {}", value.type_in_words()),
    }
}
