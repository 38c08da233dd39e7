//! Received bytes on their way from an interrupt to the main loop.

use heapless::Deque;

/// A byte was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// A ring of `N` places, at least 2, for the bytes of a port. When it is full, [`Lost`] stands in the place of the
/// bytes that did not fit.
pub struct Ring<const N: usize> {
    places: Deque<Result<u8, Lost>, N>,
}

impl<const N: usize> Ring<N> {
    /// An empty ring.
    pub const fn new() -> Self {
        Self {
            places: Deque::new(),
        }
    }

    /// Puts what a port received behind the rest.
    pub fn push(&mut self, received: Result<u8, Lost>) {
        let last_place = self.places.len() + 1 >= N;
        let item = if last_place { Err(Lost) } else { received };
        // One mark is enough for any number of lost bytes in a row.
        if item.is_ok() || !self.overflows() {
            // OK because the last place takes a mark, after which nothing is put behind a mark but a byte, for
            // which there must be two places.
            let _ = self.places.push_back(item);
        }
    }

    /// Whether the newest of it is a mark.
    pub fn overflows(&self) -> bool {
        self.places.back() == Some(&Err(Lost))
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Result<u8, Lost>> {
        self.places.pop_front()
    }
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(ring: &mut Ring<4>) -> Vec<Result<u8, Lost>> {
        std::iter::from_fn(|| ring.pop()).collect()
    }

    #[test]
    fn hands_bytes_on_in_order() {
        let mut ring = Ring::new();
        for byte in 1..=3 {
            ring.push(Ok(byte));
        }
        assert_eq!(drain(&mut ring), [Ok(1), Ok(2), Ok(3)]);
    }

    #[test]
    fn marks_the_place_of_any_number_of_lost_bytes_once() {
        let mut ring = Ring::new();
        for byte in 1..=9 {
            ring.push(Ok(byte));
        }
        assert!(ring.overflows());
        assert_eq!(ring.pop(), Some(Ok(1)));
        // The mark is still the last, and there is one place again: not enough for a byte.
        ring.push(Ok(10));
        assert_eq!(ring.pop(), Some(Ok(2)));
        ring.push(Ok(11));
        assert_eq!(drain(&mut ring), [Ok(3), Err(Lost), Ok(11)]);
    }

    #[test]
    fn passes_the_port_s_own_losses_on() {
        let mut ring = Ring::new();
        ring.push(Ok(1));
        ring.push(Err(Lost));
        ring.push(Err(Lost));
        ring.push(Ok(2));
        assert_eq!(drain(&mut ring), [Ok(1), Err(Lost), Ok(2)]);
    }
}
