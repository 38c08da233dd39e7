//! The operators' page in a real browser, fed by a real gateway under load.
//!
//! `./ci.sh browser` installs Debian's Chromium and runs it; screenshots go to `target/screenshots`.

mod chromium;
mod traffic;
mod webdriver;

use self::chromium::{Chromium, Look};
use self::traffic::Traffic;
use crate::program::{Program, directory, file};
use std::io::Write as _;
use std::process::{Command, Stdio};

const DESKTOP: (u32, u32) = (1_280, 800);
/// What the page says of a state that is written.
const SURVIVES: &str =
    "/Survives a crash.*written .* ago.*costs \\d+ permits/.test($('health').textContent)";
const PHONE: (u32, u32) = (390, 844);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser; run ./ci.sh browser"]
async fn shows_the_gateway_at_work_and_lifts_a_block() {
    let mut gateway = gateway();
    let browser = Chromium::start().await;
    browser.open(&format!("http://{}/", gateway.admin())).await;
    browser
        .until("the page is live", "$('state').dataset.state === 'live'")
        .await;
    let none = "getComputedStyle($('blocked-none')).display !== 'none' && $('blocked').children.length === 0";
    browser.until("nobody is blocked", none).await;

    let traffic = Traffic::start(gateway.address());
    let admitted = "Number(rows.get('admitted').total.textContent.replaceAll(',', ''))";
    browser
        .until("requests are counted", &format!("{admitted} > 0"))
        .await;
    let first = browser.number(admitted).await;
    browser
        .until("the count moves", &format!("{admitted} > {first}"))
        .await;
    browser
        .until("a rate shows", "Number($('tile-rate').textContent) > 0")
        .await;
    browser.until("the state is well", SURVIVES).await;
    browser
        .until(
            "the chart is drawn",
            "$('chart').querySelectorAll('path').length >= 3",
        )
        .await;
    browser
        .until("the busiest show", "$('busiest').children.length >= 3")
        .await;

    // The traffic hammers with one token, which blocks it.
    browser
        .until("it is blocked", "$('blocked').children.length === 1")
        .await;
    assert_eq!(traffic.status("demo-essential").await, 403);
    browser
        .until("refusals fill the chart", "history_s() >= 20")
        .await;
    take_pictures(&browser).await;
    browser.resize(DESKTOP, Look::Light).await;
    traffic.stop_hammering().await;

    browser.click("#blocked button").await;
    browser.until("it asks", "$('confirm').open").await;
    browser.screenshot("confirm", DESKTOP, Look::Light).await;
    browser.click("menu button[value=no]").await;
    assert_eq!(traffic.status("demo-essential").await, 403);
    browser.click("#blocked button").await;
    browser.click("#confirm-yes").await;
    browser
        .until(
            "it says so",
            "$('toast').textContent.endsWith(' is unblocked.')",
        )
        .await;
    browser.until("nobody is blocked", none).await;
    assert_eq!(traffic.status("demo-essential").await, 200);
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    drop(traffic);
    gateway.child.kill().unwrap();
    browser
        .until(
            "it tells the loss",
            "$('state').dataset.state === 'lost' && !$('banner').hidden",
        )
        .await;
    browser
        .screenshot("disconnected", DESKTOP, Look::Light)
        .await;
    browser.close().await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser; run ./ci.sh browser"]
async fn shows_how_a_shared_store_is_doing_and_says_what_is_not_known() {
    let Some(server) = limiter_redis_servers::Server::start() else {
        return;
    };
    let key = file("browser-store.key", "16 random bytes.");
    let url = server.url();
    let flags = ["--store", &url, "--store-key", &key, "--admin", "0"];
    let gateway = Program::start(&[&["--listen", "127.0.0.1:0"], &flags[..]].concat());
    let browser = Chromium::start().await;
    browser.open(&format!("http://{}/", gateway.admin())).await;
    let health = |text: &str| format!("$('health').textContent.includes('{text}')");
    browser.until("it is in use", &health("StoreIn use")).await;
    let note = "$('blocked-none').textContent.includes('not known here')";
    browser.until("it says what is not known", note).await;
    browser.screenshot("store", DESKTOP, Look::Light).await;
    drop(server);
    while !gateway
        .ask("GET / HTTP/1.1\r\nx-api-token: demo-advanced")
        .starts_with("HTTP/1.1 503 ")
    {}
    browser.until("it is gone", &health("Cannot be used")).await;
    let meanwhile = health("meanwhile all are refused with 503");
    browser.until("it says what is decided", &meanwhile).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

/// Pictures for people to look at: wide and narrow, light and dark.
async fn take_pictures(browser: &Chromium) {
    for (name, size) in [("desktop", DESKTOP), ("phone", PHONE)] {
        for look in [Look::Light, Look::Dark] {
            browser.screenshot(name, size, look).await;
            assert!(
                !browser
                    .truth("document.documentElement.scrollWidth > innerWidth")
                    .await,
                "{name} scrolls sideways"
            );
        }
    }
}

/// A gateway with a state and an exempt prefix.
fn gateway() -> Program {
    let state = directory("browser-state");
    let policy = file(
        "browser.toml",
        "preset = 'pipedrive'\norigins.webhook = ['/webhooks/']\n",
    );
    let path = state.to_str().unwrap();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "0",
        "--policy",
        &policy,
        "--state",
        path,
    ];
    Program::start(&flags)
}

#[tokio::test]
#[ignore = "needs Prometheus's checker; run ./ci.sh browser"]
async fn tells_metrics_that_pass_prometheuss_own_checker() {
    let gateway = Program::start(&["--listen", "127.0.0.1:0", "--admin", "0"]);
    let traffic = Traffic::start(gateway.address());
    assert_eq!(traffic.status("demo-advanced").await, 200);
    let metrics = format!("http://{}/metrics", gateway.admin());
    let metrics = traffic.body(&metrics).await;

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is fetched by ./ci.sh browser");
    // It reads to the end of its input, which is here.
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{said:?}\n{metrics}");
}
