//! Placeholder until the first modules land.
#![no_std]
