use super::*;
use crate::level::at_each;
use crate::test::{assert_close, numbers};

/// Packed q, k, v of documents one after the other, as in training.
fn documents(lengths: &[usize]) -> Vec<Segment> {
    let mut start = 0;
    let segment = |&q_len: &usize| {
        start += q_len;
        Segment { q_start: start - q_len, q_len, kv_start: start - q_len, past: 0 }
    };
    lengths.iter().map(segment).collect()
}

fn packed(qkv: &[f32], c: usize) -> [Rows<'_>; 3] {
    [0, 1, 2].map(|i| Rows { data: qkv, offset: i * c, stride: 3 * c })
}

fn compare(lengths: &[usize], heads: usize, head_size: usize) {
    compare_variant(lengths, heads, head_size, Variant::default());
}

fn compare_variant(lengths: &[usize], heads: usize, head_size: usize, variant: Variant<'_>) {
    let (c, shared) = (heads * head_size, heads * head_size / variant.group);
    let t: usize = lengths.iter().sum();
    let stride = c + 2 * shared;
    let (qkv, dout) = (numbers(t * stride, 1), numbers(t * c, 2));
    let qkv: Vec<f32> = qkv.iter().map(|x| 2.0 * x).collect();
    let segments = documents(lengths);
    let places = [0, c, c + shared].map(|offset| Place { offset, stride });
    let [q, k, v] = places.map(|Place { offset, stride }| Rows { data: &qkv, offset, stride });
    let x = Inputs { q, k, v, segments: &segments, heads, head_size, variant };
    let (mut out2, mut grads2) = (vec![0.0; t * c], numbers(t * stride, 3));
    naive::forward(&mut out2, &x);
    naive::backward(&mut grads2, places, &dout, &x);
    let mut grads3 = vec![0.0; t * stride];
    naive::backward(&mut grads3, places, &dout, &x);
    at_each(|level| {
        let what = format!("{level:?}, documents {lengths:?}, {heads} heads of {head_size}, {variant:?}");
        let (mut out, mut saved) = (vec![0.0; t * c], vec![f32::NAN; saved_len(&segments, heads, head_size)]);
        forward(&mut out, &mut saved, &x);
        assert_close(&out, &out2, 1e-5, &what);
        let mut grads = numbers(t * stride, 3);
        backward(&mut grads, places, &dout, &out, &saved, &x, true);
        assert_close(&grads, &grads2, 1e-5, &format!("backward, {what}"));
        let mut grads = vec![f32::NAN; t * stride];
        backward(&mut grads, places, &dout, &out, &saved, &x, false);
        assert_close(&grads, &grads3, 1e-5, &format!("backward, {what}"));
    });
}

#[test]
fn attention_is_its_definition() {
    for (heads, size) in
        [(4, 4), (16, 1), (2, 8), (1, 16), (4, 8), (2, 16), (3, 5), (1, 7), (4, 32), (2, 64), (8, 2)]
    {
        compare(&[7], heads, size);
        compare(&[1, 3, 16, 2, 17, 8, 1, 33], heads, size);
    }
    compare(&[64, 70], 4, 32);
    compare(&[130], 2, 64);
    compare(&[256], 1, 24);
}

/// Each alone, and all together.
fn variants<'a>(slopes: &'a [f32], window: usize) -> [Variant<'a>; 6] {
    let default = Variant::default();
    [
        Variant { group: 2, ..default },
        Variant { group: slopes.len(), ..default },
        Variant { window, ..default },
        Variant { cap: 0.7, ..default },
        Variant { slopes, ..default },
        Variant { group: 2, window, cap: 2.0, slopes },
    ]
}

#[test]
fn every_variant_is_its_definition() {
    for (heads, size) in [(4, 4), (2, 8), (4, 32), (6, 5), (2, 64)] {
        let slopes: Vec<f32> = (0..heads).map(|h| 0.5 / (h + 1) as f32).collect();
        for variant in [1, 3, 16, 40].into_iter().flat_map(|window| variants(&slopes, window)) {
            compare_variant(&[1, 3, 16, 2, 17, 33], heads, size, variant);
            compare_variant(&[130], heads, size, variant);
        }
    }
}

/// Decoding with a cache: queries one by one (and in blocks) see what the full pass sees.
#[test]
fn a_cache_changes_nothing() {
    let slopes = [0.5, 0.3, 0.2, 0.1];
    let of_four = variants(&slopes, 7).into_iter().map(|variant| (4, 8, 40, variant));
    let plain = [(4, 4, 16), (4, 4, 40), (2, 32, 50), (3, 5, 20)];
    let plain = plain.map(|(heads, head_size, t)| (heads, head_size, t, Variant::default()));
    let all: Vec<_> = plain.into_iter().chain(of_four).collect();
    at_each(|level| {
        for &(heads, head_size, t, variant) in &all {
            let c = heads * head_size;
            let qkv = numbers(t * 3 * c, 1);
            let [q, k, v] = packed(&qkv, c);
            let full = documents(&[t]);
            let mut wanted = vec![0.0; t * c];
            naive::forward(&mut wanted, &Inputs { q, k, v, segments: &full, heads, head_size, variant });
            for step in [1, 2, 5] {
                let mut out = vec![0.0; t * c];
                for first in (0..t).step_by(step) {
                    let q_len = step.min(t - first);
                    let segments = [Segment { q_start: first, q_len, kv_start: 0, past: first }];
                    let mut saved = vec![0.0; saved_len(&segments, heads, head_size)];
                    forward(
                        &mut out,
                        &mut saved,
                        &Inputs { q, k, v, segments: &segments, heads, head_size, variant },
                    );
                }
                assert_close(&out, &wanted, 1e-5, &format!("{level:?} {heads} x {head_size}, {step} of {t}"));
            }
        }
    });
}

