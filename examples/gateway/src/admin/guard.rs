//! Keeps other sites' pages, in an operator's browser, from the admin listener.
//!
//! - A name that an attacker's DNS points to this machine (rebinding) shows in `Host`: only
//!   addresses, `localhost` and the names that the operator listed are answered.
//! - A page of another origin may send requests here but cannot read the answers, so it does not
//!   know the token that every change must show in a header. Such a header also makes a browser ask
//!   first, and nothing here says yes to that.
//! - What a browser tells of the origin must be this very listener.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What is let through.
#[derive(Debug)]
pub(super) struct Guard {
    /// Names, in lower case, under which the listener may be asked.
    hosts: Vec<String>,
    csrf: String,
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Host,
    Origin,
    Token,
}

impl Refusal {
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Host => "unknown host name; --admin-host NAME allows one",
            Self::Origin => "a page of another origin may not do this",
            Self::Token => "the x-csrf-token is missing or old; load the page again",
        }
    }
}

impl Guard {
    pub(super) fn new(mut hosts: Vec<String>, csrf: String) -> Self {
        for host in &mut hosts {
            host.make_ascii_lowercase();
        }
        Self { hosts, csrf }
    }

    /// What a change has to show.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether the request is meant for this listener.
    pub(super) fn allow_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = only(headers, &HOST).ok_or(Refusal::Host)?;
        let name = name_of(host).to_ascii_lowercase();
        let bracketed = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let is_address = name.parse::<Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
        if is_address || name == "localhost" || self.hosts.contains(&name) {
            Ok(())
        } else {
            Err(Refusal::Host)
        }
    }

    /// Whether the request, whose host is allowed, may change something.
    pub(super) fn allow_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if headers.contains_key(ORIGIN) {
            let origin = only(headers, &ORIGIN).ok_or(Refusal::Origin)?;
            let host = only(headers, &HOST).ok_or(Refusal::Host)?;
            // By TLS, if something in front of the listener ends that.
            let asked = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            if asked.is_none_or(|asked| !asked.eq_ignore_ascii_case(host)) {
                return Err(Refusal::Origin);
            }
        }
        if headers.contains_key(FETCH_SITE) && only(headers, &FETCH_SITE) != Some("same-origin") {
            return Err(Refusal::Origin);
        }
        match only(headers, &CSRF) {
            Some(shown) if is_equal(shown, &self.csrf) => Ok(()),
            _ => Err(Refusal::Token),
        }
    }
}

/// A field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A `Host` without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Compares in a time that does not tell where the first difference is.
fn is_equal(shown: &str, expected: &str) -> bool {
    let differences = shown.bytes().zip(expected.bytes()).map(|(a, b)| a ^ b);
    shown.len() == expected.len() && differences.fold(0, |all, bits| all | bits) == 0
}

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn guard() -> Guard {
        Guard::new(vec!["Ops.Example".to_owned()], "c5rf".to_owned())
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn answers_addresses_localhost_and_listed_names_alone() {
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[2001:db8::1]",
            "localhost:9090",
            "LOCALHOST",
            "ops.example:80",
        ] {
            assert_eq!(
                guard().allow_host(&headers(&[("host", host)])),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9090",
            "[evil.example]",
            "ops.example.",
            "",
        ] {
            let refused = guard().allow_host(&headers(&[("host", host)]));
            assert_eq!(refused, Err(Refusal::Host), "{host}");
        }
        assert_eq!(guard().allow_host(&headers(&[])), Err(Refusal::Host));
        let two = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(guard().allow_host(&two), Err(Refusal::Host));
    }

    #[test]
    fn changes_nothing_without_the_token() {
        let host = ("host", "localhost:9090");
        let allow = |fields: &[_]| guard().allow_change(&headers(&[&[host], fields].concat()));
        assert_eq!(allow(&[("x-csrf-token", "c5rf")]), Ok(()));
        assert_eq!(allow(&[]), Err(Refusal::Token));
        assert_eq!(allow(&[("x-csrf-token", "c5r")]), Err(Refusal::Token));
        assert_eq!(allow(&[("x-csrf-token", "c5rg")]), Err(Refusal::Token));
        let twice = [("x-csrf-token", "c5rf"), ("x-csrf-token", "c5rf")];
        assert_eq!(allow(&twice), Err(Refusal::Token));
    }

    #[test]
    fn changes_nothing_for_another_origin_though_it_knows_the_token() {
        let known = [("host", "localhost:9090"), ("x-csrf-token", "c5rf")];
        let allow = |field| guard().allow_change(&headers(&[&known[..], &[field]].concat()));
        assert_eq!(allow(("origin", "http://localhost:9090")), Ok(()));
        assert_eq!(allow(("origin", "https://localhost:9090")), Ok(()));
        assert_eq!(allow(("sec-fetch-site", "same-origin")), Ok(()));
        for origin in [
            "http://localhost:8080",
            "http://evil.example",
            "https://localhost",
            "null",
            "",
        ] {
            assert_eq!(allow(("origin", origin)), Err(Refusal::Origin), "{origin}");
        }
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(
                allow(("sec-fetch-site", site)),
                Err(Refusal::Origin),
                "{site}"
            );
        }
    }
}
