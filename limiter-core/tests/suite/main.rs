//! The limiter against its specification: rules, vectors, and the model as an oracle.

mod clocks;
mod crowded;
mod differential;
mod exhaustive;
mod lost;
mod memory;
mod metered;
mod overlap;
mod packed;
mod power_loss;
mod properties;
mod regressions;
mod reserved;
mod restart;
mod rules;
mod straight;
mod subjects;
mod vectors;
