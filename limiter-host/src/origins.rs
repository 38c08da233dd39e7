//! Where a request comes from, told by its path.

use limiter_core::Origin;
use std::error::Error;
use std::fmt;

/// Prefixes of paths that are of origin `ui` or `webhook`; all others are `api`.
///
/// Such a path is freed of limits, so a doubtful one is `api`: one that holds a segment `.` or `..`
/// or an empty one, a backslash or a semicolon, or that writes a dot, a slash or a backslash in
/// percent encoding. A server behind may read such a path as quite another one. Case counts.
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
    /// [`PrefixError`] unless the prefix begins and ends with a slash and is no doubtful path.
    pub fn with(mut self, prefix: &str, origin: Origin) -> Result<Self, PrefixError> {
        if !prefix.starts_with('/') || !prefix.ends_with('/') || is_doubtful(prefix) {
            return Err(PrefixError);
        }
        self.prefixes.retain(|(known, _)| known != prefix);
        self.prefixes.push((prefix.to_owned(), origin));
        // Longest first.
        self.prefixes
            .sort_by_key(|(prefix, _)| usize::MAX - prefix.len());
        Ok(self)
    }

    /// The origin of a request for a path, without its query.
    ///
    /// *O*(prefixes); does not allocate.
    #[must_use]
    pub fn of(&self, path: &str) -> Origin {
        let fits = |(prefix, _): &&(String, Origin)| path.starts_with(prefix.as_str());
        match self.prefixes.iter().find(fits) {
            Some((_, origin)) if !is_doubtful(path) => *origin,
            _ => Origin::Api,
        }
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

/// A prefix that does not begin and end with a slash, or is a doubtful path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixError;

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a prefix must begin and end with a slash, without segments . or .. or empty ones, \\, ; and encoded dots or slashes")
    }
}

impl Error for PrefixError {}

/// Whether a server may take the path for another one.
fn is_doubtful(path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    let inner = path.strip_suffix('/').unwrap_or(path);
    let bad_segment = |segment: &str| matches!(segment, "" | "." | "..");
    let encodes = |escape: &str| {
        let mut triples = path.as_bytes().windows(escape.len());
        triples.any(|triple| triple.eq_ignore_ascii_case(escape.as_bytes()))
    };
    path.contains(['\\', ';'])
        || (!inner.is_empty() && inner.split('/').any(bad_segment))
        || ["%2e", "%2f", "%5c"].into_iter().any(encodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_longest_prefix_that_fits() {
        let origins = PathOrigins::default()
            .with("/ui/hooks/", Origin::Webhook)
            .and_then(|origins| origins.with("/ui/hooks/api/", Origin::Api))
            .unwrap();
        assert_eq!(origins.of("/ui/"), Origin::Ui);
        assert_eq!(origins.of("/ui/hooks/1"), Origin::Webhook);
        assert_eq!(origins.of("/ui/hooks/api/1"), Origin::Api);
        assert_eq!(origins.of("/webhooks/1/"), Origin::Webhook);
    }

    #[test]
    fn takes_a_path_that_only_begins_alike_for_api() {
        let origins = PathOrigins::default();
        for path in ["/", "/ui", "/uix/", "/UI/", "/v1/ui/", "ui/", "*", ""] {
            assert_eq!(origins.of(path), Origin::Api, "{path}");
        }
    }

    #[test]
    fn frees_no_path_that_a_server_may_take_for_another() {
        let origins = PathOrigins::default();
        for path in [
            "/webhooks/../v1/deals",
            "/webhooks/..",
            "/webhooks/./x",
            "/webhooks//x",
            "/webhooks/%2e%2E/v1",
            "/webhooks/.%2e/v1",
            "/webhooks/..%2fv1",
            "/webhooks/..%5Cv1",
            "/webhooks/..\\v1",
            "/webhooks/..;/v1",
        ] {
            assert_eq!(origins.of(path), Origin::Api, "{path}");
        }
        assert_eq!(origins.of("/webhooks/a..b/.c"), Origin::Webhook);
    }

    #[test]
    fn rejects_a_prefix_that_would_free_more_than_it_says() {
        for prefix in ["", "ui/", "/ui", "/u//i/", "/../", "/%2e/", "/a;b/"] {
            let rejected = PathOrigins::none().with(prefix, Origin::Ui);
            assert_eq!(rejected, Err(PrefixError), "{prefix}");
        }
        assert!(PathOrigins::none().with("/", Origin::Ui).is_ok());
        assert!(
            PrefixError
                .to_string()
                .starts_with("a prefix must begin and end")
        );
    }
}
