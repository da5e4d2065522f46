//! The handle and its operators, and what an engine has to offer. For the letters see [`crate::op`].

pub use crate::op::{Id, Index, Label, Op, Order, Shape};
use crate::{activation::Activation, batch::Batch, cell::Cell, real::Real, real::pow};
use std::ops::Range;
use std::panic::Location;

mod attention;
mod position;

/// Computes operations, one at a time and at once, and remembers them.
pub trait Engine {
    /// Runs an operation now.
    ///
    /// # Panics
    /// If the shapes do not fit.
    fn eval(&self, op: Op, shape: Shape) -> Id;

    /// Has it a kernel for this composite? The definition in primitives is used where not.
    fn fuses(&self, _op: &Op) -> bool {
        false
    }

    /// Hears in which order the outputs of the linear map behind `tensor` are met.
    fn order(&self, _tensor: Id, _order: Order) {}

    /// Hears which line of source computed a tensor.
    fn line(&self, _tensor: Id, _line: &'static Location<'static>) {}

    /// Which line of source computed it, if the engine remembers.
    fn line_of(&self, _tensor: Id) -> Option<&'static Location<'static>> {
        None
    }

    /// Gives a tensor its name.
    fn label(&self, tensor: Id, layer: Option<usize>, name: &'static str);

    /// How many columns attention scores have: the longest context of the batch, S.
    fn longest(&self) -> usize;

    /// How many rows the loss is divided by.
    fn loss_rows(&self) -> usize;

    /// This step's chance, by which [`Tensor::dropout`] lets numbers fall out; none where nothing is learnt.
    fn chance(&self) -> Option<u64>;

    /// In decoding, how many rows each memory has; else none.
    fn memory_rows(&self) -> Option<usize>;

    /// The number at `row` and `col` of a tensor.
    fn number(&self, tensor: Id, row: usize, col: usize) -> f64;

    /// Does it draw tokens faster than [`crate::sample`] does with the numbers of a row?
    fn draws(&self) -> bool {
        false
    }

    /// For each of these rows: the column that its `u`, of 0 to 1, falls on, where each is as wide as its part of
    /// softmax(row / temperature). False if a row holds no numbers.
    fn draw(&self, _tensor: Id, _rows: &[usize], _temperature: f64, _us: &[f64], _found: &mut [u32]) -> bool {
        false
    }

    /// Appends the numbers of a tensor's row to `out`.
    fn read_row(&self, tensor: Id, row: usize, out: &mut Vec<f64>);

    /// The numbers of a tensor, row by row.
    fn values(&self, tensor: Id) -> Vec<f64>;

    /// After `backward`: how fast the loss changes with each of them.
    fn grads(&self, tensor: Id) -> Vec<f64>;

    /// Every tensor of this step in the order in which it was computed.
    fn nodes(&self) -> Vec<Node>;
}

/// A tensor as the engine remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Which.
    pub id: Id,
    /// What computed it.
    pub op: Op,
    /// Rows and columns.
    pub shape: Shape,
    /// Its name, if it was given one.
    pub label: Option<Label>,
}

/// An engine that trains: it holds the parameters and their gradients, two flat slices in the order of the layout.
pub trait Learner<R: Real>: Engine + Send {
    /// The next step: forgets all tensors, sets all gradients to 0, and takes the batch that the operations refer to.
    /// Nothing falls out of it, unless [`Learner::leave_to`] comes next.
    fn begin(&mut self, batch: &Batch);

    /// Leaves to this chance what falls out of this step.
    fn leave_to(&mut self, chance: u64);

    /// From now on the gradient of a tensor of the step may be forgotten as soon as it was handed on to what the tensor
    /// was computed from: those of the parameters are all that is wanted. Engines that keep all do.
    fn spare_memory(&mut self) {}

    /// Adds to each gradient how fast the loss changes with that parameter.
    ///
    /// # Panics
    /// If the loss is not one number.
    fn backward(&mut self, loss: Id);

    /// The same; what was put aside as number 0 to `aside` is added too, and `ready` is given each parameter's gradient
    /// once, when that is done: the engine may do it while it computes others.
    fn backward_while(&mut self, loss: Id, aside: usize, ready: &mut dyn FnMut(Range<usize>, &[R])) {
        self.backward(loss);
        (0..aside).for_each(|i| self.add_aside(i));
        let grads = self.slices().1;
        ready(0..grads.len(), grads);
    }

    /// The parameters.
    fn params(&self) -> std::cell::Ref<'_, [R]>;

    /// The parameters and the gradients, to change.
    fn slices(&mut self) -> (&mut [R], &mut [R]);

