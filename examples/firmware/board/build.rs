//! Picks the machine by the target: its name becomes `cfg(machine = "…")`, its memory map `memory.x`.

use std::{env, fs, path::Path};

#[allow(dead_code, reason = "the build needs only name and target")]
mod machines {
    include!("machines.rs");
}

fn main() {
    println!("cargo::rerun-if-changed=machines.rs");
    println!("cargo::rerun-if-changed=memory");
    let names: Vec<String> = machines::MACHINES
        .iter()
        .map(|machine| format!("{:?}", machine.name))
        .collect();
    println!(
        "cargo::rustc-check-cfg=cfg(machine, values({}))",
        names.join(", ")
    );

    let target = env::var("TARGET").expect("cargo sets TARGET");
    let Some(machine) = machines::MACHINES
        .iter()
        .find(|machine| machine.target == target)
    else {
        println!("cargo::error=no machine for target {target}; see board/machines.rs");
        return;
    };
    println!("cargo::rustc-cfg=machine=\"{}\"", machine.name);
    println!("cargo::rustc-env=BOARD_MACHINE={}", machine.name);

    let out_dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let memory = format!("memory/{}.x", machine.name);
    fs::copy(&memory, Path::new(&out_dir).join("memory.x"))
        .unwrap_or_else(|error| panic!("{memory}: {error}"));
    println!("cargo::rustc-link-search={out_dir}");
}
