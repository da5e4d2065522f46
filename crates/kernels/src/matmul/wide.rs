//! Wide products by the `gemm` crate, where it is the faster one.
//!
//! It allocates megabytes on every call that needs a copy of its operands, which a training step must not. It needs none
//! when B has rows of whole registers and A is by rows: so weights that must be transposed are transposed here, into the
//! thread's own room, and everything else (A by columns, odd widths) stays with our blocks. What remains is one
//! allocation of some 100 bytes inside the crate per call; build without the feature `gemm` to be rid of that too.
#![expect(unsafe_code, reason = "the crate takes pointers")]

use super::blocked::{Room, View};
use crate::level::{self, Level};

/// Least multiply-adds worth handing over.
const WORK: usize = 1 << 25;
/// The crate copies A when B is wider.
const WIDEST: usize = 128 * 48;

/// Whether the crate would be faster, copy nothing, and use the instructions that `level` allows.
pub(super) fn takes(m: usize, n: usize, k: usize, a: View, b: View) -> bool {
    let shape = m.min(n).min(k) >= 64 && m * n * k >= WORK && n.is_multiple_of(16) && n <= WIDEST;
    // The crate finds its instructions itself: it must not climb above a level that was lowered.
    let widest = match level::current() {
        Level::Avx512 => true,
        Level::Avx2 => !Level::Avx512.is_available(),
        _ => false,
    };
    shape && widest && a.cs == 1 && (b.cs == 1 || b.rs == 1)
}

/// `C (+)= A B`, as `product`.
///
/// # Safety
/// As `product`; and `takes` said yes.
pub(super) unsafe fn product(
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: *mut f32,
    c_rs: usize,
    accumulate: bool,
    room: &mut Room,
) {
    let b = if b.cs == 1 { b } else { room.transposed(b, k, n) };
    let (a_rs, b_rs, c_rs) = (a.rs as isize, b.rs as isize, c_rs as isize);
    // SAFETY: the caller vouches for the three matrices, `Room` for its copy of B.
    unsafe {
        // It wants its result by columns, so it is asked for C^T = B^T A^T.
        let (add, conjugate) = (accumulate, false);
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            c,
            c_rs,
            1,
            add,
            b.at,
            b_rs,
            1,
            a.at,
            a_rs,
            1,
            1.0,
            1.0,
            conjugate,
            conjugate,
            conjugate,
            gemm_common::Parallelism::None,
        )
    }
}
