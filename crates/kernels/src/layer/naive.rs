use super::Layer;
use crate::attention::{self, Inputs, Place, Rows, Segment};
use crate::{activation, matmul, norm};

/// What the layer computes on its way, by name.
#[derive(Debug, Default)]
pub struct Steps {
    norm1: Vec<f32>,
    scale1: Vec<f32>,
    qkv: Vec<f32>,
    found: Vec<f32>,
    mid: Vec<f32>,
    norm2: Vec<f32>,
    scale2: Vec<f32>,
    hidden: Vec<f32>,
    active: Vec<f32>,
    /// The output, `[T, C]`.
    pub out: Vec<f32>,
}

fn inputs<'a>(layer: &Layer, qkv: &'a [f32], segments: &'a [Segment]) -> Inputs<'a> {
    let c = layer.channels;
    let [q, k, v] = [0, 1, 2].map(|i| Rows { data: qkv, offset: i * c, stride: 3 * c });
    Inputs {
        q,
        k,
        v,
        segments,
        heads: layer.heads,
        head_size: c / layer.heads,
        variant: attention::Variant::default(),
    }
}

/// See [`forward`](super::forward): a whole document at once, without memory.
pub fn forward(layer: &Layer, x: &[f32], weights: &[f32], segments: &[Segment]) -> Steps {
    let (c, h) = (layer.channels, layer.hidden);
    let t = x.len() / c;
    let [wqkv, wo, fc1, fc2] = layer.matrices().map(|range| &weights[range]);
    let zeros = |width: usize| vec![0.0; t * width];
    let mut s = Steps {
        norm1: zeros(c),
        scale1: zeros(1),
        qkv: zeros(3 * c),
        found: zeros(c),
        mid: x.to_vec(),
        norm2: zeros(c),
        scale2: zeros(1),
        hidden: zeros(h),
        active: zeros(h),
        out: vec![],
    };
    norm::naive::rmsnorm(&mut s.norm1, &mut s.scale1, x, t, c);
    matmul::naive::linear(&mut s.qkv, &s.norm1, wqkv, t, c, 3 * c, false);
    attention::naive::forward(&mut s.found, &inputs(layer, &s.qkv, segments));
    matmul::naive::linear(&mut s.mid, &s.found, wo, t, c, c, true);
    norm::naive::rmsnorm(&mut s.norm2, &mut s.scale2, &s.mid, t, c);
    matmul::naive::linear(&mut s.hidden, &s.norm2, fc1, t, c, h, false);
    activation::naive::forward(layer.activation, &mut s.active, &s.hidden);
    s.out = s.mid.clone();
    matmul::naive::linear(&mut s.out, &s.active, fc2, t, h, c, true);
    s
}

/// See [`backward`](super::backward): the gradient of x, and that of the weights.
pub fn backward(
    layer: &Layer,
    dout: &[f32],
    x: &[f32],
    s: &Steps,
    weights: &[f32],
    segments: &[Segment],
) -> (Vec<f32>, Vec<f32>) {
    let (c, h) = (layer.channels, layer.hidden);
    let t = x.len() / c;
    let [wqkv, wo, fc1, fc2] = layer.matrices().map(|range| &weights[range]);
    let mut dweights = vec![0.0; weights.len()];
    let (dwqkv, rest) = dweights.split_at_mut(wqkv.len());
    let (dwo, rest) = rest.split_at_mut(wo.len());
    let (dfc1, dfc2) = rest.split_at_mut(fc1.len());
    let zeros = |width: usize| vec![0.0; t * width];
    let (mut dactive, mut dhidden, mut dnorm, mut dfound, mut dqkv) =
        (zeros(h), zeros(h), zeros(c), zeros(c), zeros(3 * c));
    matmul::naive::linear_dw(dfc2, dout, &s.active, t, h, c, true);
    matmul::naive::linear_dx(&mut dactive, dout, fc2, t, h, c, false);
    activation::naive::backward(layer.activation, &mut dhidden, &dactive, &s.hidden);
    matmul::naive::linear_dw(dfc1, &dhidden, &s.norm2, t, c, h, true);
    matmul::naive::linear_dx(&mut dnorm, &dhidden, fc1, t, c, h, false);
    let mut dmid = dout.to_vec();
    norm::naive::rmsnorm_backward(&mut dmid, &dnorm, &s.mid, &s.scale2, t, c);
    matmul::naive::linear_dw(dwo, &dmid, &s.found, t, c, c, true);
    matmul::naive::linear_dx(&mut dfound, &dmid, wo, t, c, c, false);
    let places = [0, c, 2 * c].map(|offset| Place { offset, stride: 3 * c });
    attention::naive::backward(&mut dqkv, places, &dfound, &inputs(layer, &s.qkv, segments));
    matmul::naive::linear_dw(dwqkv, &dqkv, &s.norm1, t, c, 3 * c, true);
    matmul::naive::linear_dx(&mut dnorm, &dqkv, wqkv, t, c, 3 * c, false);
    let mut dx = dmid;
    norm::naive::rmsnorm_backward(&mut dx, &dnorm, x, &s.scale1, t, c);
    (dx, dweights)
}
