//! A NOR flash as strict as the strictest: a page is erased as a whole, a word is programmed once after that, and
//! when the power fails in an operation, some of its bits have flipped and some have not.
//!
//! The bytes lie in a [`Medium`] that outlives the device. Behind them it holds a byte for each word, so that a second
//! programming of a word is noticed also where it changes no bit. A torn word may be programmed again with what it
//! should have held: half-programmed cells allow it.
//!
//! The host may stop the device between any two writes to the medium. So a word is marked as torn before it changes
//! and as whole after: a word stopped in between is torn, as it would be in a chip.

use core::fmt;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::random::Random;

/// Where the bytes lie: [`Nor::MEDIUM_BYTES`] of them, at first 0xff.
pub trait Medium {
    /// Reads bytes.
    ///
    /// # Errors
    ///
    /// [`MediumFailed`]; the buffer holds anything.
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed>;

    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// [`MediumFailed`]; some bytes may be written.
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed>;
}

/// The host could not read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediumFailed;

/// The flash, of `PAGES` pages of `PAGE` bytes each, and when its power fails.
#[derive(Debug)]
pub struct Nor<M, const PAGE: usize = 1024, const PAGES: usize = 3> {
    medium: M,
    /// Operations until the power fails: a word programmed, a word erased.
    left: Option<u32>,
    random: Random,
    wear: Wear<PAGES>,
}

/// What a flash was put through, since it was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wear<const PAGES: usize> {
    /// Words programmed.
    pub words: u64,
    /// How often each page was erased.
    pub erases: [u32; PAGES],
}

impl<M: Medium> Nor<M> {
    /// A flash of three pages of 1 KiB.
    ///
    /// Its power fails in its operation number `cut`, counted from 1; 0 for never. `seed` picks the bits that have
    /// flipped by then.
    pub fn new(medium: M, cut: u32, seed: u32) -> Self {
        Self::of_any_size(medium, cut, seed)
    }
}

impl<M, const PAGE: usize, const PAGES: usize> Nor<M, PAGE, PAGES> {
    /// Bytes of the flash.
    pub const BYTES: u32 = Self::PAGE_BYTES * PAGES as u32;
    /// Bytes of the medium: the flash's, and one for each word.
    pub const MEDIUM_BYTES: u32 = Self::BYTES + Self::BYTES / WORD as u32;
    /// Bytes that are erased together.
    const PAGE_BYTES: u32 = PAGE as u32;

    /// Where the mark of a word lies.
    const fn mark_of(at: u32) -> u32 {
        Self::BYTES + at / WORD as u32
    }
}

impl<M: Medium, const PAGE: usize, const PAGES: usize> Nor<M, PAGE, PAGES> {
    /// As [`Nor::new`], of any size.
    pub fn of_any_size(medium: M, cut: u32, seed: u32) -> Self {
        Self {
            medium,
            left: cut.checked_sub(1),
            random: Random::new(seed),
            wear: Wear {
                words: 0,
                erases: [0; PAGES],
            },
        }
    }

    /// What it was put through.
    pub const fn wear(&self) -> Wear<PAGES> {
        self.wear
    }

