//! Where a number goes: what was computed from it, and how much of its gradient came from there.

use super::Look;
use crate::batch::Batch;
use crate::position::pairs;
use crate::tensor::{Engine, Id, Node, Op, Shape};

/// A number that was computed from another.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Of which tensor.
    pub tensor: Id,
    /// Where in it.
    pub row: usize,
    /// Where in it.
    pub col: usize,
    /// Its value.
    pub value: f64,
    /// How fast the loss changes with it; 0 before `backward`.
    pub grad: f64,
    /// How fast it changes with the other.
    pub local: f64,
}

/// The tensors that an operation is computed from, in the order in which it names them.
pub fn operands(op: Op) -> Vec<Id> {
    match op {
        Op::Param { .. } | Op::Sinusoids | Op::Model { .. } => vec![],
        Op::Gather { w: x, .. }
        | Op::Pick { x, .. }
        | Op::Columns { x, .. }
        | Op::Remember { x, .. }
        | Op::Affine { x, .. }
        | Op::Pow { x, .. }
        | Op::Exp(x)
        | Op::Ln(x)
        | Op::Tanh(x)
        | Op::Feature(x)
        | Op::Reshape(x)
        | Op::Dropout { x, .. }
        | Op::Activate { x, .. }
        | Op::OffMax(x)
        | Op::Sum(x)
        | Op::Total(x)
        | Op::Recede { x, .. }
        | Op::Rotate { x, .. }
        | Op::Window { x, .. }
        | Op::RmsNorm(x)
        | Op::CrossEntropy(x)
        | Op::Layer { x, .. } => vec![x],
        Op::Add(a, b) | Op::Mul(a, b) | Op::Div(a, b) | Op::Dot(a, b) => vec![a, b],
        Op::Gate { x, g, .. } => vec![x, g],
        Op::Linear { x, w } => vec![x, w],
        Op::Scores { q, k, .. } => vec![q, k],
        Op::Mix { a, v, .. } => vec![a, v],
        Op::Recur { x, u, c, .. } => vec![x, u, c],
        Op::Embed { tokens, places } => vec![tokens, places],
        Op::LinearOnto { x, w, onto } => vec![x, w, onto],
        Op::LinearBias { x, w, bias } => vec![x, w, bias],
        Op::RmsNormGain { x, gain } => vec![x, gain],
        Op::LayerNorm { x, gain, bias } => vec![x, gain, bias],
        Op::DynamicTanh { x, alpha, gain, bias } => vec![x, alpha, gain, bias],
        Op::Attention { q, k, v, .. } | Op::LinearAttention { q, k, v, .. } => vec![q, k, v],
    }
}

/// Every number that was computed from the one at `row` and `col` of a tensor, in the order of computing, up to tensor
/// `last`.
///
/// After `backward`, its gradient is the sum of `local * grad` over all of them, whichever name a number has: columns
/// of a tensor are that tensor's numbers, and parameters may be seen through several tensors.
///
/// # Panics
/// If there is no such number.
pub fn users(engine: &dyn Engine, batch: &Batch, tensor: Id, row: usize, col: usize, last: Id) -> Vec<User> {
    let nodes = engine.nodes();
    let shape = nodes[tensor.0 as usize].shape;
    assert!(row < shape.rows && col < shape.cols, "[{row}, {col}] of {shape}");
    let look = Look { engine, batch, nodes: &nodes };
    let here = look.home(tensor, row, col);
    let mut found = Vec::new();
    for node in nodes.iter().take_while(|node| node.id <= last) {
        if matches!(node.op, Op::Param { .. } | Op::Columns { .. }) {
            continue;
        }
        let mut inputs = operands(node.op);
        if let Op::Recur { .. } = node.op {
            inputs.push(node.id); // a state follows from the one before
        }
        inputs.sort();
        inputs.dedup();
        let mut places = Vec::new();
        for x in inputs {
            if let Some((row, col)) = look.seen_through(x, here) {
                places
                    .extend(look.candidates(node, x, row, col).into_iter().map(|place| (place, x, row, col)));
            }
        }
        if places.is_empty() {
            continue;
        }
        let grads = engine.grads(node.id);
        places.sort_unstable();
        places.dedup();
        for ((r, c), x, row, col) in places {
            let value = look.at(node.id, r, c);
            let (_, operands) = look.back(node.id, node.op, r, c, value);
            let same = operands.iter().filter(|o| (o.tensor, o.row, o.col) == (x, row, col));
            let (mut local, mut uses) = (0.0, 0);
            same.for_each(|operand| {
                local += operand.local;
                uses += 1;
            });
            if uses > 0 {
                let grad = grads[r * node.shape.cols + c];
                found.push(User { tensor: node.id, row: r, col: c, value, grad, local });
            }
        }
    }
    found
}

