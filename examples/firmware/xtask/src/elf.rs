//! Sizes and symbols of a built image.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, elf};

/// What of an ELF file is measured.
pub(crate) struct Elf {
    /// Bytes of code: allocated, executable sections.
    pub(crate) text_bytes: u64,
    /// Bytes of constants: allocated, neither executable nor writable.
    pub(crate) rodata_bytes: u64,
    /// Bytes of initial values, in flash and in RAM: allocated, writable, in the file.
    pub(crate) data_bytes: u64,
    /// Defined symbols, the largest first.
    pub(crate) symbols: Vec<Symbol>,
}

/// A function or a static.
pub(crate) struct Symbol {
    /// Demangled, without the hash.
    pub(crate) name: String,
    /// Where it begins; the bit that marks Thumb code is off.
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    pub(crate) is_code: bool,
}

impl Elf {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        fs::read(path)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Self::parse(&bytes))
            .with_context(|| path.display().to_string())
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let file = object::File::parse(bytes)?;
        let mut sizes = (0, 0, 0);
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                continue;
            };
            let has = |flag| sh_flags.contains(flag);
            if has(elf::SHF_ALLOC) && has(elf::SHF_EXECINSTR) {
                sizes.0 += section.size();
            } else if has(elf::SHF_ALLOC) && !has(elf::SHF_WRITE) {
                sizes.1 += section.size();
            } else if has(elf::SHF_ALLOC)
                && section.kind() != object::SectionKind::UninitializedData
            {
                sizes.2 += section.size();
            }
        }
        let mut symbols = Vec::new();
        for symbol in file.symbols().filter(|symbol| symbol.is_definition()) {
            let is_code = symbol.kind() == object::SymbolKind::Text;
            if is_code || symbol.kind() == object::SymbolKind::Data {
                let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
                symbols.push(Symbol {
                    name,
                    address: if is_code {
                        symbol.address() & !1
                    } else {
                        symbol.address()
                    },
                    bytes: symbol.size(),
                    is_code,
                });
            }
        }
        symbols.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        Ok(Self {
            text_bytes: sizes.0,
            rodata_bytes: sizes.1,
            data_bytes: sizes.2,
            symbols,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use object::{
        Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope,
        write::{Object, StandardSection, Symbol as Written, SymbolSection},
    };

    use super::*;

    /// Makes an ELF file whose functions have these names and 4 bytes each, with 6 bytes of
    /// constants, 5 of initial values and 900 of zeros.
    pub(crate) fn with_functions(names: &[&str]) -> Elf {
        let mut file = Object::new(BinaryFormat::Elf, Architecture::Arm, Endianness::Little);
        let text = file.section_id(StandardSection::Text);
        for name in names {
            let offset = file.append_section_data(text, &[0; 4], 4);
            file.add_symbol(Written {
                name: name.as_bytes().to_vec(),
                value: offset,
                size: 4,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(text),
                flags: SymbolFlags::None,
            });
        }
        let constants = file.section_id(StandardSection::ReadOnlyData);
        file.append_section_data(constants, &[0; 6], 1);
        let data = file.section_id(StandardSection::Data);
        file.append_section_data(data, &[7; 5], 1);
        let zeros = file.section_id(StandardSection::UninitializedData);
        file.append_section_bss(zeros, 900, 1);
        Elf::parse(&file.write().unwrap()).unwrap()
    }

    #[test]
    fn sums_code_constants_and_initial_values_and_names_the_functions() {
        let elf = with_functions(&["_ZN4core9panicking5panic17h0123456789abcdefE", "main"]);
        assert_eq!(
            (elf.text_bytes, elf.rodata_bytes, elf.data_bytes),
            (8, 6, 5)
        );
        let names: Vec<&str> = elf
            .symbols
            .iter()
            .map(|symbol| symbol.name.as_str())
            .collect();
        assert_eq!(names, ["core::panicking::panic", "main"]);
        assert!(
            elf.symbols
                .iter()
                .all(|symbol| symbol.is_code && symbol.bytes == 4)
        );
    }
}
