//! Paths, and what servers make of them.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

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
        "/webhooks/%252e%252e/v1",
        "/webhooks/%c0%ae%c0%ae/v1",
        "/webhooks/..%00/v1",
        "/webhooks/..%3b/v1",
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

#[test]
fn forwards_the_path_that_it_judged() {
    let origins = PathOrigins::default();
    for (path, forwarded, origin) in [
        ("/v1/deals", "/v1/deals", Origin::Api),
        ("/%77ebhooks/%7Ea%2db", "/webhooks/~a-b", Origin::Webhook),
        ("/ui/a%20b%c3%a9", "/ui/a%20b%C3%A9", Origin::Ui),
        ("/ui/\u{e9}", "/ui/%C3%A9", Origin::Ui),
        (
            "/v1/a%2fb//c;d=1/%2525",
            "/v1/a%2Fb//c;d=1/%2525",
            Origin::Api,
        ),
        ("/WEBHOOKS/1", "/WEBHOOKS/1", Origin::Api),
        ("*", "*", Origin::Api),
        ("", "", Origin::Api),
    ] {
        let judged = origins.judge(path).unwrap();
        assert_eq!(
            (&*judged.path, judged.origin),
            (forwarded, origin),
            "{path}"
        );
    }
}

#[test]
fn rejects_a_path_that_no_client_sends_in_good_faith() {
    for path in [
        "/v1/%2e%2e/x",
        "/v1/../x",
        "/v1/.",
        "/v1/.../x",
        "/v1/%252e%252e/x",
        "/v1/..;a=1/x",
        "/v1/..%3ba/x",
        "/v1/..%20/x",
        "/v1/..%2fx",
        "/v1/..%255cx",
        "/v1\\x",
        "/v1/%c0%ae%c0%ae/x",
        "/v1/%25c0%25ae/x",
        "/v1/%ff",
        "/v1/x%00",
        "/v1/x%2500",
        "/v1/x%0a",
        "/v1/%u002e",
        "/v1/%",
        "/v1/%4",
        "/v1/%ef%bc%8e%ef%bc%8e/x",
        "/v1/%252525",
    ] {
        let judged = PathOrigins::none().judge(path);
        assert_eq!(judged, Err(UncleanPath), "{path}");
    }
}

#[test]
fn rejects_a_path_with_two_readings_where_one_is_below_a_prefix() {
    let origins = PathOrigins::default();
    for path in [
        "/webhooks/a%2Fb",
        "/webhooks//a",
        "//webhooks/a",
        "/webhooks/a;b",
        "/webhooks;b/a",
        "/webhooks%2Fa",
        "/webhooks%5Ca",
        "/Webhooks%2Fa",
        "/%2577ebhooks/a",
        "/webhooks/%25",
        "/webhooks/a%3Fb",
        "/webhooks/a%23b",
        "/webhooks/%ef%bc%81",
    ] {
        assert_eq!(origins.judge(path), Err(UncleanPath), "{path}");
        assert!(PathOrigins::none().judge(path).is_ok(), "{path}");
    }
}

#[test]
fn shows_its_prefixes() {
    assert_eq!(PathOrigins::none().to_string(), "none");
    let both = "/webhooks/ (webhook), /ui/ (ui)";
    assert_eq!(PathOrigins::default().to_string(), both);
}

/// A path of pieces that servers treat differently, half of the time below a prefix.
fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec!["/", "a", "1", "%41", "%7e", "_", "%20", "%c3%a9"]),
        2 => prop::sample::select(vec!["/v1/", "/ui/", "/webhooks/", "webhooks", "/WebHooks"]),
        1 => prop::sample::select(vec![
            "//", ".", "..", "/../", "/..", "%2e", "%2E%2e", "%252e", "%25%32%65", "%2f", "%252F",
            "\\", "%5c", "%255c", ";", ";x=1", "%3b", "%253B", "%00", "%2500", "%01", "%c0%ae",
            "%c0%af", "%e0%80%ae", "%", "%2", "%25", "%u002e", "%3f", "%23", "\u{ff0e}",
            "%ef%bc%8e", "%ef%bc%8f", "\u{2215}", "%e2%80%a5", "%20.", ". ",
        ]),
    ];
    let start = prop::sample::select(vec!["/", "/webhooks/", "/ui/", "/v1/", "/%77ebhooks/"]);
    (start, prop::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}

