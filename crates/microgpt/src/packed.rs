//! Numbers of few bytes each, in memory or wherever there is room for them.

use crate::error::Error;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that are kept somewhere: in memory, or where whoever uses the library has room for more.
pub trait Store: Debug + Send + Sync {
    /// How many there are.
    fn len(&self) -> u64;

    /// Is there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads as many as `out` takes, from byte `at` on.
    ///
    /// # Errors
    /// They cannot be read (any more).
    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), Error>;
}

impl Store for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), Error> {
        let at = at as usize;
        out.copy_from_slice(&self[at..at + out.len()]);
        Ok(())
    }
}

/// Numbers, each in as many bytes as the largest needs, the lowest first.
#[derive(Debug, Clone)]
pub struct Packed {
    store: Arc<dyn Store>,
    width: usize,
}

/// How many bytes the numbers below `n` need: 1, 2, 4 or 8.
pub fn width_below(n: u64) -> usize {
    match n {
        ..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        0x1_0001..=0x1_0000_0000 => 4,
        _ => 8,
    }
}

/// Appends numbers to bytes, `width` bytes each.
pub fn pack(numbers: impl Iterator<Item = u64>, width: usize, bytes: &mut Vec<u8>) {
    numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()[..width]));
}

impl Packed {
    /// The numbers of these bytes, `width` bytes each.
    ///
    /// # Panics
    /// If the width is none of 1, 2, 4 and 8, or the bytes are no multiple of it.
    pub fn new(store: Arc<dyn Store>, width: usize) -> Packed {
        assert!([1, 2, 4, 8].contains(&width), "numbers of {width} bytes");
        assert!(store.len().is_multiple_of(width as u64), "{} bytes of numbers of {width}", store.len());
        Packed { store, width }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        (self.store.len() / self.width as u64) as usize
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Gives the numbers at these places to `each`.
    ///
    /// # Errors
    /// They cannot be read.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn read(&self, places: Range<usize>, mut each: impl FnMut(u64)) -> Result<(), Error> {
        assert!(places.end <= self.len(), "{places:?} of {} numbers", self.len());
        let mut room = [0; 1024];
        let mut at = places.start;
        while at < places.end {
            let count = (places.end - at).min(room.len() / self.width);
            let bytes = &mut room[..count * self.width];
            self.store.read((at * self.width) as u64, bytes)?;
            for bytes in bytes.chunks_exact(self.width) {
                each(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)));
            }
            at += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_come_back() {
        for width in [1, 2, 4, 8] {
            let largest = u64::MAX >> (64 - 8 * width);
            assert_eq!(width_below(if width == 8 { u64::MAX } else { largest + 1 }), width);
            let numbers: Vec<u64> = (0..3000).map(|i| largest - i % 200).collect();
            let mut bytes = Vec::new();
            pack(numbers.iter().copied(), width, &mut bytes);
            let packed = Packed::new(Arc::new(bytes), width);
            let mut found = Vec::new();
            packed.read(5..2900, |number| found.push(number)).unwrap();
            assert_eq!(found, numbers[5..2900], "{width}");
            assert_eq!((packed.len(), packed.is_empty()), (3000, false));
        }
    }
}
