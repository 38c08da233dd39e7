//! Where a request shows its credential.
//!
//! Three places: the header `x-api-token`, the query parameter `api_token`, and `authorization`
//! with the scheme Bearer. Showing one credential several times is fine; showing two different ones
//! is not, for then the limiter and the service behind it might each believe another.

use super::head::Head;
use http::header::HeaderMap;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// A request showed two different credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConflictingCredentials;

impl fmt::Display for ConflictingCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request shows two different credentials")
    }
}

impl Error for ConflictingCredentials {}

/// Finds the credential of a request; an empty one is none.
///
/// The query parameter is percent-decoded, its name too; `+` stands for itself, since credentials
/// in base64 have it and none has a space. Parameters end with `&`. Some servers end them with `;`
/// too: a parameter `api_token` with a `;` in it or before it is a conflict, for they would read
/// another credential, or one where there is none. The scheme `Bearer` may be written in any case; other
/// schemes are not looked at.
///
/// Does not allocate, unless the query parameter holds a `%`.
///
/// # Errors
///
/// [`ConflictingCredentials`] when two differ, be they in one place, in two, or in two readings of the
/// query.
///
/// ```
/// use limiter_host::middleware::{Head, credential};
/// let request = http::Request::get("/v1/deals?api_token=a%2Bb").body(())?;
/// assert_eq!(credential(&Head::of(&request)).unwrap().as_deref(), Some(&b"a+b"[..]));
/// # Ok::<(), http::Error>(())
/// ```
#[inline]
pub fn credential<'a>(head: &Head<'a>) -> Result<Option<Cow<'a, [u8]>>, ConflictingCredentials> {
    let in_headers = in_headers(head.headers)?;
    match head.uri.query() {
        None => Ok(in_headers.map(Cow::Borrowed)),
        Some(query) => with_query(in_headers, query),
    }
}

/// The credential in the fields of either name: one walk over the few fields of a request, which
/// takes less than hashing two names.
#[inline]
fn in_headers(headers: &HeaderMap) -> Result<Option<&[u8]>, ConflictingCredentials> {
    let mut found: Option<&[u8]> = None;
    for (name, value) in headers {
        let shown = match name.as_str() {
            TOKEN_FIELD => value.as_bytes().trim_ascii(),
            AUTHORIZATION => bearer_token(value.as_bytes()).unwrap_or_default(),
            _ => continue,
        };
        match found {
            _ if shown.is_empty() => {}
            None => found = Some(shown),
            Some(first) if first == shown => {}
            Some(_) => return Err(ConflictingCredentials),
        }
    }
    Ok(found)
}

/// What was found in the headers together with what the query shows.
fn with_query<'a>(
    in_headers: Option<&'a [u8]>,
    query: &'a str,
) -> Result<Option<Cow<'a, [u8]>>, ConflictingCredentials> {
    let mut found = in_headers.map(Cow::Borrowed);
    for shown in api_tokens(query) {
        let shown = shown?;
        match &found {
            _ if shown.is_empty() => {}
            None => found = Some(shown),
            Some(first) if *first == shown => {}
            Some(_) => return Err(ConflictingCredentials),
        }
    }
    Ok(found)
}

/// What follows the scheme in `Bearer T`.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if scheme.eq_ignore_ascii_case(SCHEME) && rest.first() == Some(&b' ') {
        Some(rest.trim_ascii())
    } else {
        None
    }
}

/// The values of all parameters `api_token`; a conflict for one that only some servers find, or find
/// with another value, since they take a semicolon for the end of a parameter too.
fn api_tokens(query: &str) -> impl Iterator<Item = Result<Cow<'_, [u8]>, ConflictingCredentials>> {
    query.split('&').filter_map(|parameter| {
        if parameter.contains(';') {
            let mut parts = parameter.split(';');
            let is_shown = parts.any(|part| api_token(part).is_some());
            return is_shown.then_some(Err(ConflictingCredentials));
        }
        api_token(parameter).map(Ok)
    })
}

/// The value of a parameter, if its name is `api_token`.
fn api_token(parameter: &str) -> Option<Cow<'_, [u8]>> {
    let (name, value) = parameter.split_once('=')?;
    (*percent_decoded(name) == *PARAMETER).then(|| percent_decoded(value))
}

/// The bytes that a text means; a `%` that no two hexadecimal digits follow stands for itself.
fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match (*first, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    (high << 4) | low
                }
                _ => b'%',
            },
            (byte, _) => byte,
        };
        decoded.push(byte);
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

