//! Matrix products, f32, row major: a linear layer and its two gradients, and the general form.
//!
//! All of them come down to the register tile of `tile.rs`, which wants B by rows:
//!
//! | product | A | B |
//! | --- | --- | --- |
//! | `y = x w^T` | x by rows | w^T: panels are transposed, 16 x 16 numbers at a time, once for all rows |
//! | `dx = dy w` | dy by rows | w as it is |
//! | `dw = dy^T x` | dy by columns, as it is | x as it is |
//!
//! A small B, a few registers wide, goes by `small.rs`, one row (decoding) by `dot.rs`, wide products by the `gemm` crate
//! where it is faster (`wide.rs`; feature `gemm`, on by default; it costs one allocation of some 100 bytes a call).

mod blocked;
mod dot;
mod small;
mod soon;
mod tile;
#[cfg(feature = "gemm")]
mod wide;

use blocked::product_onto;
pub(crate) use blocked::{Line, View, product, transpose};
pub(crate) use dot::row;

/// The definitions, in plain loops.
pub mod naive {
    /// See [`linear`](super::linear).
    pub fn linear(y: &mut [f32], x: &[f32], w: &[f32], t: usize, i: usize, o: usize, accumulate: bool) {
        for r in 0..t {
            for c in 0..o {
                let sum: f32 = (0..i).map(|p| x[r * i + p] * w[c * i + p]).sum();
                y[r * o + c] = sum + if accumulate { y[r * o + c] } else { 0.0 };
            }
        }
    }

    /// See [`linear_dx`](super::linear_dx).
    pub fn linear_dx(dx: &mut [f32], dy: &[f32], w: &[f32], t: usize, i: usize, o: usize, accumulate: bool) {
        for r in 0..t {
            for c in 0..i {
                let sum: f32 = (0..o).map(|p| dy[r * o + p] * w[p * i + c]).sum();
                dx[r * i + c] = sum + if accumulate { dx[r * i + c] } else { 0.0 };
            }
        }
    }

    /// See [`linear_dw`](super::linear_dw).
    pub fn linear_dw(dw: &mut [f32], dy: &[f32], x: &[f32], t: usize, i: usize, o: usize, accumulate: bool) {
        for r in 0..o {
            for c in 0..i {
                let sum = (0..t).map(|p| dy[p * o + r] * x[p * i + c]).sum::<f32>();
                dw[r * i + c] = sum + if accumulate { dw[r * i + c] } else { 0.0 };
            }
        }
    }
}

/// `y[t, o] (+)= sum_i x[t, i] w[o, i]`: a linear layer without bias.
///
/// Shapes: y `[T, O]`, x `[T, I]`, w `[O, I]`. Adds to y where `accumulate`, else replaces it.
///
/// # Panics
/// If a slice is not of its shape.
///
/// ```
/// let mut y = [0.0; 2];
/// microgpt_kernels::matmul::linear(&mut y, &[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0], 1, 2, 2, false);
/// assert_eq!(y, [11.0, 17.0]);
/// ```
pub fn linear(y: &mut [f32], x: &[f32], w: &[f32], t: usize, i: usize, o: usize, accumulate: bool) {
    check("linear: y", y, (t, o));
    check("linear: x", x, (t, i));
    check("linear: w", w, (o, i));
    if i > 0 && o > 0 && t <= 2 {
        for (y, x) in y.chunks_exact_mut(o).zip(x.chunks_exact(i)) {
            row(y, x, w, i, accumulate);
        }
        return;
    }
    let (a, b) = (View { at: x.as_ptr(), rs: i, cs: 1 }, View { at: w.as_ptr(), rs: 1, cs: i });
    #[expect(unsafe_code, reason = "checked shapes")]
    // SAFETY: the lengths of all three were checked above, and a mutable slice overlaps no other.
    unsafe {
        product(t, o, i, a, b, y.as_mut_ptr(), o, accumulate)
    }
}

/// `y[t, o] = onto[t, o] + sum_i x[t, i] w[o, i]`: a [`linear`] layer beside a way past it.
///
/// Shapes: as [`linear`]; onto `[T, O]`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn linear_onto(y: &mut [f32], onto: &[f32], x: &[f32], w: &[f32], t: usize, i: usize, o: usize) {
    check("linear_onto: onto", onto, (t, o));
    check("linear_onto: y", y, (t, o));
    if t <= 2 {
        y.copy_from_slice(onto);
        return linear(y, x, w, t, i, o, true);
    }
    check("linear_onto: x", x, (t, i));
    check("linear_onto: w", w, (o, i));
    let (a, b) = (View { at: x.as_ptr(), rs: i, cs: 1 }, View { at: w.as_ptr(), rs: 1, cs: i });
    #[expect(unsafe_code, reason = "checked shapes")]
    // SAFETY: the lengths of all four were checked above, and a mutable slice overlaps no other.
    unsafe {
        product_onto(t, o, i, a, b, y.as_mut_ptr(), o, onto.as_ptr())
    }
}

