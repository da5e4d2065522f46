//! Numbers that begin at a cache line: a register that straddles two lines costs two loads.

use crate::matmul::Line;
use std::ops::{Deref, DerefMut};

/// A slice of f32 on the heap that begins at a multiple of 64 bytes, and grows.
///
/// ```
/// let buffer = microgpt_kernels::buffer::Buffer::from(&[1.0, 2.0][..]);
/// assert_eq!(*buffer, [1.0, 2.0]);
/// assert_eq!(buffer.as_ptr() as usize % 64, 0);
/// ```
#[derive(Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.grow(len);
        buffer
    }

    /// At least `len` numbers from now on: those that are there, then zeros. A longer buffer is left alone.
    pub fn grow(&mut self, len: usize) {
        if self.len < len {
            self.lines.resize(len.div_ceil(16), Line([0.0; 16]));
            self.len = len;
        }
    }

    /// As [`Buffer::grow`], and takes much room at a time: what is not written to costs no memory, but what a memory
    /// that is outgrown leaves behind does.
    pub fn grow_amply(&mut self, len: usize) {
        let lines = len.div_ceil(16);
        if self.lines.capacity() < lines {
            self.lines.reserve_exact((4 * lines).max(1 << 18) - self.lines.len());
        }
        self.grow(len);
    }
}

impl From<&[f32]> for Buffer {
    fn from(numbers: &[f32]) -> Buffer {
        let mut buffer = Buffer::zeros(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];
    #[inline]
    fn deref(&self) -> &[f32] {
        #[expect(unsafe_code, reason = "lines seen as numbers")]
        // SAFETY: `lines` holds at least `len` numbers, all of them initialised.
        unsafe {
            std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len)
        }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        #[expect(unsafe_code, reason = "lines seen as numbers")]
        // SAFETY: as `deref`, and the buffer is borrowed alone.
        unsafe {
            std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len)
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} numbers)", self.len)
    }
}
