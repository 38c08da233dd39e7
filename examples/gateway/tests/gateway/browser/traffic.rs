//! Callers at steady rates: some well under their limits, some over, one that hammers.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Traffic that flows until it is dropped.
pub(crate) struct Traffic {
    client: HttpClient,
    url: String,
    callers: Vec<JoinHandle<()>>,
}

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

impl Traffic {
    pub(crate) fn start(address: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut traffic = Self {
            client,
            url: format!("http://{address}"),
            callers: Vec::new(),
        };
        // The first hammers.
        traffic.call("demo-essential", "GET", "/v1/deals", 25);
        traffic.call("demo-oauth-enterprise", "GET", "/v1/deals", 5);
        traffic.call("demo-oauth-professional", "GET", "/v1/deals", 8);
        traffic.call("demo-oauth-advanced", "GET", "/v1/deals", 8);
        traffic.call("demo-enterprise", "POST", "/v1/deals", 40);
        traffic.call("martin-1", "PUT", "/v1/deals", 90);
        traffic.call("unknown", "GET", "/v1/deals", 120);
        traffic.call("unknown", "POST", "/webhooks/1", 60);
        traffic
    }

    fn call(&mut self, token: &'static str, method: &'static str, path: &str, every_ms: u64) {
        let (client, url) = (self.client.clone(), format!("{}{path}", self.url));
        self.callers.push(tokio::spawn(async move {
            let mut times = tokio::time::interval(Duration::from_millis(every_ms));
            loop {
                times.tick().await;
                ask(&client, &url, method, token).await;
            }
        }));
    }

    /// Lets the one who hammers rest, for a window and a little more.
    pub(crate) async fn stop_hammering(&self) {
        self.callers[0].abort();
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }

    /// What is found at an address.
    pub(crate) async fn body(&self, url: &str) -> String {
        let answer = self.client.get(url.parse().unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// The status that a token's request is answered with.
    pub(crate) async fn status(&self, token: &str) -> u16 {
        ask(&self.client, &self.url, "GET", token).await
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for caller in &self.callers {
            caller.abort();
        }
    }
}

async fn ask(client: &HttpClient, url: &str, method: &str, token: &str) -> u16 {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("x-api-token", token)
        .body(Empty::new())
        .unwrap();
    let answer = client.request(request).await.unwrap();
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    status
}
