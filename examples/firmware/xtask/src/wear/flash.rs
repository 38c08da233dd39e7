//! What images do to a flash: pages erased, counted in the simulated NOR under `sequential-storage`.

use anyhow::{Result, ensure};
use images_flash::{
    nor::{Memory, Nor, Wear},
    store::{Store, StoreError},
};

/// A flash: so many pages of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) page: usize,
    pub(super) pages: usize,
}

/// What so many writes did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    writes: u32,
    erases: u32,
    /// Of the page that was erased most often.
    most_erases: u32,
    /// Bytes programmed for an image, where no page is begun.
    pub(super) stored_bytes: u64,
}

impl Rate {
    pub(super) fn writes_for_an_erase(&self) -> f64 {
        f64::from(self.writes) / f64::from(self.erases)
    }

    pub(super) fn writes_for_an_erase_of_the_most_worn(&self) -> f64 {
        f64::from(self.writes) / f64::from(self.most_erases)
    }
}

/// Writes images of so many bytes until every page was erased some times; `None` if they are too large for the flash.
pub(super) fn wear(image: usize, geometry: Geometry) -> Result<Option<Rate>> {
    let wear = match (geometry.page, geometry.pages) {
        (1024, 2) => wear_out::<1024, 2>,
        (1024, 3) => wear_out::<1024, 3>,
        (1024, 8) => wear_out::<1024, 8>,
        (4096, 2) => wear_out::<4096, 2>,
        (4096, 3) => wear_out::<4096, 3>,
        (4096, 8) => wear_out::<4096, 8>,
        _ => unreachable!("no such flash is shown"),
    };
    wear(image)
}

fn wear_out<const PAGE: usize, const PAGES: usize>(image: usize) -> Result<Option<Rate>> {
    let medium = Memory(vec![0xff; Nor::<(), PAGE, PAGES>::MEDIUM_BYTES as usize]);
    let mut store = Store::new(Nor::<_, PAGE, PAGES>::of_any_size(medium, 0, 1));
    let (bytes, mut buffer) = (vec![0x5a; image], vec![0; image + 8]);
    let mut writes = 0;
    let mut stored_bytes = u64::MAX;
    let mut begin = None;
    loop {
        let before = store.wear();
        match store.save(&mut buffer, &bytes) {
            Err(StoreError::TooBig) => return Ok(None),
            saved => saved?,
        }
        writes += 1;
        ensure!(writes < MOST_WRITES, "pages are not erased");
        let after = store.wear();
        stored_bytes = stored_bytes.min(4 * (after.words - before.words));
        let least = after.erases.into_iter().min().unwrap_or(0);
        match begin {
            // What happens before all pages were in use is not the rule.
            None if least == FIRST_ERASES => begin = Some((writes, after)),
            Some((first, began)) if least == LAST_ERASES => {
                return Ok(Some(rate(writes - first, began, after, stored_bytes)));
            }
            _ => {}
        }
    }
}

fn rate<const PAGES: usize>(
    writes: u32,
    began: Wear<PAGES>,
    ended: Wear<PAGES>,
    stored_bytes: u64,
) -> Rate {
    let erases = ended.erases.into_iter().zip(began.erases);
    let erases: Vec<u32> = erases.map(|(ended, began)| ended - began).collect();
    Rate {
        writes,
        erases: erases.iter().sum(),
        most_erases: erases.into_iter().max().unwrap_or(0),
        stored_bytes,
    }
}

/// Erasures of the least worn page when the counting begins and ends.
const FIRST_ERASES: u32 = 1;
const LAST_ERASES: u32 = 9;
/// Far more than that takes.
const MOST_WRITES: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wears_all_pages_alike() {
        for pages in [2, 3, 8] {
            let rate = wear(108, Geometry { page: 1024, pages }).unwrap().unwrap();
            let even = rate.erases / pages as u32;
            assert!(rate.most_erases <= even + 1, "{pages}: {rate:?}");
        }
    }

    #[test]
    fn a_page_is_erased_for_as_many_images_as_fit_it() {
        // 108 bytes, a key, a head of 8, in whole words: 8 of them in a page with its two marks.
        let rate = wear(
            108,
            Geometry {
                page: 1024,
                pages: 8,
            },
        )
        .unwrap()
        .unwrap();
        assert_eq!(rate.stored_bytes, 120);
        assert!(
            (7.5..=8.0).contains(&rate.writes_for_an_erase()),
            "{rate:?}"
        );
    }

    #[test]
    fn says_what_is_too_large() {
        assert_eq!(
            wear(
                2_000,
                Geometry {
                    page: 1024,
                    pages: 3
                }
            )
            .unwrap(),
            None
        );
        assert!(
            wear(
                2_000,
                Geometry {
                    page: 4096,
                    pages: 3
                }
            )
            .unwrap()
            .is_some()
        );
    }
}
