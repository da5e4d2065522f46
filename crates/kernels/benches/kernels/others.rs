//! Everything but products: time per call, and how much faster than the definition.

use crate::race::{numbers, race};
use microgpt_kernels::attention::{self, Inputs, Place, Rows, Segment, Variant};
use microgpt_kernels::{activation, adam, cross_entropy, exact, math, norm, slices};

/// One line; `work` is in multiply-adds times 2, or 0 where that means nothing.
fn line(name: &str, shape: &str, work: f64, peak: f64, fast: &mut dyn FnMut(), slow: &mut dyn FnMut()) {
    let laps = race(&mut [fast, slow]);
    let speed = work / laps[0].best;
    let share = if work > 0.0 { format!("{speed:.1} {:>6.0}%", 100.0 * speed / peak) } else { "- -".into() };
    let (ns, gain) = (laps[0].best, laps[0].faster_than(&laps[1]));
    println!("{name:<24} {shape:>24} {ns:>12.0} {gain:>9.1}   {share}");
}

pub(crate) fn run(peak: f64) {
    println!("{:<24} {:>24} {:>12} {:>9}   GFLOP/s, of peak", "kernel", "shape", "ns", "vs naive");
    rows(peak);
    flat(peak);
    for (lengths, heads, size) in [
        (vec![7], 4, 4),
        (vec![7; 16], 4, 4),
        (vec![16; 16], 4, 4),
        (vec![64], 4, 8),
        (vec![64; 12], 4, 32),
        (vec![256; 4], 6, 64),
    ] {
        attend(&lengths, heads, size, peak);
    }
}

fn rows(peak: f64) {
    for (t, c) in [(7, 16), (112, 16), (768, 128), (4096, 384)] {
        let (x, dy) = (&*numbers(t * c), &*numbers(t * c));
        let ([y, y2], [k, k2]) = ([(); 2].map(|_| numbers(t * c)), [(); 2].map(|_| numbers(t)));
        let shape = format!("[{t}, {c}]");
        let (a, b) = (&mut *k, &mut *k2);
        let (fast, slow) =
            (&mut || norm::rmsnorm(y, a, x, t, c), &mut || norm::naive::rmsnorm(y2, b, x, t, c));
        line("rmsnorm", &shape, 0.0, peak, fast, slow);
        line(
            "rmsnorm_backward",
            &shape,
            0.0,
            peak,
            &mut || norm::rmsnorm_backward(y, dy, x, k, t, c, true),
            &mut || norm::naive::rmsnorm_backward(y2, dy, x, k2, t, c),
        );
    }
    for (t, v) in [(7, 27), (112, 27), (768, 65), (1000, 1000)] {
        let (x, targets) = (&*numbers(t * v), (0..t as u32).map(|r| r % v as u32).collect::<Vec<_>>());
        let ([y, y2], [l, l2]) = ([(); 2].map(|_| numbers(t * v)), [(); 2].map(|_| numbers(t)));
        line(
            "cross_entropy",
            &format!("[{t}, {v}]"),
            0.0,
            peak,
            &mut || _ = cross_entropy::cross_entropy(l, y, x, &targets, v, 0.1),
            &mut || _ = cross_entropy::naive::cross_entropy(l2, y2, x, &targets, v, 0.1),
        );
    }
}