    /// Whether nothing was ever programmed, or all was erased.
    ///
    /// # Errors
    ///
    /// [`NorError::Medium`].
    pub fn is_blank(&mut self) -> Result<bool, NorError> {
        let mut word = [0; WORD];
        for at in (0..Self::BYTES).step_by(WORD) {
            self.medium.read(at, &mut word)?;
            if word != ERASED {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Programs one word.
    fn program(&mut self, at: u32, target: u32) -> Result<(), NorError> {
        let old = self.word(at)?;
        let mark = self.mark(at)?;
        if mark == PROGRAMMED || old & target != target {
            return Err(NorError::NotErased { at });
        }
        let cut = self.power_fails()?;
        self.wear.words += 1;
        self.medium.write(Self::mark_of(at), &[TORN])?;
        if cut {
            let torn = old & (target | self.random.bits());
            self.medium.write(at, &torn.to_le_bytes())?;
            return Err(NorError::PowerCut);
        }
        self.medium.write(at, &(old & target).to_le_bytes())?;
        Ok(self.medium.write(Self::mark_of(at), &[PROGRAMMED])?)
    }

    /// Erases one word; only whole pages are asked for.
    fn erase_word(&mut self, at: u32) -> Result<(), NorError> {
        let cut = self.power_fails()?;
        self.medium.write(Self::mark_of(at), &[TORN])?;
        if cut {
            let torn = self.word(at)? | self.random.bits();
            self.medium.write(at, &torn.to_le_bytes())?;
            return Err(NorError::PowerCut);
        }
        self.medium.write(at, &ERASED)?;
        Ok(self.medium.write(Self::mark_of(at), &[FRESH])?)
    }

    /// Counts an operation; tells whether the power fails in it. Without power nothing goes on.
    fn power_fails(&mut self) -> Result<bool, NorError> {
        match &mut self.left {
            None => Ok(false),
            Some(OFF) => Err(NorError::PowerCut),
            Some(0) => {
                self.left = Some(OFF);
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
        }
    }

    fn word(&mut self, at: u32) -> Result<u32, NorError> {
        let mut word = [0; WORD];
        self.medium.read(at, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn mark(&mut self, at: u32) -> Result<u8, NorError> {
        let mut mark = [0];
        self.medium.read(Self::mark_of(at), &mut mark)?;
        let [mark] = mark;
        Ok(mark)
    }

    /// Holds a range against the flash's size and an operation's grain.
    fn check(offset: u32, length: usize, grain: u32) -> Result<(), NorError> {
        let length = u32::try_from(length).map_err(|_| NorError::OutOfBounds)?;
        if !offset.is_multiple_of(grain) || !length.is_multiple_of(grain) {
            return Err(NorError::NotAligned);
        }
        match offset.checked_add(length) {
            Some(end) if end <= Self::BYTES => Ok(()),
            _ => Err(NorError::OutOfBounds),
        }
    }
}

impl<M: Medium, const PAGE: usize, const PAGES: usize> ErrorType for Nor<M, PAGE, PAGES> {
    type Error = NorError;
}

impl<M: Medium, const PAGE: usize, const PAGES: usize> ReadNorFlash for Nor<M, PAGE, PAGES> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        Self::check(offset, bytes.len(), 1)?;
        Ok(self.medium.read(offset, bytes)?)
    }

    fn capacity(&self) -> usize {
        PAGE * PAGES
    }
}

impl<M: Medium, const PAGE: usize, const PAGES: usize> NorFlash for Nor<M, PAGE, PAGES> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        let length = to.checked_sub(from).ok_or(NorError::OutOfBounds)?;
        Self::check(from, length as usize, Self::PAGE_BYTES)?;
        for start in (from..to).step_by(PAGE) {
            if let Some(erases) = self
                .wear
                .erases
                .get_mut((start / Self::PAGE_BYTES) as usize)
            {
                *erases += 1;
            }
            (start..start + Self::PAGE_BYTES)
                .step_by(WORD)
                .try_for_each(|at| self.erase_word(at))?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        Self::check(offset, bytes.len(), WORD as u32)?;
        let (words, _) = bytes.as_chunks::<WORD>();
        (offset..)
            .step_by(WORD)
            .zip(words)
            .try_for_each(|(at, word)| self.program(at, u32::from_le_bytes(*word)))
    }
}

/// Why an operation of the flash did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NorError {
    /// The power failed in it, or before.
    PowerCut,
    /// The word was programmed before, or a bit of it would have to rise.
    NotErased {
        /// Its address.
        at: u32,
    },
    /// An address or a length is no multiple of the operation's grain.
    NotAligned,
    /// It would reach beyond the end.
    OutOfBounds,
    /// The host could not read or write.
    Medium,
}

impl From<MediumFailed> for NorError {
    fn from(MediumFailed: MediumFailed) -> Self {
        Self::Medium
    }
}

impl NorFlashError for NorError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

impl fmt::Display for NorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerCut => f.write_str("the power failed"),
            Self::NotErased { at } => write!(f, "the word at {at:#x} was programmed before"),
            Self::NotAligned => f.write_str("an operation on a part of a word or page"),
            Self::OutOfBounds => f.write_str("an operation beyond the flash's end"),
            Self::Medium => f.write_str("the host's file could not be read or written"),
        }
    }
}

