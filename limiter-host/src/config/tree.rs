//! What a file says, whether it is TOML or JSON: tables, lists and values, each with its place.

use std::borrow::Cow;
use toml::value::Datetime;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Json,
}

impl Format {
    /// JSON if the file is called so, else TOML.
    pub(super) fn of(file: &str) -> Self {
        match file.rsplit_once('.') {
            Some((_, extension)) if extension.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Toml,
        }
    }
}

/// Something and the byte of the text at which it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// A table's entries in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Table<'t> {
    pub(super) entries: Vec<(Placed<Cow<'t, str>>, Placed<Value<'t>>)>,
}

impl<'t> Table<'t> {
    pub(super) fn find(&self, key: &str) -> Option<&Placed<Value<'t>>> {
        let found = self.entries.iter().find(|(name, _)| name.value == key);
        found.map(|(_, value)| value)
    }
}

/// A value.
#[derive(Debug)]
pub(super) enum Value<'t> {
    Text(Cow<'t, str>),
    /// A whole number, `None` if it is none from 0 to 2^32 - 1.
    Number(Option<u32>),
    Fraction,
    Flag(bool),
    Date(Datetime),
    List(Vec<Placed<Value<'t>>>),
    Table(Table<'t>),
    Null,
}

impl<'t> Value<'t> {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) const fn as_flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) const fn as_number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => *number,
            _ => None,
        }
    }

    pub(super) const fn as_list(&self) -> Option<&Vec<Placed<Self>>> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) const fn as_table(&self) -> Option<&Table<'t>> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) const fn type_in_words(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Fraction => "a fraction",
            Self::Flag(_) => "true or false",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Null => "null",
        }
    }
}

/// What is wrong with the text itself.
pub(super) struct Flaw {
    pub(super) at: usize,
    /// Empty where the text could not be read.
    pub(super) key: String,
    pub(super) what: String,
}

/// The tree of a text, as far as it could be read, and what is wrong with the text.
pub(super) type Parsed<'t> = (Placed<Table<'t>>, Vec<Flaw>);
