//! The definition of attention, in plain loops.

use super::{Inputs, Place};

/// The softmax weights of row `p` of a segment in head `h`: one for each key it sees.
pub fn weights(x: &Inputs<'_>, segment: usize, p: usize, h: usize) -> Vec<f32> {
    let s = x.segments[segment];
    let (d, q) = (x.head_size, x.q.row(s.q_start + p));
    let score = |j: usize| -> f32 {
        let k = x.k.row(s.kv_start + j);
        (h * d..(h + 1) * d).map(|c| q[c] * k[c]).sum::<f32>() / (d as f32).sqrt()
    };
    let scores: Vec<f32> = (0..=s.past + p).map(score).collect();
    let most = scores.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x));
    let sum: f32 = scores.iter().map(|x| (x - most).exp()).sum();
    scores.iter().map(|x| (x - most).exp() / sum).collect()
}

/// See [`forward`](super::forward).
pub fn forward(out: &mut [f32], x: &Inputs<'_>) {
    let (d, width) = (x.head_size, x.heads * x.head_size);
    for (i, s) in x.segments.iter().enumerate() {
        for p in 0..s.q_len {
            for h in 0..x.heads {
                let weights = weights(x, i, p, h);
                for c in h * d..(h + 1) * d {
                    let sum = weights.iter().enumerate().map(|(j, w)| w * x.v.row(s.kv_start + j)[c]).sum();
                    out[(s.q_start + p) * width + c] = sum;
                }
            }
        }
    }
}

/// See [`backward`](super::backward).
pub fn backward(grads: &mut [f32], [dq, dk, dv]: [Place; 3], dout: &[f32], x: &Inputs<'_>) {
    let (d, width) = (x.head_size, x.heads * x.head_size);
    let scale = 1.0 / (d as f32).sqrt();
    for (i, s) in x.segments.iter().enumerate() {
        for p in 0..s.q_len {
            for h in 0..x.heads {
                let weights = weights(x, i, p, h);
                let (row, columns) = (s.q_start + p, h * d..(h + 1) * d);
                let dout = &dout[row * width..][..width];
                // What each weight would gain, and the mean that softmax takes off.
                let gain =
                    |j: usize| columns.clone().map(|c| dout[c] * x.v.row(s.kv_start + j)[c]).sum::<f32>();
                let gains: Vec<f32> = (0..weights.len()).map(gain).collect();
                let mean: f32 = weights.iter().zip(&gains).map(|(w, g)| w * g).sum();
                for (j, w) in weights.iter().enumerate() {
                    let dscore = w * (gains[j] - mean) * scale;
                    let kv = s.kv_start + j;
                    for c in columns.clone() {
                        grads[dq.at(row) + c] += dscore * x.k.row(kv)[c];
                        grads[dk.at(kv) + c] += dscore * x.q.row(row)[c];
                        grads[dv.at(kv) + c] += w * dout[c];
                    }
                }
            }
        }
    }
}
