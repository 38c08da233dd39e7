mod json;
mod live;

use super::*;
use crate::PathOrigins;
use limiter_core::daily::DailyMode;
use limiter_core::{Kind, Methods, Origin, Plan, Policy, TokenLimit, UnixTime};
use proptest::prelude::*;
use std::io;

fn policy(text: &str) -> PolicyFile {
    PolicyFile::parse(text, "p.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// The mistakes of a policy file, a line each, without the file's name.
fn mistakes(text: &str) -> Vec<String> {
    lines(PolicyFile::parse(text, "p").unwrap_err())
}

fn token_mistakes(text: &str) -> Vec<String> {
    lines(TokenFile::parse(text, "p", &Plans::pipedrive()).unwrap_err())
}

fn lines(error: ConfigError) -> Vec<String> {
    let lines = error.to_string();
    let stripped = lines.lines().map(|line| line.strip_prefix("p:").unwrap());
    stripped.map(str::to_owned).collect()
}

#[test]
fn takes_the_preset_whole() {
    let read = policy("preset = \"pipedrive\"\n");
    assert_eq!(read, PolicyFile::default());
    assert_eq!(read.policy, Policy::pipedrive());
    assert_eq!(read.plans.find("advanced"), Some(Plan::ADVANCED));
    assert_eq!(read.plans.find("gold"), None);
}

#[test]
fn frees_no_path_of_a_limit_unless_the_file_names_it() {
    assert_eq!(policy("preset = 'pipedrive'").origins, PathOrigins::none());
    let plain = policy("window = '1m'\nplans.only = { api_token = 1, access_token = 1 }");
    assert_eq!(plain.origins, PathOrigins::none());
    let named = policy("preset = 'pipedrive'\norigins.ui = ['/ui/']");
    assert_eq!(named.origins.of("/ui/x"), Origin::Ui);
    assert_eq!(named.origins.of("/webhooks/x"), Origin::Api);
}

#[test]
fn overrides_single_keys_of_the_preset() {
    let read = policy(
        "preset = 'pipedrive'
         window = '500ms'
         utc_floor = 2026-01-01
         plans.advanced.api_token = 50
         plans.gold = { api_token = 1000, access_token = 1048575 }
         daily.limit = 5
         block.extend_on_hit = true
         origins.webhook = ['/hooks/']",
    );
    let advanced = |kind| read.policy.window_limit(Plan::ADVANCED, kind);
    assert_eq!(advanced(Kind::ApiToken), Some(50));
    assert_eq!(advanced(Kind::AccessToken), Some(160));
    let gold = read.plans.find("gold").unwrap();
    assert_eq!(gold, Plan::new(4));
    assert_eq!(
        read.policy.window_limit(gold, Kind::AccessToken),
        Some(1_048_575)
    );
    assert_eq!(read.policy.window_ms(), 500);
    assert_eq!(read.policy.utc_floor().as_secs(), 1_767_225_600);
    assert_eq!(read.policy.daily().limit, 5);
    assert_eq!(read.policy.daily().mode, DailyMode::Strict);
    let block = read.policy.block().unwrap();
    assert_eq!((block.offences(), block.extend_on_hit()), (100, true));
    assert_eq!(block.duration_ms(), 300_000);
    assert_eq!(read.origins.of("/hooks/1"), Origin::Webhook);
    assert_eq!(read.origins.of("/ui/1"), Origin::Api);
}

#[test]
fn takes_numbers_alone_and_leaves_off_what_is_absent() {
    let read = policy(
        "window = '1m'
         [plans.zeta]
         api_token = 3
         access_token = 4
         [plans.alpha]
         api_token = 5
         access_token = 6",
    );
    // Plans have the places in which the file lists them.
    let plans: Vec<_> = read.plans.iter().collect();
    assert_eq!(plans, [("zeta", Plan::new(0)), ("alpha", Plan::new(1))]);
    let alpha = read.policy.window_limit(Plan::new(1), Kind::ApiToken);
    assert_eq!(alpha, Some(5));
    assert_eq!(read.policy.window_limit(Plan::new(2), Kind::ApiToken), None);
    assert_eq!(read.policy.window_ms(), 60_000);
    assert_eq!(read.policy.writes(), Methods::NONE);
    assert_eq!(read.policy.block(), None);
    assert_eq!(read.policy.utc_floor(), UnixTime::Y2020);
}

#[test]
fn takes_all_numbers_of_day_and_block() {
    let read = policy(
        "window = '2s'
         plans.only = { api_token = 1, access_token = 1 }
         [daily]
         limit = 7
         mode = 'fair_use'
         tolerated_days = 3
         forgiven_after_days = 30
         writes = ['PATCH', 'DELETE']
         [block]
         offences = 2
         within = '1s'
         duration = '4ms'",
    );
    let mode = DailyMode::FairUse {
        tolerated_days: 3,
        forgiven_after_days: 30,
    };
    assert_eq!(read.policy.daily().limit, 7);
    assert_eq!(read.policy.daily().mode, mode);
    let writes = [limiter_core::Method::Patch, limiter_core::Method::Delete];
    let expected = writes.into_iter().fold(Methods::NONE, Methods::with);
    assert_eq!(read.policy.writes(), expected);
    let block = read.policy.block().unwrap();
    let numbers = (block.offences(), block.within_ms(), block.duration_ms());
    assert_eq!(numbers, (2, 1_000, 4));
    assert!(!block.extend_on_hit());

    let defaults =
        policy("window = '2s'\nplans.p = { api_token = 1, access_token = 1 }\ndaily.limit = 9");
    assert_eq!(defaults.policy.writes(), Methods::POST_PUT);
    let advisory = policy("preset = 'pipedrive'\ndaily.mode = 'advisory'");
    assert_eq!(advisory.policy.daily().mode, DailyMode::Advisory);
}

#[test]
fn switches_the_day_and_the_block_of_the_preset_off() {
    let read = policy("preset = 'pipedrive'\ndaily = false\nblock = false\n");
    assert_eq!(read.policy.writes(), Methods::NONE);
    assert_eq!(read.policy.block(), None);
}

#[test]
fn reports_every_mistake_at_once_with_line_and_key() {
    let found = mistakes(
        "preset = \"pipedrve\"
windw = \"2s\"
window = \"0s\"
utc_floor = 1969-01-01
[plans.essential]
api_token = 0
access_token = 1048576
[plans.gold]
api_token = \"many\"
[daily]
limit = 0
mode = \"strictly\"
writes = [\"POST\", \"post\", 3]
[block]
offences = -1
within = \"2 weeks\"
duration = \"50d\"
extend_on_hit = \"yes\"
[origins]
ui = [\"ui/\"]
webhook = \"/webhooks/\"
",
    );
    let expected = [
        "1: preset: must be \"pipedrive\"",
        "2: windw: unknown key; known are preset, window, utc_floor, plans, daily, block, origins",
        "3: window: the window must be longer than 0",
        "4: utc_floor: must be a date from 1970 on, such as 2020-01-01 or 2020-01-01T00:00:00Z",
        "6: plans.essential.api_token: a window limit must be at least 1",
        "7: plans.essential.access_token: a window limit must be at most 1048575, not 1048576",
        "8: plans.gold.access_token: is missing",
        "9: plans.gold.api_token: must be a whole number from 0 to 4294967295, not a string",
        "11: daily.limit: the daily limit must be at least 1",
        "12: daily.mode: must be \"strict\" or \"advisory\" or \"fair_use\"",
        "13: daily.writes: must be a list of strings, not a number",
        "13: daily.writes: no such method; names are in capitals",
        "15: block.offences: must be a whole number from 0 to 4294967295",
        "16: block.within: must be a whole number and a unit, ms, s, m or h, such as \"2s\"",
        "17: block.duration: must be a whole number and a unit, ms, s, m or h, such as \"2s\"",
        "18: block.extend_on_hit: must be true or false, not a string",
    ];
    assert_eq!(found[..16], expected);
    assert!(found[16].starts_with("20: origins.ui: a prefix must begin and end with a slash"));
    assert_eq!(
        found[17],
        "21: origins.webhook: must be a list of strings, not a string"
    );
    assert_eq!(found.len(), 18);
}

#[test]
fn asks_for_what_must_be_there() {
    assert_eq!(
        mistakes(""),
        ["1: plans: is missing", "1: window: is missing"]
    );
    assert_eq!(
        mistakes("window = '1s'\n[plans]\n[daily]\n[block]\n"),
        [
            "2: plans: a policy needs at least one plan",
            "3: daily.limit: is missing",
            "4: block.duration: is missing",
            "4: block.offences: is missing",
            "4: block.within: is missing",
        ]
    );
    assert_eq!(
        mistakes("preset = 'pipedrive'\n[daily]\nmode = 'fair_use'\ntolerated_days = 300\n"),
        [
            "2: daily.forgiven_after_days: is missing",
            "4: daily.tolerated_days: must be at most 255",
        ]
    );
}

#[test]
fn rejects_numbers_that_do_not_belong_or_do_not_fit() {
    let daily = |keys: &str| mistakes(&format!("preset = 'pipedrive'\n[daily]\n{keys}"));
    assert_eq!(
        daily("tolerated_days = 1"),
        ["3: daily.tolerated_days: belongs to mode = \"fair_use\""]
    );
    assert_eq!(
        daily("mode = 'fair_use'\ntolerated_days = 256\nforgiven_after_days = 65536"),
        [
            "4: daily.tolerated_days: must be at most 255",
            "5: daily.forgiven_after_days: must be at most 65535",
        ]
    );
    assert_eq!(
        daily("mode = 'fair_use'\ntolerated_days = 0\nforgiven_after_days = 0"),
        ["5: daily.forgiven_after_days: strikes must be forgiven after at least 1 day"]
    );
    let block = |keys: &str| mistakes(&format!("preset = 'pipedrive'\n[block]\n{keys}"));
    assert_eq!(
        block("offences = 0\nwithin = '0s'\nduration = '2000h'").len(),
        3
    );
    let plans: String = (0..9)
        .map(|i| format!("[plans.p{i}]\napi_token = 1\naccess_token = 1\n"))
        .collect();
    assert_eq!(
        mistakes(&format!("window = '1s'\n{plans}")),
        ["26: plans.p8: a policy has at most 8 plans"]
    );
}

#[test]
fn judges_the_lines_that_are_toml_when_others_are_not() {
    let found = mistakes("preset = 'pipedrive'\nwindow = nonsense\n[block]\nofences = 1\n= 4\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("2: "), "{found:?}");
    assert!(found[1].starts_with("4: block.ofences: unknown key"));
    assert!(found[2].starts_with("5: "), "{found:?}");
}

#[test]
fn reads_tokens_of_every_kind_and_limit() {
    let text = "
        [[tokens]]
        token = 'a1'
        user = 'martin'
        plan = 'advanced'
        [[tokens]]
        token = 'b2'
        user = 'app'
        kind = 'access_token'
        limit = 55
    ";
    let read = TokenFile::parse(text, "t", &Plans::pipedrive()).unwrap();
    let entry = |token: &str, user: &str, kind, limit| TokenEntry {
        token: token.to_owned(),
        user: user.to_owned(),
        kind,
        limit,
    };
    let expected = [
        entry(
            "a1",
            "martin",
            Kind::ApiToken,
            TokenLimit::Plan(Plan::ADVANCED),
        ),
        entry("b2", "app", Kind::AccessToken, TokenLimit::Own(55)),
    ];
    assert_eq!(read.tokens, expected);
    assert!(
        TokenFile::parse("tokens = []", "t", &Plans::pipedrive())
            .unwrap()
            .tokens
            .is_empty()
    );
}

#[test]
fn reports_every_mistake_of_a_token_file() {
    let found = token_mistakes(
        "[[tokens]]
token = 'same'
user = 'u'
plan = 'gold'
[[tokens]]
token = 'same'
user = ''
kind = 'api'
limit = 0
[[tokens]]
token = 12345
plan = 'advanced'
limit = 5
[[tokens]]
toke = 'x'
user = 'u'
[[tokens]]
token = 'with space'
user = 'u'
plan = 'advanced'
",
    );
    let expected = [
        "4: tokens[0].plan: no such plan; the policy has essential, advanced, professional, enterprise",
        "6: tokens[1].token: the same token as that of line 1",
        "7: tokens[1].user: must not be empty",
        "8: tokens[1].kind: must be \"api_token\" or \"access_token\"",
        "9: tokens[1].limit: a window limit must be at least 1",
        "10: tokens[2]: has a plan and a limit, and may have only one",
        "10: tokens[2].user: is missing",
        "11: tokens[2].token: must be a string, not a number",
        "14: tokens[3]: needs a plan or a limit",
        "14: tokens[3].token: is missing",
        "15: tokens[3].toke: unknown key; known are token, user, kind, plan, limit",
        "18: tokens[4].token: must be of visible ASCII characters, at least one, for a header to carry it",
    ];
    assert_eq!(found, expected);
    assert_eq!(token_mistakes(""), ["1: tokens: is missing"]);
    assert_eq!(
        token_mistakes("[tokens.s3cr3t]\nuser = 'u'"),
        ["1: tokens: must be a list of tables, not a table"]
    );
}

#[test]
fn shows_a_credential_in_no_message_and_no_debug() {
    for text in [
        "[[tokens]]\ntoken = s3cr3t\n",
        "[[tokens]]\ntoken = 's3cr3t\n",
        "[[tokens]]\ntoken = \"s3cr3t\\q\"\n",
        "[[tokens]]\ntoken = ['s3cr3t']\n",
        "tokens = ['s3cr3t']\n",
        "tokens = 's3cr3t'\n",
        "[[tokens]]\ntoken = 's3cr3t x'\n",
        "[[tokens]]\ntoken = 's3cr3t'\n[[tokens]]\ntoken = 's3cr3t'\n",
        "[[tokens]]\ntoken = 's3cr3t' 's3cr3t'\n",
        "s3cr3t",
    ] {
        let error = TokenFile::parse(text, "t", &Plans::pipedrive()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    let right = "[[tokens]]\ntoken = 's3cr3t'\nuser = 'u'\nplan = 'advanced'\n";
    let file = TokenFile::parse(right, "t", &Plans::pipedrive()).unwrap();
    assert!(!format!("{file:?}").contains("s3cr3t"));
}

#[test]
fn names_a_file_that_cannot_be_read() {
    let missing = Path::new("no-such-directory/policy.toml");
    let error = PolicyFile::read(missing).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no-such-directory/policy.toml: ")
    );
    let ConfigError::Unreadable { error, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

proptest! {
    #[test]
    fn survives_any_text(text in "(?s).{0,200}") {
        let _ = PolicyFile::parse(&text, "p");
        let _ = TokenFile::parse(&text, "p", &Plans::pipedrive());
    }

    #[test]
    fn survives_any_damage_to_a_right_file(at in 0..EXAMPLE.len(), put in "[\\[\\]='\"\n.0a,#{} ]{0,3}") {
        let mut text = EXAMPLE.to_owned();
        text.replace_range(at..=at, &put);
        if let Err(error) = PolicyFile::parse(&text, "p") {
            for line in error.to_string().lines() {
                let number = line.split(':').nth(1).unwrap();
                let number: usize = number.parse().unwrap();
                prop_assert!((1..=text.lines().count() + 1).contains(&number), "{}", line);
            }
        }
    }
}

#[test]
fn takes_the_example_of_the_documentation() {
    let expected = PolicyFile {
        origins: PathOrigins::default(),
        ..PolicyFile::default()
    };
    assert_eq!(policy(EXAMPLE), expected);
}

/// The first example of the module's documentation.
const EXAMPLE: &str = r#"
preset = "pipedrive"
window = "2s"
utc_floor = 2020-01-01

[plans.advanced]
api_token = 40
access_token = 160

[daily]
limit = 10000
mode = "strict"
writes = ["POST", "PUT"]

[block]
offences = 100
within = "60s"
duration = "300s"
extend_on_hit = false

[origins]
ui = ["/ui/"]
webhook = ["/webhooks/"]
"#;