/// Where a number really is: in a tensor of its own, or at a place of the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Param(usize),
    Tensor(Id, usize, usize),
}

impl Look<'_> {
    fn home(&self, tensor: Id, row: usize, col: usize) -> Home {
        let Node { op, shape, .. } = self.nodes[tensor.0 as usize];
        match op {
            Op::Param { offset } => Home::Param(offset + row * shape.cols + col),
            Op::Columns { x, start } => self.home(x, row, start + col),
            _ => Home::Tensor(tensor, row, col),
        }
    }

    /// Where tensor `x` has that number, if it has it.
    fn seen_through(&self, x: Id, home: Home) -> Option<(usize, usize)> {
        let Node { op, shape, .. } = self.nodes[x.0 as usize];
        match (op, home) {
            (Op::Param { offset }, Home::Param(place)) => {
                let place = place.checked_sub(offset).filter(|&place| place < shape.len())?;
                Some((place / shape.cols, place % shape.cols))
            }
            (Op::Columns { x, start }, _) => {
                let (row, col) = self.seen_through(x, home)?;
                Some((row, col.checked_sub(start).filter(|&col| col < shape.cols)?))
            }
            (_, Home::Tensor(id, row, col)) if id == x => Some((row, col)),
            _ => None,
        }
    }

    /// The places of `y` that may have been computed from `[row, col]` of its operand `x`: all that were, and a few more.
    fn candidates(&self, y: &Node, x: Id, row: usize, col: usize) -> Vec<(usize, usize)> {
        let Shape { rows, cols } = y.shape;
        let all = |rows: std::ops::Range<usize>, cols: std::ops::Range<usize>| {
            rows.flat_map(|r| cols.clone().map(move |c| (r, c))).collect::<Vec<_>>()
        };
        let column = |col: usize| all(0..rows, col..(col + 1).min(cols));
        match y.op {
            Op::Param { .. } | Op::Columns { .. } | Op::Sinusoids => vec![],
            Op::Gather { by, .. } => {
                let same = by.of(self.batch).iter().enumerate().filter(|(_, index)| **index as usize == row);
                same.map(|(r, _)| (r, col)).filter(|(r, _)| *r < rows).collect()
            }
            Op::Pick { .. } | Op::Sum(_) | Op::Dot(..) => vec![(row, 0)],
            Op::Total(_) => vec![(0, 0)],
            Op::Affine { .. }
            | Op::Pow { .. }
            | Op::Exp(_)
            | Op::Ln(_)
            | Op::Tanh(_)
            | Op::Feature(_)
            | Op::Dropout { .. }
            | Op::Activate { .. }
            | Op::Gate { .. }
            | Op::OffMax(_)
            | Op::Recede { .. } => vec![(row, col)],
            // b may be one row or one column for all.
            Op::Add(..) | Op::Mul(..) | Op::Div(..) => {
                let shape = self.shape(x);
                let rows = if shape.rows > 1 { row..row + 1 } else { 0..rows };
                all(rows, if shape.cols > 1 { col..col + 1 } else { 0..cols })
            }
            Op::Reshape(x) => {
                let place = row * self.shape(x).cols + col;
                vec![(place / cols, place % cols)]
            }
            Op::Linear { x: input, w } => {
                let mut places = if x == input { all(row..row + 1, 0..cols) } else { vec![] };
                places.extend(if x == w { column(row) } else { vec![] });
                places
            }
            Op::Window { x: input, width } => {
                let inputs = self.shape(input).cols;
                let places = (0..width).map(|back| (row + back, back * inputs + col));
                places.filter(|&(r, c)| r < rows && c < cols).collect()
            }
            Op::Recur { x: input, .. } if x == input => vec![(row, col % cols)],
            Op::Recur { u, .. } if x == u => column(row % cols),
            Op::Recur { c, .. } if x == c => column(col % cols),
            Op::Recur { .. } if x == y.id => all(row + 1..(row + 2).min(rows), 0..cols),
            Op::Rotate { x: input, heads, .. } => {
                let pair = pairs(self.shape(input).cols, heads).find(|pair| pair.a == col || pair.b == col);
                pair.map_or(vec![], |pair| vec![(row, pair.a), (row, pair.b)])
            }
            Op::Scores { q, k, sight, .. } => {
                let (heads, d) = (sight.heads(), self.shape(q).cols / sight.heads());
                let mut places = Vec::new();
                if x == q {
                    let r = row * heads + col / d;
                    places.extend(all(r..r + 1, 0..cols));
                }
                if x == k {
                    let serves = (0..heads).filter(|h| h / sight.group() == col / d);
                    for (h, token) in serves.flat_map(|h| (row..rows / heads).map(move |token| (h, token))) {
                        let first = self.context(token, sight).map_or(0, |(first, _)| first);
                        let seen = row.checked_sub(first).filter(|&c| c < cols);
                        places.extend(seen.map(|c| (token * heads + h, c)));
                    }
                }
                places
            }
            Op::Mix { a, v, sight } => {
                let (heads, d) = (sight.heads(), cols / sight.heads());
                let mut places = Vec::new();
                if x == a {
                    let (token, head) = (row / heads, row % heads);
                    places.extend(all(token..token + 1, head * d..(head + 1) * d));
                }
                if x == v {
                    let serves = (0..heads).filter(|h| h / sight.group() == col / d);
                    places.extend(serves.flat_map(|h| all(row..rows, h * d + col % d..h * d + col % d + 1)));
                }
                places
            }
            // What one piece computes: of its row, or of all of it.
            Op::RmsNorm(_) | Op::LinearOnto { .. } | Op::LinearBias { .. } if self.shape(x).rows == rows => {
                all(row..row + 1, 0..cols)
            }
            _ => all(0..rows, 0..cols),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{find, tests::trained_as, why};
    use super::*;
    use crate::choices::Choice;
    use crate::config::Config;
    use crate::family::Family;
    use crate::norm::Norm;
    use crate::position::Position;
    use crate::sight::AttentionKind;

    /// What its users hand on is a number's whole gradient, and each of them says the same when asked.
    #[test]
    fn a_gradient_is_what_all_users_hand_on() {
        let all = Config { n_kv_head: 2, window: 3, softcap: 2.0, ..Config::default() };
        let mut configs = vec![
            Config::default(),
            Config { position: Position::Rotary, tied: true, qk_norm: true, ..all.clone() },
            Config { position: Position::Alibi, n_layer: 2, bias: true, ..all },
            Config { attention: AttentionKind::Linear, dropout: 0.2, ..Config::default() },
        ];
        configs.extend(Norm::ALL.iter().map(|&norm| Config { norm, bias: true, ..Config::default() }));
        configs.push(Config { activation: "g * tanh(x)".parse_activation(), ..Config::default() });
        for &model in Family::ALL.iter().filter(|&&model| model != Family::BigramCounts) {
            configs.push(Config { model, n_layer: 2, n_embd: 4, n_head: 2, ..Config::default() });
        }
        for config in configs {
            let small = Config { n_embd: 4.max(config.n_head * 2), mlp_hidden: 6, ..config };
            let (trainer, batch) = trained_as(small.clone());
            let engine: &dyn Engine = &*trainer.engine;
            let loss = find(engine, "loss").unwrap().id;
            for node in engine.nodes().iter().filter(|node| node.id < loss) {
                let grads = engine.grads(node.id);
                for place in 0..node.shape.len() {
                    let (row, col) = (place / node.shape.cols, place % node.shape.cols);
                    let users = users(engine, &batch, node.id, row, col, loss);
                    let sum: f64 = users.iter().map(|user| user.local * user.grad).sum();
                    let g = grads[place];
                    assert!(
                        (sum - g).abs() <= 1e-12 + 1e-9 * g.abs(),
                        "{small:?} {node:?} {place}: {sum} {g}"
                    );
                }
                // The last number is asked for from the other side.
                let (row, col) = (node.shape.rows - 1, node.shape.cols - 1);
                for user in users(engine, &batch, node.id, row, col, loss) {
                    let why = why(engine, &batch, user.tensor, user.row, user.col);
                    assert_eq!((why.value, why.grad), (user.value, user.grad));
                }
            }
        }
    }

    trait Parse {
        fn parse_activation(&self) -> crate::activation::Activation;
    }

    impl Parse for str {
        fn parse_activation(&self) -> crate::activation::Activation {
            crate::activation::Activation::parse(self).unwrap()
        }
    }
}
