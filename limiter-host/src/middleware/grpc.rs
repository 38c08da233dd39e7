//! Refusals of gRPC calls: trailers-only responses.
//!
//! A gRPC client goes by `grpc-status`, not by the HTTP status, and takes any body for messages. So
//! a refusal has HTTP status 200, no body, and all it says in the head, which the client gets as the
//! call's status and metadata. A call is known by its content type: `application/grpc`, also with a
//! codec as in `application/grpc+proto`, and gRPC-Web's `application/grpc-web` and
//! `application/grpc-web-text`, whose clients take a status in the head as well.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// A gRPC status with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u8,
    pub(super) message: &'static str,
}

/// The content type of the answer to a gRPC call, `None` for any other request. It is one of a few
/// constants: no text of the caller's is echoed (H4).
pub(super) fn content_type(request: &HeaderMap) -> Option<HeaderValue> {
    let shown = request.get(CONTENT_TYPE)?.as_bytes();
    let (prefix, rest) = shown.split_at_checked(GRPC.len())?;
    if !prefix.eq_ignore_ascii_case(GRPC.as_bytes()) {
        return None;
    }
    let is = |what: &[u8]| {
        rest.split_at_checked(what.len())
            .is_some_and(|(start, after)| {
                start.eq_ignore_ascii_case(what) && matches!(after, [] | [b'+' | b';' | b' ', ..])
            })
    };
    let answer = if is(b"") {
        GRPC
    } else if is(b"-web") {
        GRPC_WEB
    } else if is(b"-web-text") {
        GRPC_WEB_TEXT
    } else {
        return None;
    };
    Some(HeaderValue::from_static(answer))
}

/// The status of a refusal that HTTP answers with `status`.
pub(super) fn status(status: StatusCode) -> Status {
    let (code, message) = match status {
        StatusCode::BAD_REQUEST => (3, "conflicting credentials"),
        StatusCode::FORBIDDEN => (7, "access denied"),
        StatusCode::TOO_MANY_REQUESTS => (8, "request over limit"),
        StatusCode::UNAUTHORIZED => (16, "unauthorized access"),
        _ => (14, "service unavailable"),
    };
    Status { code, message }
}

/// The HTTP status that a gRPC code stands for, as `google/rpc/code.proto` has it.
pub(super) fn http_status(code: &[u8]) -> StatusCode {
    let status = match code {
        b"0" => 200,
        b"1" => 499,
        b"3" | b"9" | b"11" => 400,
        b"4" => 504,
        b"5" => 404,
        b"6" | b"10" => 409,
        b"7" => 403,
        b"8" => 429,
        b"12" => 501,
        b"14" => 503,
        b"16" => 401,
        _ => 500,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A response without a body; `retry_after_s` goes into a `google.rpc.RetryInfo`.
pub(super) fn refusal(
    content_type: HeaderValue,
    status: Status,
    retry_after_s: Option<u32>,
) -> Response<&'static str> {
    let mut response = Response::new("");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(STATUS, HeaderValue::from(u16::from(status.code)));
    // Visible ASCII and spaces without a `%`, for which percent encoding changes nothing.
    headers.insert(MESSAGE, HeaderValue::from_static(status.message));
    if let Some(wait_s) = retry_after_s {
        let details = base64(&status_with_retry_info(status, wait_s));
        // OK because the alphabet of base64 is visible ASCII.
        if let Ok(details) = HeaderValue::try_from(details) {
            headers.insert(DETAILS, details);
        }
    }
    response
}

/// A `google.rpc.Status` with one detail, a `google.rpc.RetryInfo`, in protobuf.
fn status_with_retry_info(status: Status, wait_s: u32) -> Vec<u8> {
    // RetryInfo { retry_delay: Duration { seconds } }
    let mut seconds = vec![VARINT_1];
    let mut rest = wait_s;
    while rest >= 0x80 {
        seconds.push(low7(rest) | 0x80);
        rest >>= 7;
    }
    seconds.push(low7(rest));
    let retry_info = field(BYTES_1, &seconds);
    // Any { type_url, value }
    let mut any = field(BYTES_1, RETRY_INFO.as_bytes());
    any.extend(field(BYTES_2, &retry_info));
    // Status { code, message, details }
    let mut whole = vec![VARINT_1, status.code];
    whole.extend(field(BYTES_2, status.message.as_bytes()));
    whole.extend(field(BYTES_3, &any));
    whole
}

/// A field of bytes with its tag and length.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    // OK because the longest has some 60 bytes, so that its length is one byte of a varint.
    let length = u8::try_from(bytes.len()).unwrap_or(0);
    let mut field = vec![tag, length];
    field.extend(bytes);
    field
}

fn low7(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & 0x7f
}

/// Standard base64 without padding, as gRPC writes binary metadata.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for digit in 0..=group.len() {
            let place = (bits >> (18 - 6 * digit)) & 63;
            let place = usize::try_from(place).unwrap_or(0);
            text.extend(ALPHABET.get(place).copied().map(char::from));
        }
    }
    text
}

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC: &str = "application/grpc";
const GRPC_WEB: &str = "application/grpc-web+proto";
const GRPC_WEB_TEXT: &str = "application/grpc-web-text+proto";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Tags of protobuf fields by number: a varint, and bytes with their length.
const VARINT_1: u8 = 0x08;
const BYTES_1: u8 = 0x0a;
const BYTES_2: u8 = 0x12;
const BYTES_3: u8 = 0x1a;

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(content_type_shown: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type_shown.parse().unwrap());
        content_type(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn knows_a_grpc_call_by_its_content_type() {
        for call in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc+json",
            "APPLICATION/gRPC",
            "application/grpc; charset=utf-8",
        ] {
            assert_eq!(answered(call).as_deref(), Some(GRPC), "{call}");
        }
        for call in ["application/grpc-web", "application/grpc-web+thrift"] {
            assert_eq!(answered(call).as_deref(), Some(GRPC_WEB), "{call}");
        }
        let text = answered("application/grpc-web-text");
        assert_eq!(text.as_deref(), Some(GRPC_WEB_TEXT));
        for other in [
            "application/json",
            "application/grp",
            "application/grpcx",
            "application/grpc-websocket",
            "text/application/grpc",
        ] {
            assert_eq!(answered(other), None, "{other}");
        }
        assert_eq!(content_type(&HeaderMap::new()), None);
    }

    #[test]
    fn writes_base64_as_rfc_4648_has_it() {
        let vectors = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8");
    }

    #[test]
    fn messages_need_no_percent_encoding() {
        for code in [400, 401, 403, 429, 503] {
            let Status { message, .. } = status(StatusCode::from_u16(code).unwrap());
            let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
            assert!(message.bytes().all(plain), "{message}");
        }
    }

    #[test]
    fn writes_the_longest_wait_in_one_byte_lengths() {
        let status = status(StatusCode::TOO_MANY_REQUESTS);
        let bytes = status_with_retry_info(status, u32::MAX);
        assert_eq!(bytes[..4], [0x08, 8, 0x12, 18]);
        let any = &bytes[4 + 18..];
        assert_eq!(any[0], 0x1a);
        assert_eq!(usize::from(any[1]), any.len() - 2);
        assert!(bytes.len() < 128);
        let retry_info = [0x0a, 6, 0x08, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(bytes.ends_with(&retry_info));
    }
}
