//! The limiter against its specification: rules, vectors, and the model as an oracle.

mod differential;
mod exhaustive;
mod memory;
mod packed;
mod properties;
mod regressions;
mod restart;
mod rules;
mod straight;
mod subjects;
mod vectors;
