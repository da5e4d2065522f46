//! Everything that is computed can be looked at: by name, and back to where it came from.

use crate::batch::{Batch, Segment};
use crate::cell::{Cell, Channel};
use crate::layout::Layout;
use crate::position::pairs;
use crate::real::{Real, pow};
use crate::sight::Sight;
use crate::tensor::{Engine, Id, Node, Op, RMS_EPS, Shape};
use microgpt_kernels::dropout;
use std::ops::Range;

mod users;

pub use users::{User, operands, users};

/// The tensor of that name (`layer0.attn_weights`), the last one if there are several.
///
/// ```
/// # use microgpt::{Config, batch::*, corpus::Corpus, documents::Documents, inspect, rng::Rng, train::Trainer};
/// # let mut corpus = Corpus::new(Documents::from_lines("ab".into()).unwrap());
/// # let mut trainer = Trainer::<f64>::new(Config::default(), 3, &mut Rng::new(1)).unwrap();
/// # let mut batch = Batch::default();
/// # corpus.fill(&mut batch, 0, 1, 8).unwrap();
/// trainer.step(&batch).unwrap();
/// let logits = inspect::find(&*trainer.engine, "logits").unwrap();
/// assert_eq!((logits.shape.rows, logits.shape.cols), (3, 3)); // three tokens predicted, three to choose from
/// ```
pub fn find(engine: &dyn Engine, name: &str) -> Option<Node> {
    engine.nodes().into_iter().rev().find(|node| node.label.is_some_and(|label| label.to_string() == name))
}

/// The names of all tensors that have one, in the order in which they were computed.
pub fn names(engine: &dyn Engine) -> Vec<String> {
    engine.nodes().iter().filter_map(|node| node.label).map(|label| label.to_string()).collect()
}

/// The Euclidean length of each matrix's gradient, by name.
pub fn gradient_norms<R: Real>(layout: &Layout, grads: &[R]) -> Vec<(String, f64)> {
    let norm = |slice: &[R]| slice.iter().map(|g| g.to_f64() * g.to_f64()).sum::<f64>().sqrt();
    layout.matrices().iter().map(|m| (m.name.clone(), norm(&grads[m.range()]))).collect()
}

/// Whom each token looks at: of head `head`, a row of weights for each row of the batch. `None` if the engine kept none.
pub fn attention_map(engine: &dyn Engine, layer: usize, heads: usize, head: usize) -> Option<Vec<Vec<f64>>> {
    let node = find(engine, &format!("layer{layer}.attn_weights"))?;
    let values = engine.values(node.id);
    let rows = values.chunks(node.shape.cols).skip(head).step_by(heads);
    Some(rows.map(<[f64]>::to_vec).collect())
}

/// One operand of a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// Of which tensor.
    pub tensor: Id,
    /// Where in it.
    pub row: usize,
    /// Where in it.
    pub col: usize,
    /// Its value.
    pub value: f64,
    /// How fast the result changes with it.
    pub local: f64,
}

/// Why a number is what it is: what it was computed from, one step back.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// The number.
    pub value: f64,
    /// How fast the loss changes with it; 0 before `backward`.
    pub grad: f64,
    /// How it follows from its operands: `sum(w * x)`.
    pub formula: &'static str,
    /// What it was computed from; none for a parameter.
    pub operands: Vec<Operand>,
}

/// Where the number at `row` and `col` of a tensor came from.
///
/// # Panics
/// If there is no such number.
pub fn why(engine: &dyn Engine, batch: &Batch, tensor: Id, row: usize, col: usize) -> Why {
    let nodes = engine.nodes();
    let Node { op, shape, .. } = nodes[tensor.0 as usize];
    assert!(row < shape.rows && col < shape.cols, "[{row}, {col}] of {shape}");
    let look = Look { engine, batch, nodes: &nodes };
    let value = engine.number(tensor, row, col);
    let grads = engine.grads(tensor);
    let (formula, operands) = look.back(tensor, op, row, col, value);
    Why { value, grad: grads.get(row * shape.cols + col).copied().unwrap_or(0.0), formula, operands }
}

struct Look<'a> {
    engine: &'a dyn Engine,
    batch: &'a Batch,
    nodes: &'a [Node],
}