/// A server's way from the path on the wire to the path that it serves.
type Server = (&'static str, fn(&[u8]) -> Vec<u8>);

const SERVERS: [Server; 9] = [
    ("as it is", <[u8]>::to_vec),
    ("nginx: decoded, slashes merged, dots resolved", |path| {
        resolved(&decoded(path))
    }),
    ("decoded twice", |path| {
        resolved(&decoded(&resolved(&decoded(path))))
    }),
    ("decoded to the end", |path| {
        let mut path = path.to_vec();
        while decoded(&path) != path {
            path = decoded(&path);
        }
        resolved(&path)
    }),
    (
        "Tomcat: parameters cut, then decoded, then cut again",
        |path| resolved(&without_parameters(&decoded(&without_parameters(path)))),
    ),
    ("Windows: backslashes, trailing spaces and dots", |path| {
        let slashes = replaced(&decoded(&decoded(path)), &[(b"\\", b"/")]);
        resolved(&trimmed(&resolved(&slashes)))
    }),
    ("a string of C", |path| {
        let path = decoded(&decoded(path));
        resolved(path.split(|&byte| byte == 0).next().unwrap())
    }),
    ("overlong sequences and look-alikes read as ASCII", |path| {
        let table: &[(&[u8], &[u8])] = &[
            (b"\xc0\xae", b"."),
            (b"\xe0\x80\xae", b"."),
            (b"\xc0\xaf", b"/"),
            ("\u{ff0e}".as_bytes(), b"."),
            ("\u{2025}".as_bytes(), b".."),
            ("\u{ff0f}".as_bytes(), b"/"),
            ("\u{2215}".as_bytes(), b"/"),
        ];
        resolved(&replaced(&decoded(&decoded(path)), table))
    }),
    ("parsed anew after decoding", |path| {
        let path = decoded(path);
        resolved(path.split(|byte| b"?#".contains(byte)).next().unwrap())
    }),
];

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::new();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let mut byte = *first;
        if let (b'%', [high, low, after @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            byte = u8::try_from(high * 16 + low).unwrap();
            rest = after;
        }
        decoded.push(byte);
    }
    decoded
}

/// Slashes merged, dot segments resolved; what climbs above the root stays there.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_with_slash = true;
    for segment in path.split(|&byte| byte == b'/') {
        ends_with_slash = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut path = b"/".to_vec();
    path.extend(segments.join(&b'/'));
    if ends_with_slash && !segments.is_empty() {
        path.push(b'/');
    }
    path
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/');
    let cut = segments.map(|segment| segment.split(|&byte| byte == b';').next().unwrap());
    cut.collect::<Vec<_>>().join(&b'/')
}

fn trimmed(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/');
    let trimmed = segments.map(|segment| {
        let end = segment.iter().rposition(|byte| !b" .".contains(byte));
        &segment[..end.map_or(0, |last| last + 1)]
    });
    trimmed.collect::<Vec<_>>().join(&b'/')
}

fn replaced(text: &[u8], table: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match table.iter().find(|(from, _)| rest.starts_with(from)) {
            Some((from, to)) => {
                result.extend_from_slice(to);
                rest = &rest[from.len()..];
            }
            None => {
                result.push(*first);
                rest = tail;
            }
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn exempts_no_path_that_some_server_takes_out_of_the_prefix(path in path()) {
        let origins = PathOrigins::default();
        let Ok(JudgedPath { path: forwarded, origin }) = origins.judge(&path) else {
            return Ok(());
        };
        // `of` judges the path that a caller has, and is not more generous.
        prop_assert!([Origin::Api, origin].contains(&origins.of(&path)));
        if origin == Origin::Api {
            return Ok(());
        }
        for (server, serves) in SERVERS {
            let served = serves(forwarded.as_bytes());
            let served = String::from_utf8(served).unwrap();
            prop_assert_eq!(origins.prefix_of(&served), Some(origin), "{}: {}", server, served);
        }
    }

    #[test]
    fn forwards_a_path_that_means_what_it_meant(path in path()) {
        let origins = PathOrigins::default();
        let Ok(JudgedPath { path: forwarded, origin }) = origins.judge(&path) else {
            return Ok(());
        };
        let again = origins.judge(&forwarded).unwrap();
        prop_assert_eq!((&again.path, again.origin), (&forwarded, origin));
        prop_assert_eq!(decoded(forwarded.as_bytes()), decoded(path.as_bytes()));
    }
}

#[test]
fn the_random_paths_reach_every_outcome() {
    let (mut runner, origins) = (TestRunner::deterministic(), PathOrigins::default());
    let mut outcomes = [0; 3];
    for _ in 0..1_000 {
        let path = path().new_tree(&mut runner).unwrap().current();
        outcomes[match origins.judge(&path) {
            Err(UncleanPath) => 0,
            Ok(JudgedPath {
                origin: Origin::Api,
                ..
            }) => 1,
            Ok(_) => 2,
        }] += 1;
    }
    assert!(outcomes.iter().all(|&count| count > 100), "{outcomes:?}");
}
