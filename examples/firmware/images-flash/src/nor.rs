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

impl<M: Medium> Medium for &mut M {
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed> {
        M::read(self, at, bytes)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed> {
        M::write(self, at, bytes)
    }
}

/// A medium in memory.
#[derive(Clone, Debug)]
pub struct Memory<B>(pub B);

impl<B: AsRef<[u8]> + AsMut<[u8]>> Medium for Memory<B> {
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed> {
        let (_, from) = self
            .0
            .as_ref()
            .split_at_checked(at as usize)
            .ok_or(MediumFailed)?;
        bytes.copy_from_slice(from.get(..bytes.len()).ok_or(MediumFailed)?);
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed> {
        let (_, from) = self
            .0
            .as_mut()
            .split_at_mut_checked(at as usize)
            .ok_or(MediumFailed)?;
        from.get_mut(..bytes.len())
            .ok_or(MediumFailed)?
            .copy_from_slice(bytes);
        Ok(())
    }
}

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
pub(crate) mod tests;