impl Look<'_> {
    fn shape(&self, id: Id) -> Shape {
        self.nodes[id.0 as usize].shape
    }

    fn at(&self, id: Id, row: usize, col: usize) -> f64 {
        self.engine.number(id, row, col)
    }

    /// The place in `b` that belongs to one of a table that it may be a row or a column for.
    fn spread(&self, b: Id, row: usize, col: usize) -> (usize, usize) {
        let Shape { rows, cols } = self.shape(b);
        (if rows > 1 { row } else { 0 }, if cols > 1 { col } else { 0 })
    }

    fn operand(&self, tensor: Id, row: usize, col: usize, local: f64) -> Operand {
        Operand { tensor, row, col, value: self.at(tensor, row, col), local }
    }

    /// The products of a sum: each factor's local derivative is the other.
    fn products(
        &self,
        pairs: impl Iterator<Item = ((Id, usize, usize), (Id, usize, usize))>,
    ) -> Vec<Operand> {
        pairs
            .flat_map(|(a, b)| {
                let (x, y) = (self.at(a.0, a.1, a.2), self.at(b.0, b.1, b.2));
                [self.operand(a.0, a.1, a.2, y), self.operand(b.0, b.1, b.2, x)]
            })
            .collect()
    }

    /// The formula and the operands of number `[row, col]`, whose value is `y`.
    fn back(&self, tensor: Id, op: Op, row: usize, col: usize, y: f64) -> (&'static str, Vec<Operand>) {
        let one = |x: Id, local: f64| vec![self.operand(x, row, col, local)];
        match op {
            Op::Param { .. } => ("a parameter: learnt", vec![]),
            Op::Gather { w, by } => (
                "w[index]: a row of the table",
                vec![self.operand(w, by.of(self.batch)[row] as usize, col, 1.0)],
            ),
            Op::Pick { x, by } => {
                ("x[index]: the target's", vec![self.operand(x, row, by.of(self.batch)[row] as usize, 1.0)])
            }
            Op::Columns { x, start } => ("x: the same number", vec![self.operand(x, row, start + col, 1.0)]),
            Op::Remember { x, .. } => {
                let new = |s: &&crate::batch::Segment| {
                    (s.memory + s.past..s.memory + s.past + s.len).contains(&row)
                };
                let segment = self.batch.segments.iter().find(new);
                let operand = segment.map(|s| self.operand(x, s.start + row - s.memory - s.past, col, 1.0));
                ("x: remembered", operand.into_iter().collect())
            }
            Op::Add(a, b) => {
                let (row_b, col_b) = self.spread(b, row, col);
                ("a + b", vec![self.operand(a, row, col, 1.0), self.operand(b, row_b, col_b, 1.0)])
            }
            Op::Mul(a, b) => {
                let (row_b, col_b) = self.spread(b, row, col);
                ("a * b", self.products(std::iter::once(((a, row, col), (b, row_b, col_b)))))
            }
            Op::Div(a, b) => {
                let col_b = if self.shape(b).cols > 1 { col } else { 0 };
                let (x, divisor) = (self.at(a, row, col), self.at(b, row, col_b));
                let local = -pow(divisor, -2.0) * x;
                (
                    "a / b",
                    vec![self.operand(a, row, col, pow(divisor, -1.0)), self.operand(b, row, col_b, local)],
                )
            }
            Op::Affine { x, scale, .. } => ("x * scale + shift", one(x, scale)),
            Op::Pow { x, exponent } => {
                ("x to a power", one(x, exponent * pow(self.at(x, row, col), exponent - 1.0)))
            }
            Op::Exp(x) => ("exp(x)", one(x, y)),
            Op::Ln(x) => ("ln(x)", one(x, 1.0 / self.at(x, row, col))),
            Op::Tanh(x) => ("tanh(x)", one(x, 1.0 - y * y)),
            Op::Reshape(x) => {
                let (place, cols) = (row * self.shape(tensor).cols + col, self.shape(x).cols);
                ("x: the same number", vec![self.operand(x, place / cols, place % cols, 1.0)])
            }
            Op::Dropout { x, rate, place } => {
                let key = self.engine.chance().and_then(|chance| self.batch.row_keys(chance, place).nth(row));
                let stays = key.is_some_and(|key| dropout::stays(key, col, rate));
                ("x / (1 - rate), or 0 by chance", one(x, if stays { 1.0 / (1.0 - rate) } else { 0.0 }))
            }
            Op::Activate { x, f } => ("f(x)", one(x, f.derivative(self.at(x, row, col)))),
            Op::Gate { x, g, f } => {
                let (f, at_x, at_g) = (f.formula(), self.at(x, row, col), self.at(g, row, col));
                let slopes = [(x, f.slope(at_x, at_g)), (g, f.gate_slope(at_x, at_g))];
                ("f(x, g)", slopes.map(|(id, slope)| self.operand(id, row, col, slope)).into())
            }
            Op::OffMax(x) => ("x - max(x)", one(x, 1.0)),
            Op::Sum(x) => {
                let cols = 0..self.shape(x).cols;
                ("sum(x), along the row", cols.map(|c| self.operand(x, row, c, 1.0)).collect())
            }
            Op::Total(x) => {
                let Shape { rows, cols } = self.shape(x);
                let all = (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c)));
                ("sum(x), all of it", all.map(|(r, c)| self.operand(x, r, c, 1.0)).collect())
            }
            Op::Dot(a, b) => {
                let cols = 0..self.shape(a).cols;
                ("sum(a * b), along the row", self.products(cols.map(|c| ((a, row, c), (b, row, c)))))
            }
            Op::Linear { x, w } => {
                let cols = 0..self.shape(w).cols;
                ("sum(w * x)", self.products(cols.map(|c| ((w, col, c), (x, row, c)))))
            }
            Op::Window { x, .. } => {
                let cols = self.shape(x).cols;
                let from = self.earlier(row, col / cols);
                let operand = from.map(|from| self.operand(x, from, col % cols, 1.0));
                ("x of this row, or of one before it", operand.into_iter().collect())
            }
            Op::Recur { x, u, c, cell, slot } => {
                let before = self.state_before(tensor, slot, row);
                (formula_of(cell), self.cell_operands([x, u, c], cell, before, row, col))
            }
            Op::LinearOnto { x, w, onto } => {
                let cols = 0..self.shape(w).cols;
                let mut operands = self.products(cols.map(|c| ((w, col, c), (x, row, c))));
                operands.push(self.operand(onto, row, col, 1.0));
                ("sum(w * x) + onto", operands)
            }
            Op::Feature(x) => ("elu(x) + 1", one(x, y.min(1.0))),
            Op::Sinusoids => ("sin or cos of the position: fixed", vec![]),
            Op::Rotate { x, heads, base } => {
                let pair = pairs(self.shape(x).cols, heads).find(|pair| pair.a == col || pair.b == col);
                let pair = pair.expect("every number has its pair");
                let (sin, cos) = pair.angle(self.batch.positions[row], base).sin_cos();
                let [a, b] = if pair.a == col { [cos, -sin] } else { [sin, cos] };
                let operands = vec![self.operand(x, row, pair.a, a), self.operand(x, row, pair.b, b)];
                ("a cos w - b sin w, or b cos w + a sin w", operands)
            }
            Op::Scores { q, k, sight, .. } => {
                let heads = sight.heads();
                let (token, head, d) = (row / heads, row % heads, self.shape(q).cols / heads);
                let Some((first, _)) = self.context(token, sight).filter(|(_, seen)| seen.contains(&col))
                else {
                    return ("not to be seen", vec![]);
                };
                let kv = head / sight.group() * d;
                let products = (0..d).map(|j| ((q, token, head * d + j), (k, first + col, kv + j)));
                ("sum(q * k)", self.products(products))
            }
            Op::Recede { x, sight } => match self.context(row / sight.heads(), sight) {
                Some((_, seen)) if seen.contains(&col) => ("x - slope * distance", one(x, 1.0)),
                _ => ("not to be seen", vec![]),
            },
            Op::Mix { a, v, sight } => {
                let d = self.shape(v).cols / sight.kv_heads as usize;
                let (first, seen) = self.context(row, sight).unwrap_or((0, 0..0));
                let (weights, kv) = (row * sight.heads() + col / d, col / d / sight.group() * d + col % d);
                ("sum(a * v)", self.products(seen.map(|s| ((a, weights, s), (v, first + s, kv)))))
            }
            // An engine that took a shortcut has not kept what is between; the row it came from is all there is.
            Op::RmsNorm(x) => {
                let cols = self.shape(x).cols;
                let row_of = |c| self.at(x, row, c);
                let s = ((0..cols).map(|c| row_of(c) * row_of(c)).sum::<f64>() / cols as f64 + RMS_EPS)
                    .powf(-0.5);
                let slope =
                    |c: usize| f64::from(u8::from(c == col)) * s - y * row_of(c) * s * s / cols as f64;
                ("x / sqrt(mean(x^2) + 1e-5)", (0..cols).map(|c| self.operand(x, row, c, slope(c))).collect())
            }
            Op::Attention { .. } | Op::LinearAttention { .. } => ("attention, in one piece", vec![]),
            Op::LinearBias { x, w, bias } => {
                let cols = 0..self.shape(w).cols;
                let mut operands = self.products(cols.map(|c| ((w, col, c), (x, row, c))));
                operands.push(self.operand(bias, 0, col, 1.0));
                ("sum(w * x) + bias", operands)
            }
            Op::RmsNormGain { .. } => ("gain * x / sqrt(mean(x^2) + 1e-5), in one piece", vec![]),
            Op::LayerNorm { .. } => {
                ("gain * (x - mean) / sqrt(variance + 1e-5) + bias, in one piece", vec![])
            }
            Op::DynamicTanh { .. } => ("gain * tanh(alpha * x) + bias, in one piece", vec![]),
            Op::Embed { .. } => ("token and position, normed, in one piece", vec![]),
            Op::Layer { .. } => ("a layer, in one piece", vec![]),
            Op::Model { .. } => ("the whole model, in one piece", vec![]),
            Op::CrossEntropy(_) => ("mean of -ln(softmax(x)[target]), in one piece", vec![]),
        }
    }

    /// The segment that `row` belongs to.
    fn segment(&self, row: usize) -> Option<&Segment> {
        self.batch.segments.iter().find(|s| (s.start..s.start + s.len).contains(&row))
    }

    /// The row of what is remembered that stands `back` before `row`, if it is of the same document.
    fn earlier(&self, row: usize, back: usize) -> Option<usize> {
        let segment = self.segment(row)?;
        let first = if self.batch.decoding { segment.memory } else { segment.start };
        Some(first + (segment.past + row - segment.start).checked_sub(back)?)
    }

    /// Which tensor has the state before that of `row`, and in which row; none before a document's first.
    fn state_before(&self, states: Id, slot: usize, row: usize) -> Option<(Id, usize)> {
        let segment = self.segment(row)?;
        if row > segment.start {
            return Some((states, row - 1));
        }
        let remembered = |node: &&Node| matches!(node.op, Op::Remember { slot: s, .. } if s == slot);
        let memory = self.nodes.iter().find(remembered)?;
        Some((memory.id, segment.memory + segment.past.checked_sub(1)?))
    }

    /// What channel `j` of the state of `row` follows from.
    fn cell_operands(
        &self,
        [x, u, c]: [Id; 3],
        cell: Cell,
        before: Option<(Id, usize)>,
        row: usize,
        j: usize,
    ) -> Vec<Operand> {
        let channels = self.shape(u).cols;
        let h = |i: usize| before.map_or(0.0, |(id, row)| self.at(id, row, i));
        let mut channel = Channel { x: [0.0; 3], a: [0.0; 3], h: h(j) };
        for gate in 0..cell.gates() {
            let o = gate * channels + j;
            channel.x[gate] = self.at(x, row, o);
            channel.a[gate] = self.at(c, 0, o) + (0..channels).map(|i| self.at(u, o, i) * h(i)).sum::<f64>();
        }
        let slopes = cell.slopes(channel);
        let mut operands = Vec::new();
        for gate in 0..cell.gates() {
            let o = gate * channels + j;
            operands.push(self.operand(x, row, o, slopes.x[gate]));
            operands.push(self.operand(c, 0, o, slopes.a[gate]));
            if let Some((states, earlier)) = before {
                for i in 0..channels {
                    operands.push(self.operand(u, o, i, slopes.a[gate] * h(i)));
                    operands.push(self.operand(states, earlier, i, slopes.a[gate] * self.at(u, o, i)));
                }
            }
        }
        let own = before.filter(|_| slopes.h != 0.0);
        operands.extend(own.map(|(states, earlier)| self.operand(states, earlier, j, slopes.h)));
        operands
    }

    /// Which rows of keys and values the token at `row` sees: the row that they are counted from, and which.
    fn context(&self, row: usize, sight: Sight) -> Option<(usize, Range<usize>)> {
        let segment = self.segment(row)?;
        let first = if self.batch.decoding { segment.memory } else { segment.start };
        Some((first, sight.keys(segment.past + row - segment.start)))
    }
}

