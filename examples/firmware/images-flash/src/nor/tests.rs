use super::*;
use crate::store::block_on;

const PAGE_BYTES: u32 = 1024;
const BYTES: u32 = <Nor<()>>::BYTES;

/// A host that stops the device at a write to the medium: the ones before are done, it and the later ones are not.
struct Stopping<'m> {
    memory: &'m mut Memory<Vec<u8>>,
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

pub(crate) fn blank() -> Memory<Vec<u8>> {
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
