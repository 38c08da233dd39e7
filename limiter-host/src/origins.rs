//! The origin of a request, found by its path.

mod path;
#[cfg(test)]
mod tests;

use self::path::Reading;
use limiter_core::Origin;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Prefixes of paths that are of origin `ui` or `webhook`; all others are `api`.
///
/// Such a path is freed of limits, so only a path that every server reads alike is: one that holds
/// no dot segment, no empty segment, no backslash and no semicolon, and no slash, backslash,
/// semicolon, `%`, `?` or `#` in percent encoding. Case counts. [`PathOrigins::judge`] also gives the
/// path that should be forwarded.
///
/// ```
/// use limiter_host::core::Origin;
/// use limiter_host::PathOrigins;
///
/// let origins = PathOrigins::default(); // /ui/ and /webhooks/
/// assert_eq!(origins.of("/ui/deals"), Origin::Ui);
/// assert_eq!(origins.of("/webhooks/42"), Origin::Webhook);
/// assert_eq!(origins.of("/webhooks/../v1/deals"), Origin::Api);
/// assert_eq!(origins.of("/v1/deals"), Origin::Api);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathOrigins {
    prefixes: Vec<(String, Origin)>,
}

impl PathOrigins {
    /// No prefix: everything is `api`.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            prefixes: Vec::new(),
        }
    }

    /// The same and one more prefix. Where several fit a path, the longest counts; of equal ones
    /// the last.
    ///
    /// # Errors
    ///
    /// [`PrefixError`] unless the prefix begins and ends with a slash, is in normal form, and every
    /// server reads it alike.
    pub fn with(mut self, prefix: &str, origin: Origin) -> Result<Self, PrefixError> {
        let reading = Reading::of(prefix).ok_or(PrefixError)?;
        let is_plain = reading.loosest.is_none() && reading.normal == prefix;
        if !prefix.starts_with('/') || !prefix.ends_with('/') || !is_plain {
            return Err(PrefixError);
        }
        self.prefixes.retain(|(known, _)| known != prefix);
        self.prefixes.push((prefix.to_owned(), origin));
        // Longest first.
        self.prefixes
            .sort_by_key(|(prefix, _)| usize::MAX - prefix.len());
        Ok(self)
    }

    /// The origin of a request for a path, without its query. A path that servers may read
    /// differently is `api`.
    ///
    /// *O*(prefixes); does not allocate, unless the path is below a prefix and holds a `%`.
    #[must_use]
    pub fn of(&self, path: &str) -> Origin {
        match self.prefix_of(path) {
            Some(origin) if Reading::of(path).is_some_and(|path| path.loosest.is_none()) => origin,
            _ => Origin::Api,
        }
    }

    /// The origin of a request for a path, without its query, and the path to forward, which is the
    /// one that was judged: in the normal form of RFC 3986, section 6.2.2.
    ///
    /// *O*(prefixes, length); does not allocate for a path of plain characters.
    ///
    /// # Errors
    ///
    /// [`UncleanPath`] for a path that some server may read as a path of another place:
    ///
    /// - a dot segment, also in percent encoding (once, twice), before a semicolon, or between
    ///   backslashes;
    /// - a `%` without two hexadecimal digits, an escaped control character, bytes that are not
    ///   UTF-8, a backslash, or escapes of escapes of escapes;
    /// - any of what is fine elsewhere (an empty segment, a semicolon, an escaped slash, backslash,
    ///   semicolon, `%`, `?` or `#`), if one of its readings is below a prefix.
    ///
    /// ```
    /// use limiter_host::core::Origin;
    /// use limiter_host::PathOrigins;
    ///
    /// let origins = PathOrigins::none().with("/ui/", Origin::Ui)?;
    /// let judged = origins.judge("/u%69/caf%c3%a9").unwrap();
    /// assert_eq!((&*judged.path, judged.origin), ("/ui/caf%C3%A9", Origin::Ui));
    /// assert!(origins.judge("/ui/%252e%252e/v1").is_err());
    /// assert!(origins.judge("/ui/a%2Fb").is_err());
    /// assert_eq!(origins.judge("/v1/a%2Fb").unwrap().origin, Origin::Api);
    /// # Ok::<(), limiter_host::origins::PrefixError>(())
    /// ```
    pub fn judge<'a>(&self, path: &'a str) -> Result<JudgedPath<'a>, UncleanPath> {
        let Reading { normal, loosest } = Reading::of(path).ok_or(UncleanPath)?;
        let origin = self.prefix_of(&normal);
        let is_near = |loosest: String| origin.is_some() || self.reaches(&loosest);
        if loosest.is_some_and(is_near) {
            return Err(UncleanPath);
        }
        Ok(JudgedPath {
            path: normal,
            origin: origin.unwrap_or(Origin::Api),
        })
    }

    /// The prefixes and what each makes of a request, the longest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Origin)> {
        let prefixes = self.prefixes.iter();
        prefixes.map(|(prefix, origin)| (prefix.as_str(), *origin))
    }

    fn prefix_of(&self, path: &str) -> Option<Origin> {
        let mut prefixes = self.prefixes.iter();
        let found = prefixes.find(|(prefix, _)| path.starts_with(prefix.as_str()));
        found.map(|(_, origin)| *origin)
    }

    /// Returns whether a path is below a prefix, whatever the case.
    fn reaches(&self, path: &str) -> bool {
        self.prefixes.iter().any(|(prefix, _)| {
            let start = path.as_bytes().get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        })
    }
}

impl Default for PathOrigins {
    /// `/ui/` and `/webhooks/`.
    fn default() -> Self {
        Self {
            prefixes: vec![
                ("/webhooks/".to_owned(), Origin::Webhook),
                ("/ui/".to_owned(), Origin::Ui),
            ],
        }
    }
}

impl fmt::Display for PathOrigins {
    /// `/ui/ (ui), /webhooks/ (webhook)`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefixes.is_empty() {
            return f.write_str("none");
        }
        for (index, (prefix, origin)) in self.iter().enumerate() {
            let origin = match origin {
                Origin::Api => "api",
                Origin::Ui => "ui",
                Origin::Webhook => "webhook",
            };
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{prefix} ({origin})")?;
        }
        Ok(())
    }
}

/// A path with its origin, as [`PathOrigins::judge`] returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedPath<'a> {
    /// The path that was judged, in normal form; forward this one.
    pub path: Cow<'a, str>,
    /// The origin of a request for it.
    pub origin: Origin,
}

/// A path that does not normalize cleanly: two servers may read it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UncleanPath;

impl fmt::Display for UncleanPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path does not normalize cleanly")
    }
}

impl Error for UncleanPath {}

/// A prefix that does not begin and end with a slash, or that servers may read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixError;

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a prefix must begin and end with a slash, without segments . or .. or empty ones, \\, ; and escapes of what can be written as it is")
    }
}

impl Error for PrefixError {}