fn formula_of(cell: Cell) -> &'static str {
    match cell {
        Cell::Rnn => "tanh(x + sum(u * h before) + c)",
        Cell::Gru => "(1 - z) n + z h before; r, z and n of x and of sum(u * h before) + c",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Choice;
    use crate::family::Family;
    use crate::norm::Norm;
    use crate::position::Position;
    use crate::sight::AttentionKind;
    use crate::{Config, corpus::Corpus, documents::Documents, rng::Rng, train::Trainer};

    fn trained() -> (Trainer<f64>, Batch) {
        trained_as(Config::default())
    }

    pub(super) fn trained_as(config: Config) -> (Trainer<f64>, Batch) {
        let mut corpus = Corpus::new(Documents::from_lines("abcab\ncab".into()).unwrap());
        let mut trainer = Trainer::new(
            Config { zero_init: false, init_std: 0.2, lr: 0.0, ..config },
            corpus.tokenizer.vocab_size(),
            &mut Rng::new(3),
        )
        .unwrap();
        let mut batch = Batch::default();
        corpus.fill(&mut batch, 0, 2, 8).unwrap();
        trainer.step(&batch).unwrap();
        (trainer, batch)
    }

    /// A number's gradient is the sum over all that used it of their gradient times the local derivative.
    #[test]
    fn why_agrees_with_backward_for_every_number() {
        let norms =
            Norm::ALL.iter().map(|&norm| Config { norm, bias: true, dropout: 0.2, ..Config::default() });
        for config in norms.chain([Config { qk_norm: true, residual_scale: 0.5, ..Config::default() }]) {
            why_agrees(trained_as(config));
        }
        for &model in Family::ALL.iter().filter(|&&model| model != Family::BigramCounts) {
            why_agrees(trained_as(Config {
                model,
                n_layer: 2,
                n_embd: 4,
                dropout: 0.2,
                ..Config::default()
            }));
        }
        let (rotary, alibi) = (Position::Rotary, Position::Alibi);
        let all = Config { n_kv_head: 2, window: 3, softcap: 2.0, ..Config::default() };
        for config in [
            Config::default(),
            Config { position: rotary, ..all.clone() },
            Config { position: alibi, ..all },
            Config { position: Position::Sinusoidal, attention: AttentionKind::Linear, ..Config::default() },
        ] {
            why_agrees(trained_as(config));
        }
    }

    fn why_agrees((trainer, batch): (Trainer<f64>, Batch)) {
        let engine: &dyn Engine = &*trainer.engine;
        let nodes = engine.nodes();
        let mut expected: Vec<Vec<f64>> = nodes.iter().map(|n| vec![0.0; n.shape.len()]).collect();
        expected[find(engine, "loss").unwrap().id.0 as usize][0] = 1.0;
        for node in nodes.iter().rev() {
            // From last to first: a state is computed from those before it.
            for place in (0..node.shape.len()).rev() {
                let (row, col) = (place / node.shape.cols, place % node.shape.cols);
                let why = why(engine, &batch, node.id, row, col);
                let g = expected[node.id.0 as usize][place];
                for operand in &why.operands {
                    let cols = nodes[operand.tensor.0 as usize].shape.cols;
                    expected[operand.tensor.0 as usize][operand.row * cols + operand.col] +=
                        operand.local * g;
                }
                // The numbers of a tensor seen through its columns have their gradient from elsewhere too.
                if !matches!(node.op, Op::Columns { .. } | Op::Param { .. }) {
                    assert!((g - why.grad).abs() <= 1e-12, "{:?} [{row}, {col}]: {g} {}", node.op, why.grad);
                }
            }
        }
    }

    #[test]
    fn attention_maps_are_triangles_that_sum_to_1() {
        let (trainer, batch) = trained();
        let map = attention_map(&*trainer.engine, 0, 4, 2).unwrap();
        assert_eq!(map.len(), batch.rows());
        for (row, weights) in map.iter().enumerate() {
            let seen = batch.positions[row] as usize + 1;
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(weights[..seen].iter().all(|&w| w > 0.0) && weights[seen..].iter().all(|&w| w == 0.0));
        }
        let norms = gradient_norms(&trainer.model.layout, &vec![2.0; trainer.num_params()]);
        assert_eq!(norms[3], ("layer0.attn_wq".to_string(), 2.0 * 256f64.sqrt()));
    }
}
