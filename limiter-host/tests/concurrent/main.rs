//! [`limiter_host::Concurrent`] against its specification: the model as an oracle, vectors, and
//! threads that hammer it.

mod attack;
mod batch;
mod crowded;
mod differential;
mod rules;
mod subjects;
mod threads;
mod turnover;
mod vectors;
