//! What is wrong with a file.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a file could not be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// It could not be read, or is not UTF-8.
    Unreadable {
        /// Its name.
        file: String,
        /// The system's word.
        error: io::Error,
    },
    /// It says something wrong.
    Mistakes {
        /// Its name.
        file: String,
        /// All that is wrong with it, by line.
        mistakes: Vec<Mistake>,
    },
}

impl fmt::Display for ConfigError {
    /// A line for each mistake, `file:line: key: what is wrong` (JSON: `file:line:column: …`), without an end of line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, error } => write!(f, "{file}: {error}"),
            Self::Mistakes { file, mistakes } => {
                for (i, mistake) in mistakes.iter().enumerate() {
                    let separator = if i == 0 { "" } else { "\n" };
                    write!(f, "{separator}{file}:{mistake}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for ConfigError {}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters from 1, in a JSON file; `None` in a TOML file, whose lines have
    /// one key each.
    pub column: Option<usize>,
    /// The key, with those of the tables around it: `plans.advanced.api_token`. Empty where the
    /// text could not be read.
    pub key: String,
    /// What is wrong. It never repeats a credential.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}
