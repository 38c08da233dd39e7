//! The host that a request is for: one, valid, and the same wherever it is written.

use hyper::header::{HOST, HeaderMap};
use hyper::http::uri::Scheme;
use hyper::{Uri, Version};
use std::net::Ipv6Addr;

/// Returns whether a request names its host as RFC 9112, section 3.2 demands: in one valid `Host`, which
/// HTTP/1.0 may leave out, and which an absolute target repeats.
pub(super) fn agrees(uri: &Uri, headers: &HeaderMap, version: Version) -> bool {
    let mut fields = headers.get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(field), None) => match Host::parse(field.as_bytes()) {
            None => return false,
            host => host,
        },
        _ => return false,
    };
    if field.is_none() && version != Version::HTTP_10 {
        return false;
    }
    let Some(authority) = uri.authority() else {
        return true;
    };
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        _ => return false,
    };
    let Some(target) = Host::parse(authority.as_str().as_bytes()) else {
        return false;
    };
    field.is_none_or(|field| field.is(&target, default))
}

/// A host and a port, as they are written.
struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Reads `HOST[:PORT]`. A name has letters, digits and `-._~`; RFC 3986 allows more, which no
    /// name in use has and servers read differently.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let end = match text.strip_prefix('[') {
            // OK because the bracket is one byte.
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at_checked(end)?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_valid = match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !name.is_empty() && name.bytes().all(is_name),
        };
        is_valid.then_some(Self { name, port })
    }

    fn is(&self, other: &Self, default: u16) -> bool {
        let port = |host: &Self| host.port.unwrap_or(default);
        self.name.eq_ignore_ascii_case(other.name) && port(self) == port(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(target: &str, hosts: &[&str], version: Version) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        agrees(&target.parse().unwrap(), &headers, version)
    }

    #[test]
    fn demands_one_valid_host() {
        for host in [
            "h",
            "api.example",
            "API.example:8080",
            "a_b-c~d:",
            "1.2.3.4:80",
            "[::1]",
            "[2001:db8::1]:443",
            "h:065",
        ] {
            assert!(agree("/", &[host], Version::HTTP_11), "{host}");
        }
        for host in [
            "",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "a?b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+80",
            "a%2eb",
            "[::1",
            "[::1]a",
            "[::1%25eth0]",
            "[v1.a]",
            "::1",
            "h\u{e9}",
        ] {
            assert!(!agree("/", &[host], Version::HTTP_11), "{host}");
            assert!(!agree("/", &[host], Version::HTTP_10), "{host}");
        }
        assert!(!agree("/", &[], Version::HTTP_11));
        assert!(agree("/", &[], Version::HTTP_10));
        assert!(!agree("/", &["h", "h"], Version::HTTP_11));
        assert!(!agree("/", &["h", "h"], Version::HTTP_10));
    }

    #[test]
    fn demands_that_an_absolute_target_names_the_same() {
        for (target, host) in [
            ("http://h/", "h"),
            ("http://H:80/", "h"),
            ("http://h/", "h:80"),
            ("https://h/", "h:443"),
            ("http://[::1]:81/", "[::1]:81"),
        ] {
            assert!(agree(target, &[host], Version::HTTP_11), "{target} {host}");
        }
        for (target, host) in [
            ("http://evil/", "h"),
            ("http://h:81/", "h"),
            ("https://h/", "h:80"),
            ("http://u@h/", "h"),
            ("ftp://h/", "h"),
            ("h", "h"),
        ] {
            assert!(!agree(target, &[host], Version::HTTP_11), "{target} {host}");
        }
        assert!(agree("http://h/", &[], Version::HTTP_10));
        assert!(!agree("http://h/", &[], Version::HTTP_11));
    }
}