/// `dx[t, i] (+)= sum_o dy[t, o] w[o, i]`: the gradient of [`linear`] for its input.
///
/// Shapes: dx `[T, I]`, dy `[T, O]`, w `[O, I]`. Adds to dx where `accumulate`, else replaces it.
///
/// # Panics
/// If a slice is not of its shape.
pub fn linear_dx(dx: &mut [f32], dy: &[f32], w: &[f32], t: usize, i: usize, o: usize, accumulate: bool) {
    check("linear_dx: dx", dx, (t, i));
    check("linear_dx: dy", dy, (t, o));
    check("linear_dx: w", w, (o, i));
    let (a, b) = (View { at: dy.as_ptr(), rs: o, cs: 1 }, View { at: w.as_ptr(), rs: i, cs: 1 });
    #[expect(unsafe_code, reason = "checked shapes")]
    // SAFETY: the lengths of all three were checked above, and a mutable slice overlaps no other.
    unsafe {
        product(t, i, o, a, b, dx.as_mut_ptr(), i, accumulate)
    }
}

/// `dw[o, i] (+)= sum_t dy[t, o] x[t, i]`: the gradient of [`linear`] for its weights, summed in registers over all rows.
///
/// Shapes: dw `[O, I]`, dy `[T, O]`, x `[T, I]`. Adds to dw where `accumulate`, else replaces it.
///
/// # Panics
/// If a slice is not of its shape.
pub fn linear_dw(dw: &mut [f32], dy: &[f32], x: &[f32], t: usize, i: usize, o: usize, accumulate: bool) {
    check("linear_dw: dw", dw, (o, i));
    check("linear_dw: dy", dy, (t, o));
    check("linear_dw: x", x, (t, i));
    let (a, b) = (View { at: dy.as_ptr(), rs: 1, cs: o }, View { at: x.as_ptr(), rs: i, cs: 1 });
    #[expect(unsafe_code, reason = "checked shapes")]
    // SAFETY: the lengths of all three were checked above, and a mutable slice overlaps no other.
    unsafe {
        product(o, i, t, a, b, dw.as_mut_ptr(), i, accumulate)
    }
}

/// `C = alpha A B + beta C` for matrices anywhere in slices: element (r, c) of A is `a[r * a_rs + c * a_cs]`, likewise B;
/// C has its columns next to each other and rows `c_rs` apart. C is not read where `beta` is 0.
///
/// Shapes: A `[m, k]`, B `[k, n]`, C `[m, n]`.
///
/// # Panics
/// If a matrix reaches behind the end of its slice, or rows of C overlap.
pub fn matmul_strided(
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    (a_rs, a_cs): (usize, usize),
    b: &[f32],
    (b_rs, b_cs): (usize, usize),
    c: &mut [f32],
    c_rs: usize,
    alpha: f32,
    beta: f32,
) {
    if m == 0 || n == 0 {
        return;
    }
    let end = |rows: usize, columns: usize, rs: usize, cs: usize| match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * rs + (columns - 1) * cs + 1,
    };
    let (found, wanted) =
        ([a.len(), b.len(), c.len()], [end(m, k, a_rs, a_cs), end(k, n, b_rs, b_cs), end(m, n, c_rs, 1)]);
    assert!(
        found.iter().zip(&wanted).all(|(found, wanted)| found >= wanted),
        "matmul_strided: [{m}, {k}] [{k}, {n}] reaches to {wanted:?} of A, B, C, which have {found:?} numbers"
    );
    assert!(m == 1 || c_rs >= n, "matmul_strided: rows of C are {n} numbers, {c_rs} apart");
    // The product itself is added plainly: C is brought to the scale of A B before, and back after.
    let scale = |c: &mut [f32], factor: f32| {
        if factor != 1.0 {
            (0..m).for_each(|r| crate::slices::scale(&mut c[r * c_rs..][..n], factor));
        }
    };
    if alpha == 0.0 && beta != 0.0 {
        return scale(c, beta);
    }
    if beta != 0.0 {
        scale(c, beta / alpha);
    }
    let (a, b) = (View { at: a.as_ptr(), rs: a_rs, cs: a_cs }, View { at: b.as_ptr(), rs: b_rs, cs: b_cs });
    #[expect(unsafe_code, reason = "checked shapes")]
    // SAFETY: the extents of all three were checked above, and a mutable slice overlaps no other.
    unsafe {
        product(m, n, k, a, b, c.as_mut_ptr(), c_rs, beta != 0.0)
    }
    scale(c, alpha);
}

