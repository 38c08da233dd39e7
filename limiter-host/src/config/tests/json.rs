//! The same files as JSON.

use super::*;

fn json(text: &str) -> Result<PolicyFile, ConfigError> {
    PolicyFile::parse(text, "p.json")
}

fn json_mistakes(text: &str) -> Vec<String> {
    let lines = Config::parse(text, "p.json").unwrap_err().to_string();
    let stripped = lines
        .lines()
        .map(|line| line.strip_prefix("p.json:").unwrap());
    stripped.map(str::to_owned).collect()
}

#[test]
fn means_the_same_as_toml() {
    let text = r#"{
        "preset": "pipedrive",
        "window": "2s",
        "utc_floor": "2020-01-01",
        "plans": { "advanced": { "api_token": 40, "access_token": 160 } },
        "daily": { "limit": 10000, "mode": "strict", "writes": ["POST", "PUT"] },
        "block": { "offences": 100, "within": "60s", "duration": "300s", "extend_on_hit": false },
        "origins": { "ui": ["/ui/"], "webhook": ["/webhooks/"] }
    }"#;
    assert_eq!(json(text).unwrap(), policy(EXAMPLE));
    assert_eq!(
        PolicyFile::parse(text, "a.b.JSON").unwrap(),
        policy(EXAMPLE)
    );
    let tokens = r#"{"tokens": [{"token": "a\u0031", "user": "martin", "plan": "advanced"},
        {"token": "b2", "user": "app", "kind": "access_token", "limit": 55}]}"#;
    let toml = "[[tokens]]\ntoken = 'a1'\nuser = 'martin'\nplan = 'advanced'\n\
        [[tokens]]\ntoken = 'b2'\nuser = 'app'\nkind = 'access_token'\nlimit = 55\n";
    let plans = Plans::pipedrive();
    assert_eq!(
        TokenFile::parse(tokens, "t.json", &plans).unwrap(),
        TokenFile::parse(toml, "t.toml", &plans).unwrap()
    );
}

#[test]
fn keeps_the_order_of_plans() {
    let text = r#"{"window": "1m", "daily": false, "plans": {
        "zeta": {"api_token": 3, "access_token": 4}, "alpha": {"api_token": 5, "access_token": 6}}}"#;
    let read = json(text).unwrap();
    let names: Vec<_> = read.plans.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["zeta", "alpha"]);
}

#[test]
fn reports_ten_mistakes_of_one_file_with_line_and_column() {
    let found = json_mistakes(
        r#"{ "preset": "pipedrve", "windw": "2s",
  "window": "0s", "utc_floor": "1969-01-01",
  "plans": { "essential": { "api_token": 0, "access_token": 1048576 } },
  "daily": null,
  "block": { "offences": -1, "within": 1.5, "offences": 5 },
  "table": { "tokens": 0 },
  "tokens": [ { "token": "ü", "user": "u", "plan": "basic" } ] }"#,
    );
    let expected = [
        "1:13: preset: must be \"pipedrive\"",
        "1:25: windw: unknown key; known are preset, window, utc_floor, plans, daily, block, origins, \
         table, tokens",
        "2:13: window: the window must be longer than 0",
        "2:32: utc_floor: must be a date from 1970 on, such as 2020-01-01 or 2020-01-01T00:00:00Z",
        "3:42: plans.essential.api_token: a window limit must be at least 1",
        "3:61: plans.essential.access_token: a window limit must be at most 1048575, not 1048576",
        "4:12: daily: must be a table or false, not null",
        "5:26: block.offences: must be a whole number from 0 to 4294967295",
        "5:40: block.within: must be a string, not a fraction",
        "5:45: offences: is there twice",
        "6:12: table.users: is missing",
        "6:24: table.tokens: must be from 1 to 16777216",
        "7:26: tokens[0].token: must be of visible ASCII characters, at least one, for a header to \
         carry it",
        "7:52: tokens[0].plan: no such plan; the policy has essential, advanced, professional, \
         enterprise",
    ];
    assert_eq!(found, expected);
}

#[test]
fn says_where_a_text_is_no_json() {
    let found = json_mistakes("{ \"preset\": \"pipedrive\",\n  \"window\": 2s }");
    assert_eq!(found, ["2:14: expected `,` or `}`"]);
    assert_eq!(json_mistakes("[]"), ["1:1: must be an object, not a list"]);
    assert_eq!(
        json_mistakes("{\"preset\": \"pipedrive\"} x"),
        ["1:25: trailing characters"]
    );
    assert_eq!(json_mistakes("").len(), 1);
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(60), "]".repeat(60));
    assert!(json_mistakes(&deep)[0].ends_with("is too deep"));
    let deepest = "[".repeat(100_000);
    assert_eq!(json_mistakes(&deepest).len(), 1);
}

#[test]
fn shows_a_credential_in_no_message() {
    for text in [
        r#"{"tokens": ["s3cr3t"]}"#,
        r#"{"tokens": "s3cr3t"}"#,
        r#"{"tokens": [{"token": ["s3cr3t"]}]}"#,
        r#"{"tokens": [{"token": "s3cr3t x"}]}"#,
        r#"{"tokens": [{"token": "s3cr3t\q"}]}"#,
        r#"{"tokens": [{"token": "s3cr3t}]}"#,
        r#"{"tokens": [{"token": s3cr3t}]}"#,
        r#"{"tokens": [{"token": "s3cr3t"}, {"token": "s3cr3t"}]}"#,
        r#""s3cr3t""#,
    ] {
        let error = TokenFile::parse(text, "t.json", &Plans::pipedrive()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

proptest! {
    #[test]
    fn survives_any_damage(at in 0..DAMAGED.len(), put in "[\\[\\]'\"\n.0a,:#{}é ]{0,3}") {
        let mut text = DAMAGED.to_owned();
        text.replace_range(at..=at, &put);
        if let Err(error) = Config::parse(&text, "p.json") {
            for line in error.to_string().lines() {
                let numbers: Vec<usize> =
                    line.split(':').skip(1).take(2).map(|n| n.parse().unwrap()).collect();
                let lines: Vec<&str> = text.split('\n').collect();
                prop_assert!((1..=lines.len()).contains(&numbers[0]), "{}", line);
                let width = lines[numbers[0] - 1].chars().count();
                prop_assert!((1..=width + 1).contains(&numbers[1]), "{} {}", line, width);
            }
        }
    }
}

const DAMAGED: &str = r#"{ "preset": "pipedrive",
  "plans": { "advanced": { "api_token": 40 } }, "daily": { "limit": 5 },
  "tokens": [ { "token": "a1", "user": "u", "plan": "advanced" } ] }"#;
