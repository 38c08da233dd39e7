use super::*;
use limiter_host::config::PolicyFile;
use proptest::prelude::*;

fn read(format: Format, text: &[u8], skip_bad: bool) -> Result<Reading, ReadError> {
    let plans = Plans::pipedrive();
    let reader = Reader {
        skip_bad,
        ..reader(format, &plans)
    };
    reader.read(text, |_| ())
}

fn reader(format: Format, plans: &Plans) -> Reader<'_> {
    const KEY: &HashKey = &HashKey::new([16; 16]);
    Reader {
        format,
        key: KEY,
        plans,
        plan: None,
        skip_bad: false,
    }
}

fn bad(format: Format, text: &[u8]) -> BadLine {
    match read(format, text, false) {
        Err(ReadError::Bad(bad)) => bad,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_bad_line_ends_the_reading_and_is_named() {
    let text = b"{\"t_ms\":1}\n{\"t_ms\":2,\"cost\":0}\n{\"t_ms\":-1}\n";
    assert_eq!(
        bad(Format::Trace, text).to_string(),
        "line 2: `cost` must be an integer from 1 to 4294967295, not 0"
    );
}

#[test]
fn bad_lines_are_counted_and_left_out_on_request() {
    let text = b"{\"t_ms\":1}\n\n{\"t_ms\":2}\nnot JSON\n{\"t_ms\":3}";
    let reading = read(Format::Trace, text, true).unwrap();
    assert_eq!((reading.log.entries().len(), reading.skipped), (3, 2));
    assert_eq!(reading.first_bad.unwrap().line, 2);
}

#[test]
fn every_sort_of_bad_trace_line_is_refused() {
    for (line, wrong) in [
        (&b""[..], "`line` is no JSON object"),
        (b"{", "`line` is no JSON object"),
        (b"7", "`line` is JSON, but no object"),
        (b"{\"t_ms\":0}{\"t_ms\":0}", "`line` is no JSON object"),
        (b"\xef\xbb\xbf{\"t_ms\":0}", "`line` is no JSON object"),
        (
            b"{\"t_ms\":0,\"token\":\"\xff\"}",
            "`line` is not UTF-8 at column 20",
        ),
        (b"{\"token\":\"a\"}", "`t_ms` is missing"),
        (b"{\"t_ms\":8796093022208}", "`t_ms` must be an integer"),
        (b"{\"t_ms\":0,\"utc\":1.5}", "`utc` must be an integer"),
        (b"{\"t_ms\":0,\"plan\":\"gold\"}", "`plan` must be one of"),
        (
            b"{\"t_ms\":0,\"method\":\"post\"}",
            "`method` must be one of",
        ),
        (b"{\"t_ms\":0,\"token\":1}", "`token` must be text"),
        (b"{\"t_ms\":0,\"t_ms\":0}", "`t_ms` stands twice"),
        (b"{\"t_ms\":0,\"ip\":\"::1\"}", "`line` has a field"),
    ] {
        let mut text = b"{\"t_ms\":0}\n".to_vec();
        text.extend_from_slice(line);
        text.push(b'\n');
        let bad = bad(Format::Trace, &text);
        assert_eq!(bad.line, 2);
        let told = bad.wrong.to_string();
        assert!(told.starts_with(wrong), "{told}");
    }
}

#[test]
fn a_plan_is_found_by_its_word_or_set_for_all() {
    let file = "window = \"2s\"\n[plans.gold]\napi_token = 1\naccess_token = 1\n\
                [plans.advanced]\napi_token = 2\naccess_token = 2\n";
    let plans = PolicyFile::parse(file, "").unwrap().plans;
    let plan_of = |format, line: &str, plan| {
        let reader = Reader {
            plan,
            ..reader(format, &plans)
        };
        let reading = reader.read(line.as_bytes(), |_| ());
        let plan = |reading: Reading| reading.log.entries()[0].caller.unwrap().plan;
        reading.map(plan).map_err(|error| error.to_string())
    };
    let advanced = r#"{"t_ms":0,"token":"a","plan":"advanced"}"#;
    let log = r#"a - - [17/May/2015:10:05:03 +0000] "" - -"#;
    let missing = Err("line 1: `plan` is `essential`, not in the policy".to_owned());
    assert_eq!(
        plan_of(Format::Trace, advanced, None),
        Ok(plans.find("advanced").unwrap())
    );
    assert_eq!(
        plan_of(Format::Trace, r#"{"t_ms":0,"token":"a"}"#, None),
        missing
    );
    assert_eq!(plan_of(Format::Clf, log, None), missing);
    let gold = plans.find("gold");
    for (format, line) in [(Format::Trace, advanced), (Format::Clf, log)] {
        assert_eq!(plan_of(format, line, gold).ok(), gold);
    }
}

#[test]
fn a_line_that_is_too_long_is_bad_and_ends_where_it_ends() {
    let mut text = b"{\"t_ms\":0}\n{\"t_ms\":0,\"token\":\"".to_vec();
    text.extend(vec![b'a'; lines::MAX_BYTES]);
    text.extend(b"\"}\n{\"t_ms\":1}\n");
    let wrong = "line 2: `line` is longer than 1048576 bytes";
    assert_eq!(bad(Format::Trace, &text).to_string(), wrong);
    let reading = read(Format::Trace, &text, true).unwrap();
    assert_eq!((reading.log.entries().len(), reading.skipped), (2, 1));
}

#[test]
fn what_cannot_be_read_is_an_error_of_its_own() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let plans = Plans::pipedrive();
    let reader = reader(Format::Trace, &plans);
    let error = reader.read(io::BufReader::new(Broken), |_| ());
    assert!(matches!(error, Err(ReadError::Io(_))));
}

#[test]
fn progress_ends_below_the_size() {
    let text = b"{\"t_ms\":0}\n".repeat(10_000);
    let mut told = Vec::new();
    let plans = Plans::pipedrive();
    let reader = reader(Format::Trace, &plans);
    reader.read(&text[..], |bytes| told.push(bytes)).unwrap();
    assert_eq!(told, [4_096 * 11, 8_192 * 11]);
}

/// A line that is nearly right: pieces of good ones, cut and joined anew.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let good = prop::sample::select(vec![
        r#"{"t_ms":1000,"utc":1716000000,"token":"secret","user":"u1","cost":1}"#,
        r#"{"t_ms": 8796093022207, "plan": "advanced", "method": "POST", "origin": "ui"}"#,
        r#"secret - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 203023 "-" "a""#,
        r#"2001:db8::1 - b [x] [29/Feb/2016:23:59:60 -0130] "PUT \"\\ x" 404 -"#,
    ]);
    let part = (
        good,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(line, from, to)| {
            let (from, to) = (from.index(line.len()), to.index(line.len() + 1));
            line.as_bytes()[from.min(to)..to.max(from)].to_vec()
        });
    let junk = prop::collection::vec(any::<u8>(), 0..3);
    prop::collection::vec(prop_oneof![4 => part, 1 => junk], 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error_that_names_the_line(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            nearly_right(),
        ],
        trace: bool,
    ) {
        let (format, good) = if trace {
            (Format::Trace, &b"{\"t_ms\":0}\n"[..])
        } else {
            (Format::Clf, &b"a - - [17/May/2015:10:05:03 +0000] \"\" - -\n"[..])
        };
        let line: Vec<u8> = bytes.into_iter().filter(|&byte| byte != b'\n').collect();
        let mut text = good.to_vec();
        text.extend(&line);
        text.push(b'\n');
        match read(format, &text, false) {
            Ok(reading) => prop_assert_eq!(reading.log.entries().len(), 2),
            Err(ReadError::Bad(bad)) => {
                prop_assert_eq!(bad.line, 2);
                prop_assert!(!bad.to_string().contains("secret"), "{}", bad);
            }
            Err(ReadError::Io(error)) => prop_assert!(false, "{}", error),
        }
        let skipped = read(format, &text, true);
        prop_assert!(skipped.is_ok_and(|r| r.log.entries().len() as u64 + r.skipped == 2));
    }
}
