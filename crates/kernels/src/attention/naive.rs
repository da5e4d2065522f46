//! The definition of attention, in plain loops.

use super::{Inputs, Place};

/// The scores of row `p` of a segment in head `h`, one for each key it sees, from the variant's first on; and how fast
/// each changes with the product of query and key.
fn scores(x: &Inputs<'_>, segment: usize, p: usize, h: usize) -> (Vec<f32>, Vec<f32>) {
    let (s, d, own) = (x.segments[segment], x.head_size, x.segments[segment].past + p);
    let (q, group) = (x.q.row(s.q_start + p), x.variant.group);
    let score = |j: usize| {
        let k = &x.k.row(s.kv_start + j)[h / group * d..];
        let product: f32 = (0..d).map(|c| q[h * d + c] * k[c]).sum();
        let (root, cap) = ((d as f32).sqrt(), x.variant.cap);
        let (score, slope) = match cap < f32::INFINITY {
            true => {
                let tanh = (product / root / cap).tanh();
                (cap * tanh, (1.0 - tanh * tanh) / root)
            }
            false => (product / root, 1.0 / root),
        };
        (score - x.variant.slopes.get(h).unwrap_or(&0.0) * (own - j) as f32, slope)
    };
    (x.variant.first(own)..own + 1).map(score).unzip()
}

/// The softmax weights of row `p` of a segment in head `h`: one for each key it sees, from the variant's first on.
pub fn weights(x: &Inputs<'_>, segment: usize, p: usize, h: usize) -> Vec<f32> {
    let (scores, _) = scores(x, segment, p, h);
    let most = scores.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x));
    let sum: f32 = scores.iter().map(|x| (x - most).exp()).sum();
    scores.iter().map(|x| (x - most).exp() / sum).collect()
}

/// See [`forward`](super::forward).
pub fn forward(out: &mut [f32], x: &Inputs<'_>) {
    let (d, width) = (x.head_size, x.heads * x.head_size);
    for (i, s) in x.segments.iter().enumerate() {
        for (p, h) in (0..s.q_len).flat_map(|p| (0..x.heads).map(move |h| (p, h))) {
            let weights = weights(x, i, p, h);
            let (first, kv) = (s.kv_start + x.variant.first(s.past + p), h / x.variant.group * d);
            for c in 0..d {
                let sum = weights.iter().enumerate().map(|(j, w)| w * x.v.row(first + j)[kv + c]).sum();
                out[(s.q_start + p) * width + h * d + c] = sum;
            }
        }
    }
}

/// See [`backward`](super::backward).
pub fn backward(grads: &mut [f32], [dq, dk, dv]: [Place; 3], dout: &[f32], x: &Inputs<'_>) {
    let (d, width) = (x.head_size, x.heads * x.head_size);
    for (i, s) in x.segments.iter().enumerate() {
        for (p, h) in (0..s.q_len).flat_map(|p| (0..x.heads).map(move |h| (p, h))) {
            let (weights, (_, slopes)) = (weights(x, i, p, h), scores(x, i, p, h));
            let (row, at, kv) = (s.q_start + p, h * d, h / x.variant.group * d);
            let first = s.kv_start + x.variant.first(s.past + p);
            let dout = &dout[row * width + at..][..d];
            // What each weight would gain, and the mean that softmax takes off.
            let gain = |j: usize| (0..d).map(|c| dout[c] * x.v.row(first + j)[kv + c]).sum::<f32>();
            let gains: Vec<f32> = (0..weights.len()).map(gain).collect();
            let mean: f32 = weights.iter().zip(&gains).map(|(w, g)| w * g).sum();
            for (j, w) in weights.iter().enumerate() {
                let dscore = w * (gains[j] - mean) * slopes[j];
                for c in 0..d {
                    grads[dq.at(row) + at + c] += dscore * x.k.row(first + j)[kv + c];
                    grads[dk.at(first + j) + kv + c] += dscore * x.q.row(row)[at + c];
                    grads[dv.at(first + j) + kv + c] += w * dout[c];
                }
            }
        }
    }
}
