//! The limiter's image in flash: the newest whole one is found again, whatever was cut off.

use core::fmt;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use sequential_storage::Error;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::nor::{Medium, Nor, NorError, Wear};

/// Images in all pages of a flash; each one stored stands beside the last until it is whole.
pub struct Store<M: Medium, const PAGE: usize = 1024, const PAGES: usize = 3> {
    map: MapStorage<u8, Nor<M, PAGE, PAGES>, Cache<Uncached, Uncached, Uncached, u8>>,
}

impl<M: Medium, const PAGE: usize, const PAGES: usize> Store<M, PAGE, PAGES> {
    /// Uses what a flash holds.
    pub const fn new(nor: Nor<M, PAGE, PAGES>) -> Self {
        Self {
            map: MapStorage::new(
                nor,
                const { MapConfig::new(0..Nor::<M, PAGE, PAGES>::BYTES) },
                Cache::new_uncached(),
            ),
        }
    }

    /// Finds the newest whole image. `None` if there is none; [`Store::is_blank`] tells whether there ever was any.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn load<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, StoreError> {
        Ok(block_on(self.map.fetch_item::<&[u8]>(buffer, &KEY))?)
    }

    /// Stores an image; `buffer` has to hold it and a few bytes more.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the last image is still there.
    pub fn save(&mut self, buffer: &mut [u8], image: &[u8]) -> Result<(), StoreError> {
        Ok(block_on(self.map.store_item(buffer, &KEY, &image))?)
    }

    /// Whether the flash holds nothing at all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Flash`].
    pub fn is_blank(&mut self) -> Result<bool, StoreError> {
        self.map.flash().is_blank().map_err(StoreError::Flash)
    }

    /// What the flash was put through.
    pub fn wear(&mut self) -> Wear<PAGES> {
        self.map.flash().wear()
    }
}

/// Why an image was not stored or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The flash said so.
    Flash(NorError),
    /// What the flash holds cannot be repaired.
    Corrupted,
    /// The image does not fit the flash or the buffer.
    TooBig,
}

impl From<Error<NorError>> for StoreError {
    fn from(error: Error<NorError>) -> Self {
        match error {
            Error::Storage { value } => Self::Flash(value),
            Error::Corrupted {} => Self::Corrupted,
            _ => Self::TooBig,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => error.fmt(f),
            Self::Corrupted => f.write_str("what the flash holds cannot be repaired"),
            Self::TooBig => f.write_str("the image does not fit"),
        }
    }
}

impl core::error::Error for StoreError {}

/// Runs a future to its end; those of this flash never wait.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// There is one item.
const KEY: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nor::{Memory, tests::blank};

    /// As long as an image for eight rows.
    const IMAGE: usize = 204;
    const IMAGES: u8 = 14;
    const CUT: StoreError = StoreError::Flash(NorError::PowerCut);

    /// Stores images until all are or the power fails; says how many were, and why it ended.
    fn save_all(memory: &mut Memory<Vec<u8>>, cut: u32, seed: u32) -> (u8, Option<StoreError>) {
        let mut store = Store::new(Nor::new(memory, cut, seed));
        for number in 0..IMAGES {
            if let Err(error) = store.save(&mut [0; 256], &[number; IMAGE]) {
                return (number, Some(error));
            }
        }
        (IMAGES, None)
    }

    #[test]
    fn finds_nothing_in_a_blank_flash() {
        let mut memory = blank();
        let mut store = Store::new(Nor::new(&mut memory, 0, 1));
        assert_eq!(store.load(&mut [0; 256]), Ok(None));
        assert_eq!(store.is_blank(), Ok(true));
    }

    #[test]
    fn finds_a_whole_image_whichever_operation_the_power_fails_in() {
        for seed in 0..3 {
            let mut cut = 0;
            loop {
                cut += 1;
                let mut memory = blank();
                let (stored, error) = save_all(&mut memory, cut, seed);
                if error.is_none() {
                    break;
                }
                assert_eq!(error, Some(CUT), "cut {cut}, seed {seed}");
                let mut store = Store::new(Nor::new(&mut memory, 0, seed));
                let mut buffer = [0; 256];
                let found = store.load(&mut buffer);
                // The last one, or the one that was being written if all of it was.
                let may_be = |number: u8| Ok(Some(&[number; IMAGE][..])) == found;
                let last = stored.checked_sub(1);
                let good = may_be(stored) || last.map_or(found == Ok(None), may_be);
                assert!(good, "cut {cut}, seed {seed}, {stored} stored: {found:?}");
                store.save(&mut [0; 256], &[99; IMAGE]).unwrap();
                let found = store.load(&mut buffer);
                assert_eq!(found, Ok(Some(&[99; IMAGE][..])), "cut {cut}, seed {seed}");
            }
            // 14 images, and pages that were erased for them.
            assert!(cut > 1_000, "{cut}");
        }
    }

    #[test]
    fn finds_a_whole_image_after_a_second_cut_in_the_repair() {
        for cut in (1..1_100).step_by(7) {
            for second in 1..12 {
                let mut memory = blank();
                let (stored, _) = save_all(&mut memory, cut, 5);
                let mut store = Store::new(Nor::new(&mut memory, second, 6));
                let _ = store.load(&mut [0; 256]);
                let mut store = Store::new(Nor::new(&mut memory, 0, 7));
                let mut buffer = [0; 256];
                let found = store.load(&mut buffer);
                assert!(
                    stored == 0 || matches!(found, Ok(Some(_))),
                    "cuts {cut} and {second}, {stored} stored: {found:?}"
                );
            }
        }
    }
}
