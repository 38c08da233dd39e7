//! Adds defmt's link script to the board's.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
}
