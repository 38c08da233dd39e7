//! How requests go to the store.

use std::pin::Pin;
use std::sync::Arc;

/// How many requests are under way at once, over how many connections, and in what pipelines.
pub struct Shape {
    pub name: &'static str,
    pub connections: usize,
    /// Tasks that each wait for their answer before they ask again.
    pub tasks: usize,
    /// Decisions that go out together.
    pub batch: usize,
}

/// The first is what the aim is about.
pub const SHAPES: [Shape; 7] = [
    shape("one at a time", 1, 1, 1),
    shape("8 at once, one connection", 1, 8, 1),
    shape("64 at once, one connection", 1, 64, 1),
    shape("8 connections, one at a time each", 8, 8, 1),
    shape("64 connections, one at a time each", 64, 64, 1),
    shape("16 in a pipeline, one connection", 1, 1, 16),
    shape("64 in a pipeline, one connection", 1, 1, 64),
];

const fn shape(name: &'static str, connections: usize, tasks: usize, batch: usize) -> Shape {
    Shape {
        name,
        connections,
        tasks,
        batch,
    }
}

/// Asks for the decisions of one batch, the first of them about the token of this number.
pub type Ask = Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Something that decides on Redis.
pub struct Subject {
    pub name: String,
    /// What it does less than the limiter does; empty for nothing.
    pub lacks: &'static str,
    /// One for each connection.
    pub asks: Vec<Ask>,
}

/// An [`Ask`] of a function that makes futures.
pub fn ask<F>(make: impl Fn(usize) -> F + Send + Sync + 'static) -> Ask
where
    F: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |first| Box::pin(make(first)))
}

/// Requests go round these tokens.
pub const TOKENS: usize = 64;

/// The name of a token in peers' keys.
pub fn name(peer: &str, i: usize) -> String {
    format!("{peer}:{:016x}", i % TOKENS)
}
