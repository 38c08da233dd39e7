//! The flags.

use http::{Method, Uri};

/// Sends requests to a service as fast as its limits allow, and ends with one line of JSON:
/// {"sent":N,"refused":0,"seconds":S}
#[derive(Clone, Debug, clap::Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    /// Where the service is; every request goes to this URL
    #[arg(long, value_name = "http://HOST:PORT/PATH")]
    pub base: Uri,

    /// The token, sent as x-api-token
    #[arg(long, value_name = "TOKEN")]
    pub token: String,

    /// How many requests to send
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,

    /// Their method
    #[arg(long, value_name = "METHOD", default_value_t = Method::GET)]
    pub method: Method,

    /// How many may be under way at once
    #[arg(long, value_name = "C", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,

    /// Permits of each window to leave to others who use the token
    #[arg(long, value_name = "PERMITS", default_value_t = 0)]
    pub others: u32,
}
