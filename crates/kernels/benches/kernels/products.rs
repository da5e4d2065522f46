//! The three products of a linear layer, at the widths of small and middling models.

use crate::race::{numbers, race};
use gemm_common::Parallelism::None as Alone;
use microgpt_kernels::matmul::{self, naive};

/// The contenders' row-major `C (+)= A B`, given by strides (row, column).
fn library(
    (m, n, k): (usize, usize, usize),
    c: &mut [f32],
    add: bool,
    a: &[f32],
    (a_rs, a_cs): (usize, usize),
    b: &[f32],
    (b_rs, b_cs): (usize, usize),
) {
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), (c.as_mut_ptr(), n as isize));
    let (a_rs, a_cs, b_rs, b_cs) = (a_rs as isize, a_cs as isize, b_rs as isize, b_cs as isize);
    // SAFETY: `run` makes the slices as large as these shapes.
    unsafe {
        // By columns, as `gemm::gemm` itself turns it: C^T = B^T A^T.
        gemm_f32::gemm::f32::get_gemm_fn()(
            n, m, k, c.0, c.1, 1, add, b, b_rs, b_cs, a, a_rs, a_cs, 1.0, 1.0, false, false, false, Alone,
        )
    }
}

/// T x I x O, in the order of the models that have them: the smallest, `shakespeare-char`, larger ones.
fn shapes() -> Vec<(usize, usize, usize)> {
    let mut shapes = vec![];
    for (i, o) in
        [(16, 16), (16, 48), (16, 64), (64, 16), (16, 27), (32, 32), (64, 64), (64, 256), (128, 128)]
    {
        shapes.extend([1, 7, 8, 16, 32, 64, 128].map(|t| (t, i, o)));
    }
    for t in [192, 384, 768] {
        shapes.extend([(128, 384), (128, 128), (128, 512), (512, 128), (128, 65)].map(|(i, o)| (t, i, o)));
    }
    for t in [512, 4096] {
        shapes.extend([(384, 1152), (384, 384), (384, 1536), (1536, 384)].map(|(i, o)| (t, i, o)));
    }
    shapes
}

/// All shapes, or those of which a word begins one: `products 192x 4096x384x1536`.
pub(crate) fn run(peak: f64, wanted: &[String]) {
    println!(
        "{:<10} {:>16} {:>9} {:>7} {:>9} {:>9}",
        "product", "T x I x O", "GFLOP/s", "of peak", "vs gemm", "vs naive"
    );
    let wanted = |(t, i, o): &(usize, usize, usize)| {
        let name = format!("{t}x{i}x{o}");
        wanted.is_empty() || wanted.iter().any(|word| name.starts_with(word.as_str()))
    };
    for (t, i, o) in shapes().into_iter().filter(wanted) {
        let (x, w, dy) = (&*numbers(t * i), &*numbers(o * i), &*numbers(t * o));
        let [y, y2, y3] = [(); 3].map(|_| numbers(t * o));
        let [dx, dx2, dx3] = [(); 3].map(|_| numbers(t * i));
        let [dw, dw2, dw3] = [(); 3].map(|_| numbers(o * i));
        let work = 2.0 * (t * i * o) as f64;
        let small = work < 1e8;
        let table = |name: &str, ours: &mut dyn FnMut(), theirs: &mut dyn FnMut(), slow: &mut dyn FnMut()| {
            let laps = if small { race(&mut [ours, theirs, slow]) } else { race(&mut [ours, theirs]) };
            let speed = work / laps[0].best;
            let naive = if small { format!("{:.1}", laps[0].faster_than(&laps[2])) } else { "-".into() };
            println!(
                "{name:<10} {:>16} {speed:>9.1} {:>6.0}% {:>9.2} {naive:>9}",
                format!("{t} x {i} x {o}"),
                100.0 * speed / peak,
                laps[0].faster_than(&laps[1]),
            );
        };
        table(
            "linear",
            &mut || matmul::linear(y, x, w, t, i, o, false),
            &mut || library((t, o, i), y2, false, x, (i, 1), w, (1, i)),
            &mut || naive::linear(y3, x, w, t, i, o, false),
        );
        table(
            "linear_dx",
            &mut || matmul::linear_dx(dx, dy, w, t, i, o, true),
            &mut || library((t, i, o), dx2, true, dy, (o, 1), w, (i, 1)),
            &mut || naive::linear_dx(dx3, dy, w, t, i, o, true),
        );
        table(
            "linear_dw",
            &mut || matmul::linear_dw(dw, dy, x, t, i, o, true),
            &mut || library((o, i, t), dw2, true, dy, (1, o), x, (i, 1)),
            &mut || naive::linear_dw(dw3, dy, x, t, i, o, true),
        );
    }
}