/// Scores so large, or so far below zero, that their powers are no numbers without the maximum taken off.
#[test]
fn large_scores_are_no_trouble() {
    let segments = documents(&[7, 16]);
    for (up, down) in [(12.0, 12.0), (40.0, -40.0), (100.0, 100.0)] {
        let mut qkv = numbers(23 * 48, 1);
        for row in qkv.chunks_exact_mut(48) {
            row[..16].iter_mut().for_each(|q| *q = up * (1.0 + 0.1 * *q));
            row[16..32].iter_mut().for_each(|k| *k = down * (1.0 + 0.1 * *k));
        }
        let [q, k, v] = packed(&qkv, 16);
        let x = Inputs { q, k, v, segments: &segments, heads: 4, head_size: 4, variant: Variant::default() };
        let mut wanted = vec![0.0; 23 * 16];
        naive::forward(&mut wanted, &x);
        at_each(|level| {
            let (mut out, mut saved) = (vec![0.0; 23 * 16], vec![0.0; saved_len(&segments, 4, 4)]);
            forward(&mut out, &mut saved, &x);
            assert_close(&out, &wanted, 3e-3, &format!("{level:?} {up} {down}"));
        });
    }
}

#[test]
#[should_panic(expected = "ends at 48 of q, which has 47 numbers")]
fn a_segment_behind_the_end_is_told() {
    let (data, segments) = ([0.0; 47], documents(&[3]));
    let rows = Rows { data: &data, offset: 0, stride: 16 };
    let x = Inputs {
        q: rows,
        k: rows,
        v: rows,
        segments: &segments,
        heads: 4,
        head_size: 4,
        variant: Variant::default(),
    };
    forward(&mut [0.0; 48], &mut vec![0.0; saved_len(&segments, 4, 4)], &x);
}

/// Positive numbers, as linear attention's queries and keys are.
fn positive(qkv: &mut [f32], stride: usize, values: usize) {
    for row in qkv.chunks_exact_mut(stride) {
        row[..values].iter_mut().for_each(|x| *x += 1.05);
    }
}

#[test]
fn linear_attention_is_its_definition() {
    for (heads, d, group) in [(4, 4, 1), (4, 8, 2), (2, 32, 2), (3, 5, 1), (1, 16, 1)] {
        let (c, shared) = (heads * d, heads * d / group);
        let stride = c + 2 * shared;
        let segments = documents(&[1, 3, 16, 2, 33, 70]);
        let t = 125;
        let (mut qkv, dout) = (numbers(t * stride, 1), numbers(t * c, 2));
        positive(&mut qkv, stride, c + shared);
        let places = [0, c, c + shared].map(|offset| Place { offset, stride });
        let [q, k, v] = places.map(|Place { offset, stride }| Rows { data: &qkv, offset, stride });
        let variant = Variant { group, ..Variant::default() };
        let x = Inputs { q, k, v, segments: &segments, heads, head_size: d, variant };
        let (mut out2, mut grads2) = (vec![0.0; t * c], numbers(t * stride, 3));
        linear::naive::forward(&mut out2, &x);
        linear::naive::backward(&mut grads2, places, &dout, &out2, &x);
        at_each(|level| {
            let what = format!("{level:?} {heads} heads of {d} in groups of {group}");
            let (mut out, mut saved) = (vec![0.0; t * c], vec![f32::NAN; saved_len(&segments, heads, d)]);
            linear::forward(&mut out, &mut saved, &x);
            assert_close(&out, &out2, 1e-5, &what);
            let mut grads = numbers(t * stride, 3);
            linear::backward(&mut grads, places, &dout, &out, &saved, &x, true);
            assert_close(&grads, &grads2, 1e-5, &format!("backward, {what}"));
            let mut grads = vec![f32::NAN; t * stride];
            linear::backward(&mut grads, places, &dout, &out, &saved, &x, false);
            numbers(t * stride, 3).iter().zip(&mut grads).for_each(|(there, g)| *g += there);
            assert_close(&grads, &grads2, 1e-5, &format!("backward, replaced, {what}"));
            // Decoding: one by one, and in blocks.
            for step in [1, 7] {
                let mut out = out.clone();
                for first in (0..70).step_by(step) {
                    let last = Segment { q_start: 55 + first, q_len: step, kv_start: 55, past: first };
                    let x = Inputs { segments: &[last], ..x };
                    out[(55 + first) * c..][..step * c].fill(0.0);
                    let mut saved = vec![0.0; saved_len(x.segments, heads, d)];
                    linear::forward(&mut out, &mut saved, &x);
                }
                assert_close(&out, &out2, 1e-5, &format!("decoding by {step}, {what}"));
            }
        });
    }
}