#[track_caller]
fn check(what: &str, slice: &[f32], (rows, columns): (usize, usize)) {
    assert!(slice.len() == rows * columns, "{what} is [{rows}, {columns}], but has {} numbers", slice.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn products_are_their_definitions() {
        at_each(|level| {
            let small = [1, 2, 3, 7, 8, 9, 15, 16, 17];
            let mut shapes = vec![];
            for t in small {
                for i in [1, 5, 8, 16, 17, 32, 64] {
                    shapes.extend([1, 7, 16, 27, 33, 48, 64].map(|o| (t, i, o)));
                }
            }
            shapes.extend([
                (40, 16, 16),
                (128, 16, 64),
                (100, 64, 16),
                (33, 128, 50),
                (25, 130, 70),
                (64, 128, 128),
                (50, 200, 150),
            ]);
            // The last is wide enough for `wide.rs`.
            shapes.extend([
                (1100, 20, 30),
                (600, 240, 256),
                (30, 400, 600),
                (600, 30, 600),
                (0, 3, 4),
                (3, 0, 4),
                (3, 4, 0),
            ]);
            for (t, i, o) in shapes {
                let (x, w, dy) = (numbers(t * i, 1), numbers(o * i, 2), numbers(t * o, 3));
                let name = format!("{level:?} T={t} I={i} O={o}");
                for accumulate in [false, true] {
                    let (mut y, mut y2) = (numbers(t * o, 4), numbers(t * o, 4));
                    linear(&mut y, &x, &w, t, i, o, accumulate);
                    naive::linear(&mut y2, &x, &w, t, i, o, accumulate);
                    assert_close(&y, &y2, 1e-5, &format!("linear {name}"));
                    let (mut dx, mut dx2) = (numbers(t * i, 4), numbers(t * i, 4));
                    linear_dx(&mut dx, &dy, &w, t, i, o, accumulate);
                    naive::linear_dx(&mut dx2, &dy, &w, t, i, o, accumulate);
                    assert_close(&dx, &dx2, 1e-5, &format!("linear_dx {name}"));
                    let (mut dw, mut dw2) = (numbers(o * i, 4), numbers(o * i, 4));
                    linear_dw(&mut dw, &dy, &x, t, i, o, accumulate);
                    naive::linear_dw(&mut dw2, &dy, &x, t, i, o, accumulate);
                    assert_close(&dw, &dw2, 1e-5, &format!("linear_dw {name}"));
                }
                let (mut y, onto) = (numbers(t * o, 5), numbers(t * o, 4));
                let mut y2 = onto.clone();
                linear_onto(&mut y, &onto, &x, &w, t, i, o);
                naive::linear(&mut y2, &x, &w, t, i, o, true);
                assert_close(&y, &y2, 1e-5, &format!("linear_onto {name}"));
            }
        });
    }

    #[test]
    fn strided_is_its_definition() {
        at_each(|level| {
            for (m, n, k) in [(1, 1, 1), (5, 7, 3), (17, 33, 20), (40, 50, 60), (300, 100, 250), (4, 4, 0)] {
                for (a_rs, a_cs) in [(k + 3, 1), (1, m + 1), (2 * k + 1, 2)] {
                    for (b_rs, b_cs) in [(n + 2, 1), (1, k + 5), (3 * n, 3)] {
                        let (a, b) = (numbers(m * a_rs + k * a_cs, 1), numbers(k * b_rs + n * b_cs, 2));
                        for (alpha, beta) in [(1.0, 0.0), (1.0, 1.0), (0.5, 0.0), (0.5, 2.0), (0.0, 0.5)] {
                            let c_rs = n + 4;
                            let mut c = numbers(m * c_rs, 3);
                            let mut wanted = c.clone();
                            for r in 0..m {
                                for j in 0..n {
                                    let sum: f32 =
                                        (0..k).map(|p| a[r * a_rs + p * a_cs] * b[p * b_rs + j * b_cs]).sum();
                                    wanted[r * c_rs + j] = alpha * sum + beta * wanted[r * c_rs + j];
                                }
                            }
                            matmul_strided(
                                (m, n, k),
                                &a,
                                (a_rs, a_cs),
                                &b,
                                (b_rs, b_cs),
                                &mut c,
                                c_rs,
                                alpha,
                                beta,
                            );
                            assert_close(&c, &wanted, 1e-5, &format!("{level:?} {m} {n} {k} {alpha} {beta}"));
                        }
                    }
                }
            }
        });
    }

    #[test]
    #[should_panic(expected = "x is [2, 3], but has 5 numbers")]
    fn a_wrong_shape_is_told() {
        linear(&mut [0.0; 8], &[0.0; 5], &[0.0; 12], 2, 3, 4, false);
    }
}
