//! Walks a TOML document and collects mistakes instead of stopping at the first.
//!
//! Every value is asked for by key and type; what is not there or of another type is `None`, and
//! has been noted. Messages name types and limits, never the text of a value.

use super::error::{ConfigError, Mistake};
use std::cell::RefCell;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A document, and what was found wrong with it.
pub(super) struct Document<'t> {
    text: &'t str,
    mistakes: RefCell<Vec<Mistake>>,
    /// Lines that are not TOML: what was made of them is not judged.
    broken: BTreeSet<usize>,
}

impl<'t> Document<'t> {
    /// Parses the text, as well as it can be.
    pub(super) fn parse(text: &'t str) -> (Self, Spanned<DeTable<'t>>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            text,
            mistakes: RefCell::default(),
            broken: BTreeSet::new(),
        };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let line = document.line(at);
            if document.broken.insert(line) {
                let (key, what) = (String::new(), error.message().to_owned());
                document
                    .mistakes
                    .get_mut()
                    .push(Mistake { line, key, what });
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
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    fn note(&self, at: usize, key: String, what: impl Into<String>) {
        let line = self.line(at);
        if !self.broken.contains(&line) {
            let what = what.into();
            self.mistakes.borrow_mut().push(Mistake { line, key, what });
        }
    }
}

/// A table of a document, or the document itself.
pub(super) struct Section<'d, 't> {
    document: &'d Document<'t>,
    table: &'d DeTable<'t>,
    /// Its own key with a dot at the end; empty for the document.
    path: String,
    at: usize,
}

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

impl<'d, 't> Section<'d, 't> {
    pub(super) fn root(document: &'d Document<'t>, root: &'d Spanned<DeTable<'t>>) -> Self {
        Self {
            document,
            table: root.get_ref(),
            path: String::new(),
            at: 0,
        }
    }

    /// Notes every key that is none of these.
    pub(super) fn allow(&self, keys: &[&str]) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                let what = format!("unknown key; known are {}", keys.join(", "));
                self.note(key.span().start, name, what);
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes that a key is missing, at the table's own line. A document that is not all TOML may
    /// have it where it could not be read.
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
        self.typed(key, "a string", |value| value.as_str())
    }

    pub(super) fn flag(&self, key: &str) -> Option<Found<bool>> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// A whole number from 0 to 2^32 - 1.
    pub(super) fn number(&self, key: &str) -> Option<Found<u32>> {
        self.typed(key, "a whole number from 0 to 4294967295", |value| {
            let integer = value.as_integer()?;
            u32::from_str_radix(integer.as_str(), integer.radix()).ok()
        })
    }

    /// The value of a key as it stands.
    pub(super) fn value(&self, key: &str) -> Option<Found<&'d DeValue<'t>>> {
        let value = self.table.get(key)?;
        Some(Found {
            value: value.get_ref(),
            at: value.span().start,
        })
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<Found<&'d str>>> {
        let wanted = "a list of strings";
        let list = self.typed(key, wanted, DeValue::as_array)?;
        let mut texts = Vec::new();
        for item in list.value.iter() {
            let at = item.span().start;
            match item.get_ref().as_str() {
                Some(value) => texts.push(Found { value, at }),
                None => self.note(at, key, mistyped(wanted, item.get_ref())),
            }
        }
        Some(texts)
    }

    pub(super) fn section(&self, key: &str) -> Option<Self> {
        let table = self.typed(key, "a table", DeValue::as_table)?;
        Some(self.inner(format!("{}{key}.", self.path), table))
    }

    /// A table, or `None` where the key says `false`.
    pub(super) fn section_or_off(&self, key: &str) -> Option<Option<Self>> {
        match self.value(key)?.value {
            DeValue::Boolean(false) => Some(None),
            DeValue::Table(_) => self.section(key).map(Some),
            _ => {
                self.mistyped(key, "a table or false");
                None
            }
        }
    }

    /// All tables of this table, in the order of the file, with their names.
    pub(super) fn sections(&self) -> Vec<(&'d str, Self)> {
        let mut keys: Vec<_> = self.table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        let named = |key: &&'d Spanned<_>| {
            let name: &'d str = std::borrow::Cow::as_ref(key.get_ref());
            Some((name, self.section(name)?))
        };
        keys.iter().filter_map(named).collect()
    }

    /// The tables of a list.
    pub(super) fn list(&self, key: &str) -> Option<Vec<Self>> {
        let wanted = "a list of tables";
        let list = self.typed(key, wanted, DeValue::as_array)?;
        let mut sections = Vec::new();
        for (i, item) in list.value.iter().enumerate() {
            let at = item.span().start;
            match item.get_ref().as_table() {
                Some(value) => {
                    let path = format!("{}{key}[{i}].", self.path);
                    sections.push(self.inner(path, Found { value, at }));
                }
                None => self.note(at, key, mistyped(wanted, item.get_ref())),
            }
        }
        Some(sections)
    }

    fn inner(&self, path: String, table: Found<&'d DeTable<'t>>) -> Self {
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
        read: impl FnOnce(&'d DeValue<'t>) -> Option<T>,
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
fn mistyped(wanted: &str, value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(_) if wanted.contains("number") => format!("must be {wanted}"),
        _ => format!("must be {wanted}, not {}", type_in_words(value)),
    }
}

fn type_in_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