fn flat(peak: f64) {
    for n in [2048, 4192, 804_096] {
        let [p, m, v, p2, m2, v2] = [(); 6].map(|_| numbers(n));
        v.iter_mut().chain(v2.iter_mut()).for_each(|v| *v = v.abs());
        let g = &*numbers(n);
        let now = adam::Adam {
            lr: 1e-4,
            b1: 0.85,
            b2: 0.99,
            c1: 0.9,
            c2: 0.8,
            eps: 1e-8,
            decay: 0.0,
            grad_scale: 1.0,
        };
        let shape = format!("[{n}]");
        line("adam", &shape, 0.0, peak, &mut || adam::adam(p, m, v, g, now), &mut || {
            adam::naive(p2, m2, v2, g, now)
        });
        let [y, y2] = [(); 2].map(|_| numbers(n));
        line("axpy", &shape, 0.0, peak, &mut || slices::axpy(y, 1e-3, g), &mut || {
            slices::naive::axpy(y2, 1e-3, g)
        });
        let (mut a, mut b) = (0.0, 0.0);
        line("dot", &shape, 0.0, peak, &mut || a += slices::dot(y, g), &mut || {
            b += slices::naive::dot(y2, g)
        });
        std::hint::black_box((a, b));
        for act in
            [activation::Activation::Relu, activation::Activation::SquaredRelu, activation::Activation::Gelu]
        {
            let name = format!("{act:?}");
            let (fast, slow) =
                (&mut || activation::forward(act, y, g), &mut || activation::naive::forward(act, y2, g));
            line(&name, &shape, 0.0, peak, fast, slow);
            let (fast, slow) = (&mut || activation::backward(act, y, p, g, true), &mut || {
                activation::naive::backward(act, y2, p, g)
            });
            line(&format!("{name} backward"), &shape, 0.0, peak, fast, slow);
        }
    }
    let n = 4192;
    let [y, y2] = [(); 2].map(|_| numbers(n));
    let x = &*numbers(n);
    line("exp", "[4192]", 0.0, peak, &mut || (y.copy_from_slice(x), math::exp_in_place(y)).1, &mut || {
        y2.iter_mut().zip(x).for_each(|(y, x)| *y = x.exp())
    });
    line("tanh", "[4192]", 0.0, peak, &mut || (y.copy_from_slice(x), math::tanh_in_place(y)).1, &mut || {
        y2.iter_mut().zip(x).for_each(|(y, x)| *y = x.tanh())
    });
    let g: Vec<f64> = x.iter().map(|&x| x as f64 * 1e-3).collect();
    let [mut p, mut m, mut p2, mut m2] = [(); 4].map(|_| g.clone());
    let [mut v, mut v2] = [(); 2].map(|_| g.iter().map(|g| g * g).collect::<Vec<f64>>());
    let now = exact::Adam { lr: 1e-4, b1: 0.85, b2: 0.99, c1: 0.9, c2: 0.8, eps: 1e-8 };
    line(
        "exact adam (f64)",
        "[4192]",
        0.0,
        peak,
        &mut || exact::adam_f64(&mut p, &mut m, &mut v, &g, now),
        &mut || exact::naive_adam_f64(&mut p2, &mut m2, &mut v2, &g, now),
    );
    let (mut a, mut b) = (0.0, 0.0);
    line(
        "exact square (f64)",
        "[4192]",
        0.0,
        peak,
        &mut || a += g.iter().map(|&x| exact::square(x)).sum::<f64>(),
        &mut || b += g.iter().map(|&x| exact::naive_square(x)).sum::<f64>(),
    );
    std::hint::black_box((a, b));
}

fn attend(lengths: &[usize], heads: usize, head_size: usize, peak: f64) {
    let (t, c) = (lengths.iter().sum::<usize>(), heads * head_size);
    let mut start = 0;
    let segments: Vec<Segment> = lengths
        .iter()
        .map(|&q_len| {
            start += q_len;
            Segment { q_start: start - q_len, q_len, kv_start: start - q_len, past: 0 }
        })
        .collect();
    let qkv = &*numbers(t * 3 * c);
    let [q, k, v] = [0, 1, 2].map(|i| Rows { data: qkv, offset: i * c, stride: 3 * c });
    let x = Inputs { q, k, v, segments: &segments, heads, head_size, variant: Variant::default() };
    let places = [0, 1, 2].map(|i| Place { offset: i * c, stride: 3 * c });
    let saved = numbers(attention::saved_len(&segments, heads, head_size));
    let [out, out2, dout] = [(); 3].map(|_| numbers(t * c));
    let [grads, grads2] = [(); 2].map(|_| numbers(t * 3 * c));
    let pairs: usize = lengths.iter().map(|n| n * (n + 1) / 2).sum();
    let work = 2.0 * (pairs * c) as f64;
    let shape = format!("{} x {} tokens, {heads} x {head_size}", lengths.len(), lengths[0]);
    line("attention", &shape, 2.0 * work, peak, &mut || attention::forward(out, saved, &x), &mut || {
        attention::naive::forward(out2, &x)
    });
    line(
        "attention backward",
        &shape,
        5.0 * work,
        peak,
        &mut || attention::backward(grads, places, dout, out, saved, &x, true),
        &mut || attention::naive::backward(grads2, places, dout, &x),
    );
}
