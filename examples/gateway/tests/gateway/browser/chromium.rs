//! Chromium without a window, driven over WebDriver.

use super::webdriver::Session;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A browser with a profile of its own; ended when dropped.
pub(crate) struct Chromium {
    session: Session,
    driver: Child,
    profile: PathBuf,
    /// Open for as long as the driver may write to it.
    _output: Lines<BufReader<ChildStdout>>,
}

/// What the operating system prefers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    Light,
    Dark,
}

impl Look {
    const fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Chromium {
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed by ./ci.sh browser");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let port = line.split("successfully on port ").nth(1)?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says where it listens");
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{port}"));
        let user_data = format!("--user-data-dir={}", profile.display());
        let flags = [&FLAGS[..], &[user_data.as_str()]].concat();
        let capabilities = json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        Self {
            session: Session::start(&format!("127.0.0.1:{port}"), capabilities).await,
            driver,
            profile,
            _output: lines,
        }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.session.post("url", json!({ "url": url })).await;
    }

    /// What an expression of the page's script is worth.
    async fn value(&self, expression: &str) -> Value {
        let script = format!(
            "const history_s = () => document.querySelectorAll('#chart path').length === 0 ? 0 \
               : document.querySelector('#chart path').getAttribute('d').split('L').length / 2; \
             return {expression};"
        );
        let script = json!({ "script": script, "args": [] });
        self.session.post("execute/sync", script).await
    }

    pub(crate) async fn truth(&self, expression: &str) -> bool {
        self.value(expression).await == Value::Bool(true)
    }

    pub(crate) async fn number(&self, expression: &str) -> u64 {
        self.value(expression).await.as_u64().unwrap()
    }

    /// Waits until an expression is true; for a minute at most.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        for _ in 0..600 {
            if self.truth(expression).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("in vain waited until {what}");
    }

    pub(crate) async fn click(&self, selector: &str) {
        let find = json!({ "using": "css selector", "value": selector });
        let found = self.session.post("element", find).await;
        let element = found[ELEMENT].as_str().unwrap();
        self.session
            .post(&format!("element/{element}/click"), json!({}))
            .await;
    }

    pub(crate) async fn resize(&self, (width, height): (u32, u32), look: Look) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let media = json!({
            "features": [{ "name": "prefers-color-scheme", "value": look.word() }],
        });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Keeps a picture of the whole page as it is at a width.
    pub(crate) async fn screenshot(&self, name: &str, size: (u32, u32), look: Look) {
        self.resize(size, look).await;
        let height = self.number("document.documentElement.scrollHeight").await;
        let height = u32::try_from(height).unwrap().max(size.1);
        self.resize((size.0, height), look).await;
        let picture = self.session.read("screenshot").await;
        let picture = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}-{}.png", look.word()));
        std::fs::write(file, picture).unwrap();
        self.resize(size, look).await;
    }

    /// What the browser complained about: scripts that failed, content that the policy forbids.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = json!({ "type": "browser" });
        let log = self.session.post("se/log", log).await;
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    async fn devtools(&self, command: &'static str, parameters: Value) {
        let command = json!({ "cmd": command, "params": parameters });
        self.session.post("goog/cdp/execute", command).await;
    }

    pub(crate) async fn close(self) {
        self.session.end().await;
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The driver ends its browser, if a test that failed did not, when it is asked to end.
        let id = self.driver.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// How WebDriver names a found element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];