    /// Puts the parameters' gradients aside, as number `i`; what is in their place is arbitrary until the next step.
    fn put_aside(&mut self, i: usize);
    /// Adds what was put aside as number `i` to the gradients.
    fn add_aside(&mut self, i: usize);

    /// From now on measures, by this clock, how long each kind of operation takes. Engines that cannot do not.
    fn watch(&mut self, _now: fn() -> u64) {}

    /// Since [`Learner::watch`]: each kind of operation (as it first came), and its time forwards and backwards.
    fn watched(&self) -> Vec<(Op, [u64; 2])> {
        Vec::new()
    }

    /// Makes room to decode: `slots` memories of `rows` rows of `cols` numbers. Forgets all tensors.
    fn reserve_memory(&mut self, slots: usize, rows: usize, cols: usize);
}

/// One tensor of one step: a number that is computed has a value as soon as its line has run.
#[derive(Clone, Copy)]
pub struct Tensor<'e> {
    engine: &'e dyn Engine,
    id: Id,
    shape: Shape,
}

impl<'e> Tensor<'e> {
    /// Parameters as a tensor: `shape.len()` numbers of the flat slice, from `offset` on.
    #[track_caller]
    pub fn param(engine: &'e dyn Engine, offset: usize, shape: Shape) -> Tensor<'e> {
        Tensor::eval(engine, Op::Param { offset }, shape)
    }

    /// A tensor that was computed before, to go on with.
    pub fn of(engine: &'e dyn Engine, node: &Node) -> Tensor<'e> {
        Tensor { engine, id: node.id, shape: node.shape }
    }

    #[track_caller]
    fn eval(engine: &'e dyn Engine, op: Op, shape: Shape) -> Tensor<'e> {
        let id = engine.eval(op, shape);
        engine.line(id, Location::caller());
        Tensor { engine, id, shape }
    }

    #[track_caller]
    fn op(self, op: Op, rows: usize, cols: usize) -> Tensor<'e> {
        Tensor::eval(self.engine, op, Shape { rows, cols })
    }

    /// What needs no tensors but parameters: the shortcut if the engine has one, else the definition.
    pub(crate) fn from_params(
        engine: &'e dyn Engine,
        op: Op,
        shape: Shape,
        definition: impl FnOnce() -> Tensor<'e>,
    ) -> Tensor<'e> {
        if engine.fuses(&op) { Tensor { engine, id: engine.eval(op, shape), shape } } else { definition() }
    }

    /// The shortcut if the engine has one, else the definition.
    #[track_caller]
    pub(crate) fn composite(
        self,
        op: Op,
        shape: Shape,
        definition: impl FnOnce() -> Tensor<'e>,
    ) -> Tensor<'e> {
        if self.engine.fuses(&op) { self.op(op, shape.rows, shape.cols) } else { definition() }
    }

    /// Which tensor it is.
    pub fn id(self) -> Id {
        self.id
    }

    /// Rows and columns.
    pub fn shape(self) -> Shape {
        self.shape
    }

    /// Gives it a name to be asked for by; returns it.
    pub fn named(self, layer: Option<usize>, name: &'static str) -> Tensor<'e> {
        self.engine.label(self.id, layer, name);
        self
    }

    /// A row of this table for each row of the batch: `[T, C]`.
    #[track_caller]
    pub fn gather(self, by: Index, rows: usize) -> Tensor<'e> {
        self.op(Op::Gather { w: self.id, by }, rows, self.shape.cols)
    }