const TOKEN_FIELD: &str = "x-api-token";
const AUTHORIZATION: &str = "authorization";
const SCHEME: &[u8] = b"bearer";
const PARAMETER: &[u8] = b"api_token";

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// The credential of a request for `uri` with the headers.
    fn shown(
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<String>, ConflictingCredentials> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let found = credential(&Head::of(&request))?;
        Ok(found.map(|bytes| String::from_utf8(bytes.into_owned()).unwrap()))
    }

    fn one(token: &str) -> Result<Option<String>, ConflictingCredentials> {
        Ok(Some(token.to_owned()))
    }

    #[test]
    fn finds_a_credential_in_each_place() {
        assert_eq!(shown("/", &[("x-api-token", "a1")]), one("a1"));
        assert_eq!(shown("/?api_token=a1", &[]), one("a1"));
        assert_eq!(shown("/?limit=5&api_token=a1&x", &[]), one("a1"));
        assert_eq!(shown("/", &[("authorization", "Bearer a1")]), one("a1"));
        assert_eq!(shown("/", &[("authorization", "bEARER   a1 ")]), one("a1"));
    }

    #[test]
    fn finds_none_where_none_is_shown() {
        let nothing = Ok(None);
        assert_eq!(shown("/", &[]), nothing);
        assert_eq!(
            shown("/?api_token=&api_token", &[("x-api-token", "")]),
            nothing
        );
        assert_eq!(shown("/?my_api_token=a1&api_token2=b", &[]), nothing);
        assert_eq!(shown("/", &[("authorization", "Basic a1")]), nothing);
        assert_eq!(shown("/", &[("authorization", "Bearer")]), nothing);
        assert_eq!(shown("/", &[("authorization", "Bearer ")]), nothing);
        assert_eq!(shown("/", &[("authorization", "Bearera1")]), nothing);
    }

    #[test]
    fn decodes_a_query_once() {
        assert_eq!(shown("/?api_token=a%2Bb%3d%25", &[]), one("a+b=%"));
        assert_eq!(shown("/?api_token=a+b", &[]), one("a+b"));
        assert_eq!(shown("/?api_token=a%2", &[]), one("a%2"));
        assert_eq!(shown("/?api_token=a%zz%4", &[]), one("a%zz%4"));
        assert_eq!(shown("/?api%5Ftoken=a1", &[]), one("a1"));
        assert_eq!(shown("/?api_token=a=b", &[]), one("a=b"));
    }

    #[test]
    fn takes_the_same_credential_any_number_of_times() {
        let headers = [
            ("x-api-token", "a+b"),
            ("x-api-token", "a+b"),
            ("authorization", "Bearer a+b"),
        ];
        assert_eq!(
            shown("/?api_token=a%2bb&api_token=a+b", &headers),
            one("a+b")
        );
    }

    #[test]
    fn rejects_two_different_ones_in_one_place_or_in_two() {
        let conflict = Err(ConflictingCredentials);
        assert_eq!(shown("/?api_token=a&api_token=b", &[]), conflict);
        assert_eq!(shown("/?api%5ftoken=a", &[("x-api-token", "b")]), conflict);
        let twice = [("x-api-token", "a"), ("x-api-token", "b")];
        assert_eq!(shown("/", &twice), conflict);
        let both = [("x-api-token", "a"), ("authorization", "Bearer b")];
        assert_eq!(shown("/", &both), conflict);
    }

    #[test]
    fn takes_a_parameter_that_a_semicolon_ends_for_a_conflict() {
        let conflict = Err(ConflictingCredentials);
        let header = [("x-api-token", "a")];
        for query in [
            "x=1;api_token=b",
            "x=1;api_token=a",
            "api_token=a;x=1",
            "api_token=a;api_token=b",
            "x=1;api%5Ftoken=b",
            "y&x=1;z;api_token=b&w",
            "api_token=;x",
        ] {
            assert_eq!(shown(&format!("/?{query}"), &header), conflict, "{query}");
            assert_eq!(shown(&format!("/?{query}"), &[]), conflict, "{query}");
        }
        // It may stand elsewhere, and be escaped.
        assert_eq!(shown("/?x=1;y=2&api_token=a", &header), one("a"));
        assert_eq!(shown("/?x=1;my_api_token=b", &header), one("a"));
        assert_eq!(shown("/?api_token=a%3Bb", &[]), one("a;b"));
    }

    #[test]
    fn names_the_error_without_naming_a_credential() {
        assert_eq!(
            ConflictingCredentials.to_string(),
            "the request shows two different credentials"
        );
    }
}
