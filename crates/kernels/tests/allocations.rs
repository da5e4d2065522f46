//! No kernel allocates once its thread is warm (but the `gemm` crate does, once per wide product: some 100 bytes).
#![expect(unsafe_code, reason = "an allocator that counts")]

use microgpt_kernels::attention::{self, Inputs, Place, Rows, Segment, Variant};
use microgpt_kernels::{activation, cross_entropy, level, matmul, norm};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's own contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's own contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the second of two runs allocates.
fn count(mut work: impl FnMut()) -> usize {
    work();
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn warm_kernels_allocate_nothing() {
    for level in level::available() {
        level::set(level);
        for (t, i, o) in
            [(1, 16, 27), (7, 16, 48), (100, 64, 65), (768, 128, 512), (768, 512, 128), (1024, 384, 1152)]
        {
            let (mut y, mut x, mut w) = (vec![0.5; t * o], vec![0.5; t * i], vec![0.5; o * i]);
            let allowed = if cfg!(feature = "gemm") && t * i * o >= 1 << 24 { 1 } else { 0 };
            let n = count(|| matmul::linear(&mut y, &x, &w, t, i, o, false));
            assert!(n <= allowed, "linear {level:?} {t} {i} {o}: {n}");
            let n = count(|| matmul::linear_dx(&mut x, &y, &w, t, i, o, true));
            assert!(n <= allowed, "linear_dx {level:?} {t} {i} {o}: {n}");
            let n = count(|| matmul::linear_dw(&mut w, &y, &x, t, i, o, true));
            assert_eq!(n, 0, "linear_dw {level:?} {t} {i} {o}");
        }
        for (t, heads, head_size) in [(7, 4, 4), (70, 4, 32)] {
            let c = heads * head_size;
            let (qkv, mut out, mut grads) = (vec![0.1; t * 3 * c], vec![0.0; t * c], vec![0.0; t * 3 * c]);
            let segments = [Segment { q_start: 0, q_len: t, kv_start: 0, past: 0 }];
            let [q, k, v] = [0, 1, 2].map(|i| Rows { data: &qkv, offset: i * c, stride: 3 * c });
            let places = [0, 1, 2].map(|i| Place { offset: i * c, stride: 3 * c });
            let x = Inputs { q, k, v, segments: &segments, heads, head_size, variant: Variant::default() };
            let mut saved = vec![0.0; attention::saved_len(&segments, heads, head_size)];
            let n = count(|| {
                attention::forward(&mut out, &mut saved, &x);
                attention::backward(&mut grads, places, &qkv[..t * c], &out, &saved, &x, true);
            });
            assert_eq!(n, 0, "attention {level:?}");
        }
        let (x, mut y, mut k) = (vec![0.5; 7 * 27], vec![0.5; 7 * 27], vec![0.5; 7]);
        let n = count(|| {
            norm::rmsnorm(&mut y, &mut k, &x, 7, 27);
            activation::forward(activation::Activation::Gelu, &mut y, &x);
            cross_entropy::cross_entropy(&mut k, &mut y, &x, &[0; 7], 27, 1.0);
        });
        assert_eq!(n, 0, "rows {level:?}");
    }
}