    /// One number of each row: `[T, 1]`.
    #[track_caller]
    pub fn pick(self, by: Index) -> Tensor<'e> {
        self.op(Op::Pick { x: self.id, by }, self.shape.rows, 1)
    }

    /// Columns `start..start + count`: the same numbers under another name.
    ///
    /// # Panics
    /// If there are not that many.
    #[track_caller]
    pub fn columns(self, start: usize, count: usize) -> Tensor<'e> {
        assert!(start + count <= self.shape.cols, "columns {start}..{} of {}", start + count, self.shape);
        self.op(Op::Columns { x: self.id, start }, self.shape.rows, count)
    }

    /// In decoding: these rows, and those of the same documents that were remembered in `slot` before. Else: these rows.
    #[track_caller]
    pub fn remember(self, slot: usize) -> Tensor<'e> {
        match self.engine.memory_rows() {
            Some(rows) => self.op(Op::Remember { x: self.id, slot }, rows, self.shape.cols),
            None => self,
        }
    }

    /// x * scale + shift.
    #[track_caller]
    pub fn affine(self, scale: f64, shift: f64) -> Tensor<'e> {
        self.op(Op::Affine { x: self.id, scale, shift }, self.shape.rows, self.shape.cols)
    }

    /// x to the power of a plain number.
    #[track_caller]
    pub fn pow(self, exponent: f64) -> Tensor<'e> {
        self.op(Op::Pow { x: self.id, exponent }, self.shape.rows, self.shape.cols)
    }

    /// e to the x.
    #[track_caller]
    pub fn exp(self) -> Tensor<'e> {
        self.op(Op::Exp(self.id), self.shape.rows, self.shape.cols)
    }

    /// The natural logarithm.
    #[track_caller]
    pub fn ln(self) -> Tensor<'e> {
        self.op(Op::Ln(self.id), self.shape.rows, self.shape.cols)
    }

    /// The hyperbolic tangent.
    #[track_caller]
    pub fn tanh(self) -> Tensor<'e> {
        self.op(Op::Tanh(self.id), self.shape.rows, self.shape.cols)
    }

    /// The same numbers, row after row, in rows of `cols`.
    ///
    /// # Panics
    /// If they do not fill such rows.
    #[track_caller]
    pub fn reshape(self, cols: usize) -> Tensor<'e> {
        assert!(self.shape.len().is_multiple_of(cols), "{} in rows of {cols}", self.shape);
        self.op(Op::Reshape(self.id), self.shape.len() / cols, cols)
    }

    /// In training, the part `rate` of the numbers is 0, and the others 1 / (1 - rate) times as large; else: x.
    ///
    /// Srivastava et al., "Dropout" (2014). Which ones is chance, and the same chance for every engine and any cut of the
    /// batch: it follows from the step, from `place` (a number for each use in the model), from the document, the position
    /// and the channel.
    ///
    /// # Panics
    /// If there is not a row for each of the batch, or not 0 <= rate < 1.
    #[track_caller]
    pub fn dropout(self, rate: f64, place: usize) -> Tensor<'e> {
        assert!((0.0..1.0).contains(&rate), "dropout of {rate}");
        if rate == 0.0 || self.engine.chance().is_none() {
            return self;
        }
        let place = u32::try_from(place).expect("a place below 2^32");
        self.op(Op::Dropout { x: self.id, rate, place }, self.shape.rows, self.shape.cols)
    }

    /// f(x).
    #[track_caller]
    pub fn activate(self, f: Activation) -> Tensor<'e> {
        self.op(Op::Activate { x: self.id, f }, self.shape.rows, self.shape.cols)
    }

    /// f(x, g).
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn gate(self, g: Tensor<'e>, f: Activation) -> Tensor<'e> {
        assert_eq!(self.shape, g.shape, "gate of {} and {}", self.shape, g.shape);
        self.op(Op::Gate { x: self.id, g: g.id, f }, self.shape.rows, self.shape.cols)
    }

    /// x - max(x), row by row, where the maximum is a plain number.
    #[track_caller]
    pub fn off_max(self) -> Tensor<'e> {
        self.op(Op::OffMax(self.id), self.shape.rows, self.shape.cols)
    }

    /// The sum of each row: `[rows, 1]`.
    #[track_caller]
    pub fn sum(self) -> Tensor<'e> {
        self.op(Op::Sum(self.id), self.shape.rows, 1)
    }

    /// The sum of all numbers: `[1, 1]`.
    #[track_caller]
    pub fn total(self) -> Tensor<'e> {
        self.op(Op::Total(self.id), 1, 1)
    }

    /// sum(a * b) of each row: `[rows, 1]`.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn dot(self, other: Tensor<'e>) -> Tensor<'e> {
        assert_eq!(self.shape, other.shape, "dot of {} and {}", self.shape, other.shape);
        self.op(Op::Dot(self.id, other.id), self.shape.rows, 1)
    }

    /// Beside each of `rows` rows the `width` - 1 before it of the same document, the nearest first, and 0 where there are
    /// none: `[T, C]` to `[T, width C]`. In decoding, x is what was [remembered](Tensor::remember).
    ///
    /// # Panics
    /// If the width is 0.
    #[track_caller]
    pub fn window(self, width: usize, rows: usize) -> Tensor<'e> {
        assert!(width > 0, "a window of no rows");
        self.op(Op::Window { x: self.id, width }, rows, width * self.shape.cols)
    }

    /// The states of a cell, `[T, C]`, of what comes in, `[T, G C]`; u `[G C, C]`, c `[1, G C]`. See [`crate::cell`].
    ///
    /// In decoding, they are remembered in `slot`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn recur(self, cell: Cell, u: Tensor<'e>, c: Tensor<'e>, slot: usize) -> Tensor<'e> {
        let (wide, channels) = (self.shape.cols, u.shape.cols);
        let fits = wide == cell.gates() * channels && u.shape.rows == wide && c.shape == Shape::new(1, wide);
        assert!(fits, "{cell:?} over {}: u {}, c {}", self.shape, u.shape, c.shape);
        let op = Op::Recur { x: self.id, u: u.id, c: c.id, cell, slot };
        let states = self.op(op, self.shape.rows, channels);
        states.remember(slot);
        states
    }

    /// y = x w^T: `[T, I]` and `[O, I]` to `[T, O]`.
    ///
    /// # Panics
    /// If the inputs are not as many as the columns of w.
    #[track_caller]
    pub fn linear(self, w: Tensor<'e>) -> Tensor<'e> {
        assert_eq!(self.shape.cols, w.shape.cols, "linear of {} by {}", self.shape, w.shape);
        self.op(Op::Linear { x: self.id, w: w.id }, self.shape.rows, w.shape.rows)
    }

    /// onto + x w^T: what a layer adds to the stream.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn linear_onto(self, w: Tensor<'e>, onto: Tensor<'e>) -> Tensor<'e> {
        assert_eq!(self.shape.cols, w.shape.cols, "linear of {} by {}", self.shape, w.shape);
        let op = Op::LinearOnto { x: self.id, w: w.id, onto: onto.id };
        self.composite(op, onto.shape, || self.linear(w) + onto)
    }

    /// The same direction at length 1 a channel: x / sqrt(mean(x^2) + 1e-5), row by row.
    ///
    /// Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019); without a gain.
    pub fn rmsnorm(self) -> Tensor<'e> {
        self.composite(Op::RmsNorm(self.id), self.shape, || {
            let mean_square = self.dot(self).affine(pow(self.shape.cols as f64, -1.0), RMS_EPS);
            self * mean_square.pow(-0.5)
        })
    }

    /// Each row to probabilities: exp(x) / sum(exp(x)). Taking off the maximum only keeps exp from overflowing.
    pub fn softmax(self) -> Tensor<'e> {
        let exps = self.off_max().exp();
        exps / exps.sum()
    }

    /// The mean over rows of -ln(softmax(x)\[target]): how surprised the model is, in nats per token. `[1, 1]`.
    pub fn cross_entropy(self) -> Tensor<'e> {
        self.composite(Op::CrossEntropy(self.id), Shape::new(1, 1), || {
            self.engine.order(self.id, Order::TargetFirst);
            let exps = self.off_max().exp();
            let probability = exps.pick(Index::Targets) / exps.sum();
            let losses = probability.ln().affine(-1.0, 0.0).named(None, "losses");
            losses.total().affine(1.0 / self.engine.loss_rows() as f64, 0.0)
        })
        .named(None, "loss")
    }
}

