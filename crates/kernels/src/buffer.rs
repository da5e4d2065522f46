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
        self.grow_within(len, len.div_ceil(16));
    }

    /// As [`Buffer::grow`], and takes much room at a time: what is not written to costs no memory, but what a memory
    /// that is outgrown leaves behind does.
    pub fn grow_amply(&mut self, len: usize) {
        self.grow_within(len, (4 * len.div_ceil(16)).max(1 << 18));
    }

    /// In room for `capacity` lines, if there is not enough.
    fn grow_within(&mut self, len: usize, capacity: usize) {
        if len <= self.len {
            return;
        }
        let (old, lines) = (self.lines.len(), len.div_ceil(16));
        if self.lines.capacity() < lines {
            let small = std::mem::replace(&mut self.lines, Vec::with_capacity(capacity));
            if lines >= LARGE {
                in_large_pages(&mut self.lines);
            }
            self.lines.extend_from_slice(&small);
        } else if old < LARGE && lines >= LARGE {
            in_large_pages(&mut self.lines);
        }
        self.lines.resize(lines, Line([0.0; 16]));
        self.len = len;
    }
}

/// From so many lines on, 2 MiB, large pages are asked for.
const LARGE: usize = 1 << 15;

/// Asks the system to keep what is not yet written to in pages of 2 MiB: to find a place among small ones takes long where
/// memory is read row by row, and twice as long on a guest of another system.
#[cfg(all(target_os = "linux", not(miri)))]
fn in_large_pages(lines: &mut Vec<Line>) {
    use std::ffi::{c_int, c_void};
    #[expect(unsafe_code, reason = "a call of the C library, which `std` itself is linked to")]
    // SAFETY: the declaration is that of Linux, <sys/mman.h>.
    unsafe extern "C" {
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    const PAGE: usize = 4096;
    const MADV_HUGEPAGE: c_int = 14;
    let start = lines.as_mut_ptr().addr();
    let (first, end) =
        (start.next_multiple_of(PAGE), (start + lines.capacity() * size_of::<Line>()) & !(PAGE - 1));
    if first < end {
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: whole pages of this vector's own room. The advice changes no number; if it is not taken, nothing is lost.
        unsafe {
            madvise(std::ptr::without_provenance_mut(first), end - first, MADV_HUGEPAGE);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn in_large_pages(_lines: &mut Vec<Line>) {}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_while_a_buffer_grows() {
        let lens = [1, 16, 17, 1000, 16 * LARGE - 1, 16 * LARGE, 16 * LARGE + 1, 40 * LARGE, 100 * LARGE];
        for amply in [false, true] {
            let mut buffer = Buffer::default();
            for (i, &len) in lens.iter().enumerate() {
                if amply {
                    buffer.grow_amply(len)
                } else {
                    buffer.grow(len)
                }
                assert_eq!(buffer.len(), len);
                assert_eq!(buffer[len - 1], 0.0, "{len}");
                buffer[len - 1] = i as f32 + 1.0;
                buffer.grow(len / 2);
                assert_eq!(buffer.len(), len);
            }
            assert_eq!(buffer.iter().filter(|&&x| x != 0.0).count(), lens.len());
            assert!(lens.iter().enumerate().all(|(i, &len)| buffer[len - 1] == i as f32 + 1.0));
        }
    }
}
