// The five machines, one line each. `board/build.rs` and `xtask` both include this file, so that which machine
// stands for which target is written once.

/// An emulated machine and the target it runs.
pub(crate) struct Machine {
    /// QEMU's name for it.
    pub(crate) name: &'static str,
    /// Rust's name for its instruction set.
    pub(crate) target: &'static str,
    /// The core, as an engineer calls it.
    pub(crate) core: &'static str,
    /// The emulator's program.
    pub(crate) qemu: &'static str,
    /// What the emulator needs to hear besides `-machine`.
    pub(crate) args: &'static [&'static str],
}

/// Every machine the images are built for and run on, the smallest first.
pub(crate) const MACHINES: [Machine; 5] = [
    Machine {
        name: "microbit",
        target: "thumbv6m-none-eabi",
        core: "Cortex-M0",
        qemu: "qemu-system-arm",
        args: &[],
    },
    Machine {
        name: "lm3s6965evb",
        target: "thumbv7m-none-eabi",
        core: "Cortex-M3",
        qemu: "qemu-system-arm",
        args: &[],
    },
    Machine {
        name: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        core: "Cortex-M4F",
        qemu: "qemu-system-arm",
        args: &[],
    },
    Machine {
        name: "mps2-an505",
        target: "thumbv8m.main-none-eabi",
        core: "Cortex-M33",
        qemu: "qemu-system-arm",
        args: &[],
    },
    Machine {
        name: "virt",
        target: "riscv32imc-unknown-none-elf",
        core: "RV32IMC",
        qemu: "qemu-system-riscv32",
        // No atomics and no floating point: an instruction outside IMC traps.
        args: &["-bios", "none", "-cpu", "rv32,a=off,f=off,d=off"],
    },
];
