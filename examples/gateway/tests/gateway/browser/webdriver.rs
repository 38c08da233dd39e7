//! The few requests of WebDriver that the test needs; a client for all of them is thirty crates.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// A browser's session.
pub(crate) struct Session {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Session {
    /// Has the driver at an address start a browser.
    pub(crate) async fn start(driver: &str, capabilities: Value) -> Self {
        let mut session = Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("http://{driver}/session"),
        };
        let capabilities = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let started = session.send(Method::POST, "", Some(capabilities)).await;
        session.url = format!("{}/{}", session.url, started["sessionId"].as_str().unwrap());
        session
    }

    pub(crate) async fn post(&self, command: &str, body: Value) -> Value {
        self.send(Method::POST, &format!("/{command}"), Some(body))
            .await
    }

    pub(crate) async fn read(&self, command: &str) -> Value {
        self.send(Method::GET, &format!("/{command}"), None).await
    }

    /// Closes the browser.
    pub(crate) async fn end(&self) {
        self.send(Method::DELETE, "", None).await;
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .unwrap();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body["value"].take()
    }
}