impl core::error::Error for NorError {}

const WORD: usize = 4;
const ERASED: [u8; WORD] = [0xff; WORD];
/// The marks.
const FRESH: u8 = 0xff;
const PROGRAMMED: u8 = 0;
const TORN: u8 = 1;
/// No operation is left because the power is off.
const OFF: u32 = u32::MAX;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::block_on;

    const PAGE_BYTES: u32 = 1024;
    const BYTES: u32 = <Nor<()>>::BYTES;

    pub(crate) struct Memory(pub(crate) Vec<u8>);

    /// A host that stops the device at a write to the medium: the ones before are done, it and the later ones are not.
    struct Stopping<'m> {
        memory: &'m mut Memory,
        writes_left: u32,
    }

    impl Medium for Stopping<'_> {
        fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed> {
            self.memory.read(at, bytes)
        }

        fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed> {
            self.writes_left = self.writes_left.checked_sub(1).ok_or(MediumFailed)?;
            self.memory.write(at, bytes)
        }
    }

    impl Memory {
        fn read(&self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed> {
            let at = at as usize;
            let source = self.0.get(at..at + bytes.len()).ok_or(MediumFailed)?;
            bytes.copy_from_slice(source);
            Ok(())
        }

        fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed> {
            let at = at as usize;
            let target = self.0.get_mut(at..at + bytes.len()).ok_or(MediumFailed)?;
            target.copy_from_slice(bytes);
            Ok(())
        }
    }

    impl Medium for &mut Memory {
        fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed> {
            Memory::read(self, at, bytes)
        }

        fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed> {
            Memory::write(self, at, bytes)
        }
    }

    pub(crate) fn blank() -> Memory {
        Memory(vec![0xff; <Nor<()>>::MEDIUM_BYTES as usize])
    }

    #[test]
    fn programs_a_word_once_until_its_page_is_erased() {
        let mut memory = blank();
        let mut nor = Nor::new(&mut memory, 0, 1);
        block_on(nor.write(8, &[0xff; 4])).unwrap();
        let again = block_on(nor.write(8, &[0xff; 4]));
        assert_eq!(again, Err(NorError::NotErased { at: 8 }));
        block_on(nor.erase(0, PAGE_BYTES)).unwrap();
        block_on(nor.write(8, &[1, 2, 3, 4])).unwrap();
        let mut word = [0; 4];
        block_on(nor.read(8, &mut word)).unwrap();
        assert_eq!(word, [1, 2, 3, 4]);
        assert_eq!(nor.is_blank(), Ok(false));
    }

    #[test]
    fn counts_words_and_erased_pages() {
        let mut memory = blank();
        let mut nor = Nor::new(&mut memory, 0, 1);
        block_on(nor.write(8, &[0; 12])).unwrap();
        block_on(nor.erase(PAGE_BYTES, 3 * PAGE_BYTES)).unwrap();
        block_on(nor.erase(2 * PAGE_BYTES, 3 * PAGE_BYTES)).unwrap();
        let expected = Wear {
            words: 3,
            erases: [0, 1, 2],
        };
        assert_eq!(nor.wear(), expected);
    }

    #[test]
    fn refuses_parts_of_words_and_pages_and_what_lies_beyond() {
        let mut memory = blank();
        let mut nor = Nor::new(&mut memory, 0, 1);
        assert_eq!(block_on(nor.write(2, &[0; 4])), Err(NorError::NotAligned));
        assert_eq!(block_on(nor.write(0, &[0; 3])), Err(NorError::NotAligned));
        assert_eq!(block_on(nor.erase(0, 4)), Err(NorError::NotAligned));
        assert_eq!(
            block_on(nor.write(BYTES, &[0; 4])),
            Err(NorError::OutOfBounds)
        );
        assert_eq!(
            block_on(nor.erase(PAGE_BYTES, 0)),
            Err(NorError::OutOfBounds)
        );
        assert_eq!(nor.is_blank(), Ok(true));
    }

    #[test]
    fn leaves_some_bits_of_the_word_in_which_the_power_fails_and_does_nothing_after() {
        let mut torn_words = 0;
        for seed in 0..16 {
            let mut memory = blank();
            let mut nor = Nor::new(&mut memory, 2, seed);
            assert_eq!(block_on(nor.write(0, &[0; 12])), Err(NorError::PowerCut));
            assert_eq!(block_on(nor.write(16, &[0; 4])), Err(NorError::PowerCut));
            assert_eq!(block_on(nor.erase(0, PAGE_BYTES)), Err(NorError::PowerCut));
            assert_eq!(memory.0[..4], [0; 4]);
            assert_eq!(memory.0[8..20], [0xff; 12]);
            torn_words += usize::from(!matches!(&memory.0[4..8], [0, 0, 0, 0]));
            // What it should have held may be programmed once the power is back, anything else may not.
            let mut nor = Nor::new(&mut memory, 0, seed);
            block_on(nor.write(4, &[0; 4])).unwrap();
        }
        assert!(torn_words > 8);
    }

    #[test]
    fn leaves_a_page_half_erased() {
        let mut memory = blank();
        let mut nor = Nor::new(&mut memory, 0, 3);
        block_on(nor.write(0, &[0; 12])).unwrap();
        let mut nor = Nor::new(&mut memory, 2, 3);
        assert_eq!(block_on(nor.erase(0, PAGE_BYTES)), Err(NorError::PowerCut));
        assert_eq!(memory.0[..4], [0xff; 4]);
        assert_eq!(memory.0[8..12], [0; 4]);
    }

    #[test]
    fn leaves_a_flash_that_can_be_used_wherever_the_host_stops_the_device() {
        let words = PAGE_BYTES / WORD as u32;
        for writes_left in 0..3 * words {
            let mut memory = blank();
            let mut nor = Nor::new(&mut memory, 0, 1);
            block_on(nor.write(0, &[0x5a; PAGE_BYTES as usize])).unwrap();
            let stopping = Stopping {
                memory: &mut memory,
                writes_left,
            };
            let mut nor = Nor::new(stopping, 0, 1);
            assert_eq!(block_on(nor.erase(0, PAGE_BYTES)), Err(NorError::Medium));
            let mut nor = Nor::new(&mut memory, 0, 1);
            let erased: Vec<u32> = (0..PAGE_BYTES)
                .step_by(WORD)
                .filter(|at| nor.word(*at) == Ok(u32::MAX))
                .collect();
            assert_eq!(erased.len() as u32, (writes_left + 1) / 3);
            for at in erased {
                block_on(nor.write(at, &[0x5a; WORD])).unwrap();
                assert_eq!(
                    block_on(nor.write(at, &[0x5a; WORD])),
                    Err(NorError::NotErased { at })
                );
            }
        }
    }

    #[test]
    fn completes_a_word_in_which_the_host_stopped_the_device() {
        for writes_left in 0..3 {
            let mut memory = blank();
            let stopping = Stopping {
                memory: &mut memory,
                writes_left,
            };
            let mut nor = Nor::new(stopping, 0, 1);
            assert_eq!(block_on(nor.write(0, &[0x5a; 4])), Err(NorError::Medium));
            let mut nor = Nor::new(&mut memory, 0, 1);
            block_on(nor.write(0, &[0x5a; 4])).unwrap();
        }
    }

    #[test]
    fn names_the_error_in_words() {
        assert_eq!(
            NorError::NotErased { at: 1024 }.to_string(),
            "the word at 0x400 was programmed before"
        );
    }
}
