//! Fixed-width numbers out of and into byte slices, without an index that could be wrong.

use core::mem;

/// Takes numbers off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_le_bytes)
    }

    /// The next `length` bytes.
    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(first)
    }
}

/// Puts numbers at the front of a slice. What does not fit is dropped: callers measure first.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) rest: &'a mut [u8],
}

impl Writer<'_> {
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let rest = mem::take(&mut self.rest);
        if let Some((first, rest)) = rest.split_first_chunk_mut() {
            *first = bytes;
            self.rest = rest;
        }
    }
}