/// What rmsnorm adds to the mean square, so that a row of zeros stays one.
pub const RMS_EPS: f64 = 1e-5;

impl<'e> std::ops::Add for Tensor<'e> {
    type Output = Tensor<'e>;
    #[track_caller]
    fn add(self, other: Tensor<'e>) -> Tensor<'e> {
        assert_broadcast(self.shape, other.shape, '+');
        self.op(Op::Add(self.id, other.id), self.shape.rows, self.shape.cols)
    }
}

/// Is b as a, or one row or one column (or one number) for all of a's?
fn assert_broadcast(a: Shape, b: Shape, sign: char) {
    let fits = |a: usize, b: usize| b == a || b == 1;
    assert!(fits(a.rows, b.rows) && fits(a.cols, b.cols), "{a} {sign} {b}");
}

impl<'e> std::ops::Mul for Tensor<'e> {
    type Output = Tensor<'e>;
    #[track_caller]
    fn mul(self, other: Tensor<'e>) -> Tensor<'e> {
        assert_broadcast(self.shape, other.shape, '*');
        self.op(Op::Mul(self.id, other.id), self.shape.rows, self.shape.cols)
    }
}

impl<'e> std::ops::Div for Tensor<'e> {
    type Output = Tensor<'e>;
    #[track_caller]
    fn div(self, other: Tensor<'e>) -> Tensor<'e> {
        assert!(other.shape.rows == self.shape.rows, "{} / {}", self.shape, other.shape);
        assert_broadcast(self.shape, other.shape, '/');
        self.op(Op::Div(self.id, other.id), self.shape.rows, self.shape.cols)
    }
}
