//! The tree of a JSON text.
//!
//! `serde_json` tells no places, but it lends pieces of the text, and where a piece lies in the text
//! is its place. So a value is read as a piece, and the pieces in it as pieces again: as often as
//! it is deep, which a configuration is not.

use super::tree::{Flaw, Parsed, Placed, Table, Value};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Reads a text; where it is no JSON it is not read at all.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    let mut reader = Reader {
        text,
        flaws: Vec::new(),
    };
    let value = match serde_json::from_str::<&RawValue>(text) {
        Ok(piece) => match reader.value(piece, 0) {
            Value::Table(table) => table,
            other => {
                let what = format!("must be an object, not {}", other.type_in_words());
                reader.flaw(0, what);
                Table::default()
            }
        },
        Err(error) => {
            let at = byte_of(text, error.line(), error.column());
            reader.flaw(at, without_place(&error));
            Table::default()
        }
    };
    (Placed { value, at: 0 }, reader.flaws)
}

struct Reader<'t> {
    text: &'t str,
    flaws: Vec<Flaw>,
}

impl<'t> Reader<'t> {
    fn flaw(&mut self, at: usize, what: String) {
        let key = String::new();
        self.flaws.push(Flaw { at, key, what });
    }

    fn placed(&mut self, piece: &'t RawValue, depth: usize) -> Placed<Value<'t>> {
        Placed {
            value: self.value(piece, depth),
            at: self.at(piece.get()),
        }
    }

    /// The piece has been read once, so reading it again does not fail; if it did, it would be as
    /// if nothing were there.
    fn value(&mut self, piece: &'t RawValue, depth: usize) -> Value<'t> {
        let text = piece.get();
        if depth > MOST_DEEP {
            self.flaw(self.at(text), "is too deep".to_owned());
            return Value::Null;
        }
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map_or(Value::Null, Value::Text),
            Some(b'{') => Value::Table(self.table(text, depth)),
            Some(b'[') => {
                let pieces: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                let items = pieces
                    .into_iter()
                    .map(|piece| self.placed(piece, depth + 1));
                Value::List(items.collect())
            }
            Some(b't') => Value::Flag(true),
            Some(b'f') => Value::Flag(false),
            Some(b'n') | None => Value::Null,
            Some(_) if text.contains(['.', 'e', 'E']) => Value::Fraction,
            Some(_) => Value::Number(text.parse().ok()),
        }
    }

    fn table(&mut self, text: &'t str, depth: usize) -> Table<'t> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let pairs = reader.deserialize_map(Pairs).unwrap_or_default();
        let mut table = Table::default();
        for (name, piece) in pairs {
            let value = self.placed(piece, depth + 1);
            let at = match &name {
                Cow::Borrowed(name) => self.at(name).saturating_sub(QUOTE),
                // A name with escapes is not a piece of the text; its value is close by.
                Cow::Owned(_) => value.at,
            };
            if table.find(&name).is_some() {
                self.flaws.push(Flaw {
                    at,
                    key: name.into_owned(),
                    what: "is there twice".to_owned(),
                });
                continue;
            }
            table.entries.push((Placed { value: name, at }, value));
        }
        table
    }

    /// Where a piece of the text lies in it.
    fn at(&self, piece: &str) -> usize {
        piece
            .as_ptr()
            .addr()
            .wrapping_sub(self.text.as_ptr().addr())
    }
}

/// The entries of an object, in their order.
struct Pairs;

impl<'t> Visitor<'t> for Pairs {
    type Value = Vec<(Cow<'t, str>, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, piece)) = map.next_entry::<Name<'t>, &'t RawValue>()? {
            pairs.push((name.0, piece));
        }
        Ok(pairs)
    }
}

/// A name, borrowed where it can be.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

/// The byte of a line and a column as `serde_json` counts them: lines from 1, columns in bytes, 0
/// for the end of the line before.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// The message without the place at its end.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

const QUOTE: usize = 1;
/// Far deeper than anything that is known.
const MOST_DEEP: usize = 16;
