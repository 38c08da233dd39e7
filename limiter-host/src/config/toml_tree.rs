//! The tree of a TOML text.

use super::tree::{Flaw, Parsed, Placed, Table, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a text as well as it can be: what is on other lines than those that are no TOML.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let flaws = errors.iter().map(|error| Flaw {
        at: error.span().map_or(0, |span| span.start),
        key: String::new(),
        what: error.message().to_owned(),
    });
    let flaws = flaws.collect();
    let root = Placed {
        value: table(root.into_inner()),
        at: 0,
    };
    (root, flaws)
}

fn table(table: DeTable<'_>) -> Table<'_> {
    let entry = |(key, value): (Spanned<_>, _)| {
        let at = key.span().start;
        let key = Placed {
            value: key.into_inner(),
            at,
        };
        (key, placed(value))
    };
    let mut entries: Vec<_> = table.into_iter().map(entry).collect();
    entries.sort_by_key(|(key, _)| key.at);
    Table { entries }
}

fn placed(value: Spanned<DeValue<'_>>) -> Placed<Value<'_>> {
    let at = value.span().start;
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(integer) => {
            Value::Number(u32::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Float(_) => Value::Fraction,
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(date) => Value::Date(date),
        DeValue::Array(items) => Value::List(items.into_iter().map(placed).collect()),
        DeValue::Table(inner) => Value::Table(table(inner)),
    };
    Placed { value, at }
}
