use super::*;

fn read(line: &[u8]) -> Result<(Vec<u8>, u64, Method), String> {
    let fields = fields(line).map_err(|wrong| wrong.to_string())?;
    Ok((fields.host.to_vec(), fields.secs, fields.method))
}

fn method_of(request: &str) -> Result<Method, String> {
    let line = format!(r#"h - - [17/May/2015:10:05:03 +0000] "{request}" 200 1"#);
    read(line.as_bytes()).map(|(_, _, method)| method)
}

#[test]
fn a_common_and_a_combined_line_are_read() {
    let common = r#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "POST /a HTTP/1.1" 200 203023"#;
    let wanted = (b"83.149.9.216".to_vec(), 1_431_857_103, Method::Post);
    assert_eq!(read(common.as_bytes()), Ok(wanted.clone()));
    let combined = format!(r#"{common} "http://a/\"b" "Mozilla/5.0 (X11; Linux)""#);
    assert_eq!(read(combined.as_bytes()), Ok(wanted.clone()));
    let cut_off = format!(r#"{common} "-" "Mozilla/5.0 (compatible; +http:"#);
    assert_eq!(read(cut_off.as_bytes()), Ok(wanted));
}

#[test]
fn the_address_may_be_of_any_sort() {
    for host in [
        "::1",
        "2001:db8::ff00:42:8329",
        "fe80::1%eth0",
        "crawl.example.org",
        "unix:",
    ] {
        let line = format!(r#"{host} - - [17/May/2015:10:05:03 +0000] "GET /" 200 -"#);
        assert_eq!(read(line.as_bytes()).unwrap().0, host.as_bytes());
    }
    let strange = b"\xff\xfe - - [17/May/2015:10:05:03 +0000] \"GET /\" - -";
    assert_eq!(read(strange).unwrap().0, b"\xff\xfe");
}

#[test]
fn a_dash_for_the_address_is_no_token() {
    let key = HashKey::new([16; 16]);
    let caller = |host: &str| {
        let line = format!(r#"{host} - - [17/May/2015:10:05:03 +0000] "GET /" 200 -"#);
        record(line.as_bytes(), &key, |_| Ok(Plan::ADVANCED))
            .unwrap()
            .caller
    };
    assert_eq!(caller("-"), None);
    assert_eq!(caller("--"), Some((key.token(b"--"), key.user(b"--"))));
}

#[test]
fn the_users_name_may_hold_spaces_and_brackets() {
    for user in ["-", "martin", "John Doe", "[a] b", "[", "x [17/May/2015] y"] {
        let line = format!(r#"h - {user} [17/May/2015:10:05:03 +0000] "PUT / HTTP/1.1" 204 0"#);
        let (_, secs, method) = read(line.as_bytes()).unwrap();
        assert_eq!((secs, method), (1_431_857_103, Method::Put), "{user}");
    }
}

#[test]
fn the_method_is_the_first_word_of_the_request_line() {
    for (request, method) in [
        ("GET / HTTP/1.1", Method::Get),
        ("GET", Method::Get),
        ("DELETE  /two/spaces", Method::Delete),
        (r#"PATCH /a\"b\\ HTTP/1.1"#, Method::Patch),
        ("-", Method::Other),
        ("", Method::Other),
        ("get / HTTP/1.1", Method::Get),
        ("PROPFIND / HTTP/1.1", Method::Other),
        (r"\x16\x03\x01\x02", Method::Other),
        (" POST /", Method::Other),
    ] {
        assert_eq!(method_of(request), Ok(method), "{request}");
    }
}

#[test]
fn the_time_is_both_clocks() {
    let line = br#"h - - [17/May/2015:12:05:03 +0200] "GET / HTTP/1.1" 200 1"#;
    let now = record(line, &HashKey::new([16; 16]), |_| Ok(Plan::ADVANCED))
        .unwrap()
        .now;
    assert_eq!(now.utc(), UnixTime::from_secs(1_431_857_103));
    assert_eq!(now.monotonic(), Instant::from_millis(1_431_857_103_000));
}

#[test]
fn a_time_that_monotonic_time_does_not_reach_is_an_error() {
    let at = |time: &str| {
        let line = format!(r#"h - - [{time} +0000] "GET /" 200 1"#);
        let now = record(line.as_bytes(), &HashKey::new([16; 16]), |_| {
            Ok(Plan::ADVANCED)
        });
        now.map(|record| record.now.monotonic().as_millis())
            .map_err(|wrong| wrong.to_string())
    };
    assert_eq!(at("26/Sep/2248:15:10:22"), Ok(8_796_093_022_000));
    assert!(at("26/Sep/2248:15:10:23").unwrap_err().contains("2248"));
    assert!(at("31/Dec/9999:23:59:59").unwrap_err().contains("2248"));
}

#[test]
fn what_is_wrong_before_the_request_is_said() {
    for (line, wrong) in [
        ("", "`line` has one word"),
        ("hello", "`line` has one word"),
        (
            " h - - [17/May/2015:10:05:03 +0000] \"\" - -",
            "`address` is missing",
        ),
        ("h - - \"GET /\" 200 1", "`time` is missing"),
        (
            "h - - \"[17/May/2015:10:05:03 +0000]\" - -",
            "`time` is missing",
        ),
        ("h - - [17/May/2015:10:05:03 +0000", "`time` has no closing"),
        ("h - - [17/May/2015] \"\" - -", "`time` does not have the"),
        (
            "h - - [30/Feb/2015:10:05:03 +0000] \"\" - -",
            "`time` has a day",
        ),
    ] {
        let told = read(line.as_bytes()).unwrap_err();
        assert!(told.starts_with(wrong), "{line}: {told}");
    }
}

#[test]
fn what_is_wrong_after_the_time_is_said() {
    for (rest, wrong) in [
        ("", "`request` does not follow"),
        (" GET / 200 1", "`request` does not follow"),
        (" \"GET /", "`request` has no closing"),
        (" \"GET /\\\" 200 1", "`request` has no closing"),
        (" \"GET /\"", "`status` does not follow"),
        (" \"GET /\"200 1", "`status` does not follow"),
        (" \"GET /\" 200", "`size` is missing"),
        (" \"GET /\" 20 1", "`status` is neither"),
        (" \"GET /\" 2000 1", "`status` is neither"),
        (" \"GET /\" 20x 1", "`status` is neither"),
        (" \"GET /\" 200 ", "`size` is neither"),
        (" \"GET /\" 200 1k", "`size` is neither"),
    ] {
        let line = format!("h - - [17/May/2015:10:05:03 +0000]{rest}");
        let told = read(line.as_bytes()).unwrap_err();
        assert!(told.starts_with(wrong), "{line}: {told}");
    }
}
