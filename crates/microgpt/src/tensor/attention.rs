//! The textbook of attention: its variants, written out in primitives.

use super::{Op, Order, Shape, Tensor};
use crate::real::pow;
use crate::sight::Sight;

impl<'e> Tensor<'e> {
    /// What each token finds in those before it: softmax(q k^T / sqrt(D)) v in each head, `[T, C]`.
    ///
    /// Vaswani et al., "Attention Is All You Need" (2017). A token sees its own document up to itself, and of that what
    /// `sight` says: the last tokens of a window; with heads of keys and values that serve several heads of queries. A
    /// score z may be held below a cap, `cap tanh(z / cap)`, and then fall with the distance, `z - slope (t - s)`.
    ///
    /// Shapes: q `[T, C]`; k, v `[T, C kv_heads / heads]`.
    ///
    /// # Panics
    /// If C is not a multiple of the number of heads, or k and v are not as wide as their heads.
    pub fn attention(self, k: Tensor<'e>, v: Tensor<'e>, sight: Sight, layer: usize) -> Tensor<'e> {
        let (q, head_dim) = (self, self.head_dim(k, v, sight));
        q.composite(Op::Attention { q: q.id, k: k.id, v: v.id, sight }, q.shape, || {
            if sight.group() == 1 {
                q.engine.order(q.id, Order::Heads(head_dim));
            }
            let scale = pow(pow(head_dim as f64, 0.5), -1.0);
            let scores = q.scores(k, sight, f64::NEG_INFINITY);
            let mut scores = match sight.softcap {
                0.0 => scores.affine(scale, 0.0),
                cap => scores.affine(scale / cap, 0.0).tanh().affine(cap, 0.0),
            };
            if sight.softcap != 0.0 || sight.alibi {
                scores = scores.recede(sight);
            }
            let weights =
                scores.named(Some(layer), "attn_scores").softmax().named(Some(layer), "attn_weights");
            weights.mix(v, sight)
        })
    }

    /// The same with weights that are products, q k^T, each row divided by its sum. The numbers of q and k are positive
    /// ([`Tensor::feature`]).
    ///
    /// What a token finds is then sum(k v^T) q / (sum(k) q), where the sums over the keys so far can be carried along:
    /// T tokens cost T times D^2, not T^2 times D. Katharopoulos et al., "Transformers are RNNs" (2020).
    ///
    /// # Panics
    /// As [`Tensor::attention`]; if there is a window, a cap or a slope.
    pub fn linear_attention(self, k: Tensor<'e>, v: Tensor<'e>, sight: Sight, layer: usize) -> Tensor<'e> {
        let q = self;
        q.head_dim(k, v, sight);
        let all = Sight { kv_heads: sight.kv_heads, ..Sight::plain(sight.heads()) };
        assert_eq!(sight, all, "linear attention sees everything, and its weights are products");
        q.composite(Op::LinearAttention { q: q.id, k: k.id, v: v.id, sight }, q.shape, || {
            let products = q.scores(k, sight, 0.0);
            let weights = (products / products.sum()).named(Some(layer), "attn_weights");
            weights.mix(v, sight)
        })
    }

    /// elu(x) + 1: x + 1 above 0, e^x below; always positive.
    #[track_caller]
    pub fn feature(self) -> Tensor<'e> {
        self.op(Op::Feature(self.id), self.shape.rows, self.shape.cols)
    }

    fn head_dim(self, k: Tensor<'e>, v: Tensor<'e>, sight: Sight) -> usize {
        let (q, heads) = (self.shape, sight.heads());
        assert!(q.cols.is_multiple_of(heads), "attention of {heads} heads over {q}");
        assert!(heads.is_multiple_of(sight.kv_heads as usize), "attention: {sight:?}");
        let wanted = Shape::new(k.shape.rows, q.cols / sight.group());
        assert!(k.shape == wanted && v.shape == wanted, "q {q}, k {}, v {}, {sight:?}", k.shape, v.shape);
        q.cols / heads
    }

    /// q k^T for each token, head, and token in sight; `hidden` elsewhere: `[T H, S]`.
    #[track_caller]
    fn scores(self, k: Tensor<'e>, sight: Sight, hidden: f64) -> Tensor<'e> {
        let op = Op::Scores { q: self.id, k: k.id, sight, hidden };
        self.op(op, self.shape.rows * sight.heads(), self.engine.longest())
    }

    /// Scores less the head's slope times the distance, if there is one; -inf where nothing is in sight.
    #[track_caller]
    fn recede(self, sight: Sight) -> Tensor<'e> {
        self.op(Op::Recede { x: self.id, sight }, self.shape.rows, self.shape.cols)
    }

    /// The values, by their weights.
    #[track_caller]
    fn mix(self, v: Tensor<'e>, sight: Sight) -> Tensor<'e> {
        let op = Op::Mix { a: self.id, v: v.id, sight };
        self.op(op, self.shape.rows / sight.heads(), v.shape.cols * sight.group())
    }
}
