//! The running gateway, asked by a real client over TCP. In-process gateways run on a clock of the
//! test's; nothing sleeps.

mod admin;
mod binary;
mod browser;
#[cfg(unix)]
mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod faults;
mod flood;
mod forwarding;
mod in_flight;
mod keep_alive;
mod limits;
mod load;
mod memory;
mod program;
mod reload;
mod rig;
mod slow;
mod smuggling;
#[cfg(unix)]
mod state;
#[cfg(feature = "redis")]
mod store;
mod tls;
