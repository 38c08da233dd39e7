//! Code that must not be in an image: what a compiler calls that the source does not show.
//!
//! An image that calls every public function and passes these gates proves the absence for all of them, on that
//! target and with that optimization.

use anyhow::{Result, bail};

use crate::elf::Elf;

/// A kind of code, known by the names of its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// A panic can be reached.
    Panic,
    /// Floating point in software.
    Float,
    /// Division of 64-bit integers in software.
    Division,
}

impl Gate {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Panic, Self::Float, Self::Division];

    /// Finds a gate by its name in an image's header.
    pub(crate) fn named(word: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|gate| gate.name() == word) {
            Some(gate) => Ok(gate),
            None => bail!("no gate {word}"),
        }
    }

    /// The name of the gate.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Float => "float",
            Self::Division => "division",
        }
    }

    /// The functions of `elf` that the gate forbids.
    pub(crate) fn forbidden(self, elf: &Elf) -> Vec<&str> {
        let code = elf.symbols.iter().filter(|symbol| symbol.is_code);
        code.map(|symbol| symbol.name.as_str())
            .filter(|name| self.forbids(name))
            .collect()
    }

    fn forbids(self, name: &str) -> bool {
        match self {
            Self::Panic => PANIC_PARTS.iter().any(|part| name.contains(part)),
            Self::Float => {
                FLOAT_PARTS.iter().any(|part| name.contains(part))
                    || eabi_float(name)
                    || libgcc_float(name)
            }
            Self::Division => DIVISION_PARTS.iter().any(|part| name.contains(part)),
        }
    }
}

/// `__aeabi_dadd`, `__aeabi_fmul`, `__aeabi_ui2d`, `__aeabi_f2iz` …: run-time ABI for the Arm architecture, 4.1.2.
fn eabi_float(name: &str) -> bool {
    let Some(helper) = name.strip_prefix("__aeabi_") else {
        return false;
    };
    let conversion = [
        "i2d", "ui2d", "l2d", "ul2d", "i2f", "ui2f", "l2f", "ul2f", "h2f",
    ];
    (helper.starts_with('d')
        || helper.starts_with('f')
        || helper.starts_with("cd")
        || helper.starts_with("cf"))
        || conversion.contains(&helper)
}

/// `__adddf3`, `__ltsf2`, `__floatunsidf`, `__fixdfsi` …: libgcc's names, with sf, df or tf for the width.
fn libgcc_float(name: &str) -> bool {
    let Some(helper) = name.strip_prefix("__") else {
        return false;
    };
    let operations = [
        "add", "sub", "mul", "div", "neg", "pow", "float", "fix", "extend", "trunc", "eq", "ne",
        "lt", "le", "gt", "ge", "unord", "cmp",
    ];
    operations.iter().any(|operation| {
        helper.strip_prefix(operation).is_some_and(|rest| {
            ["sf", "df", "tf", "hf"]
                .iter()
                .any(|width| rest.contains(width))
        })
    })
}

const PANIC_PARTS: [&str; 8] = [
    "panic_is_possible", // the board's panic handler calls it
    "panicking",
    "panic_const",
    "panic_fmt",
    "panic_bounds_check",
    "unwrap_failed",
    "expect_failed",
    "slice_index_fail",
];
const FLOAT_PARTS: [&str; 3] = [
    "compiler_builtins::float",
    "compiler_builtins::math",
    "::num::flt2dec",
];
const DIVISION_PARTS: [&str; 11] = [
    "__aeabi_uldivmod",
    "__aeabi_ldivmod",
    "__udivdi3",
    "__umoddi3",
    "__udivmoddi4",
    "__divdi3",
    "__moddi3",
    "__divmoddi4",
    "u64_div_rem",
    "__udivti3",
    "__umodti3",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::with_functions;

    #[test]
    fn lets_an_image_pass_that_has_none_of_it() {
        let elf = with_functions(&[
            "main",
            "__aeabi_memcpy4",
            "__aeabi_uidiv",
            "__aeabi_lmul",
            "__muldi3",
            "delta",
            "__fixture",
        ]);
        for gate in Gate::ALL {
            assert_eq!(gate.forbidden(&elf), [""; 0], "{}", gate.name());
        }
    }

    #[test]
    fn finds_each_way_to_panic() {
        for name in [
            "_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE",
            "_RNvNtCs1_4core9panicking9panic_fmt",
            "_ZN4core6result13unwrap_failed17h0123456789abcdefE",
            "_ZN4core6option13expect_failed17h0123456789abcdefE",
            "_ZN4core5slice5index16slice_index_fail17h0123456789abcdefE",
            "panic_is_possible",
        ] {
            let elf = with_functions(&["main", name]);
            assert_eq!(Gate::Panic.forbidden(&elf).len(), 1, "{name}");
        }
    }

    #[test]
    fn finds_floating_point_of_both_architectures() {
        for name in [
            "__aeabi_dadd",
            "__aeabi_fmul",
            "__aeabi_ui2d",
            "__aeabi_d2uiz",
            "__aeabi_cdcmple",
            "__adddf3",
            "__mulsf3",
            "__floatunsidf",
            "__fixdfsi",
            "__fixunssfdi",
            "__extendsfdf2",
            "__ltdf2",
            "__powidf2",
        ] {
            assert_eq!(Gate::Float.forbidden(&with_functions(&[name])), [name]);
        }
    }

    #[test]
    fn finds_64_bit_division_of_both_architectures() {
        for name in [
            "__aeabi_uldivmod",
            "__aeabi_ldivmod",
            "__udivdi3",
            "__umoddi3",
            "__udivmoddi4",
            "__divdi3",
        ] {
            assert_eq!(
                Gate::Division.forbidden(&with_functions(&["main", name])),
                [name]
            );
        }
    }
}
