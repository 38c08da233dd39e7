//! Header fields at a proxy: those of one connection stay behind (RFC 9110, section 7.6.1), and
//! some tell the upstream who is asking.

use crate::listener::Peer;
use hyper::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::{Method, Uri, Version};

/// Removes the fields that speak of one connection: the known ones, and those that `Connection`
/// names.
pub(super) fn hide_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Removes the fields by which a client could claim to be another one or to ask for something else
/// than was judged, and the fields that an upstream may take for one of them.
pub(super) fn drop_claims(headers: &mut HeaderMap, method: &Method) {
    let mut dropped: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        let text = name.as_str();
        // CGI, WSGI and PHP write every other character as they write a hyphen.
        let has_a_twin = !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let overrides = *method != Method::POST && OVERRIDES.contains(&text);
        if has_a_twin || overrides || CLAIMS.contains(&text) || text.starts_with(FORWARDED) {
            dropped.push(name.clone());
        }
    }
    for name in dropped {
        headers.remove(name);
    }
}

/// Adds the fields that name the client and its request, by the gateway's own knowledge.
pub(super) fn identify(headers: &mut HeaderMap, uri: &Uri, version: Version, peer: Option<Peer>) {
    // The expectation is answered here: the server says 100 when the body is asked for.
    headers.remove(EXPECT);
    // An absolute target outranks the field (RFC 9112, section 3.2.2).
    let asked = match uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => headers.get(HOST).cloned(),
    };
    // The client puts the upstream's own in its place.
    headers.remove(HOST);
    if let Some(host) = asked {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Some(Peer { address, .. }) = peer
        && let Ok(address) = HeaderValue::from_str(&address.to_string())
    {
        headers.insert(FORWARDED_FOR, address);
    }
    let proto = if peer.is_some_and(|peer| peer.tls) {
        "https"
    } else {
        "http"
    };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    let via = match version {
        Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    };
    headers.append(VIA, HeaderValue::from_static(via));
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// All fields that begin so are the gateway's word alone.
const FORWARDED: &str = "x-forwarded";

/// Fields in which some upstreams look for the client's address, or for the target.
const CLAIMS: [&str; 18] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-host",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
];

/// Fields that name another method. A POST may be any other: it counts as a write already.
const OVERRIDES: [&str; 3] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn removes_known_and_named_fields_of_the_connection() {
        let mut headers = fields(&[
            ("connection", "close, X-One"),
            ("connection", " x-two ,,bad name"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
        ]);
        hide_connection(&mut headers);
        assert_eq!(headers, fields(&[("x-three", "3")]));
    }

    #[test]
    fn drops_every_field_in_which_a_client_may_claim_an_address_or_a_target() {
        let mut headers = HeaderMap::new();
        let twins = [
            "x_forwarded_for",
            "x.real.ip",
            "x-forwarded_host",
            "true_client_ip",
            "x_api_token",
            "content_length",
        ];
        let forwarded = ["x-forwarded", "x-forwarded-ssl", "x-forwarded-prefix"];
        for name in CLAIMS
            .iter()
            .chain(&OVERRIDES)
            .chain(&twins)
            .chain(&forwarded)
        {
            headers.append(*name, HeaderValue::from_static("10.0.0.1"));
        }
        headers.append("x-mine", HeaderValue::from_static("kept"));
        drop_claims(&mut headers, &Method::GET);
        assert_eq!(headers, fields(&[("x-mine", "kept")]));
    }

    #[test]
    fn lets_a_post_name_another_method_and_no_other_request() {
        let fields = fields(&[("x-http-method-override", "DELETE")]);
        for (method, left) in [(Method::POST, 1), (Method::GET, 0), (Method::PATCH, 0)] {
            let mut headers = fields.clone();
            drop_claims(&mut headers, &method);
            assert_eq!(headers.len(), left, "{method}");
        }
    }

    #[test]
    fn drops_what_a_client_claims_and_tells_what_the_gateway_knows() {
        let mut headers = fields(&[
            ("host", "api.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 cache"),
        ]);
        drop_claims(&mut headers, &Method::GET);
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: false,
        };
        let uri = Uri::from_static("/v1");
        identify(&mut headers, &uri, Version::HTTP_10, Some(peer));
        let expected = fields(&[
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("via", "1.1 cache"),
            ("via", "1.0 gateway"),
        ]);
        assert_eq!(headers, expected);

        let peer = Peer { tls: true, ..peer };
        identify(&mut headers, &uri, Version::HTTP_11, Some(peer));
        assert_eq!(headers[FORWARDED_PROTO], "https");
    }
}
