//! Where a token stands, as a thing to compute with.

use super::{Engine, Index, Op, Shape, Tensor};

impl<'e> Tensor<'e> {
    /// What each token is (a row of this table), and where it stands (a row of `places`): two of `[T, C]`.
    pub fn what_and_place(self, places: Tensor<'e>, rows: usize) -> [Tensor<'e>; 2] {
        let what = self.gather(Index::Tokens, rows).named(None, "token");
        [what, places.gather(Index::Positions, rows).named(None, "position")]
    }

    /// What each token is (a row of this table) and where it stands (a row of `places`), added and normed: `[T, C]`.
    ///
    /// # Panics
    /// If the rows of the two tables differ in length.
    pub fn embed(self, places: Tensor<'e>, rows: usize) -> Tensor<'e> {
        let (what, place) = (self.shape, places.shape);
        assert_eq!(what.cols, place.cols, "embed {what} and {place}");
        let op = Op::Embed { tokens: self.id, places: places.id };
        self.composite(op, Shape::new(rows, what.cols), || {
            let [what, place] = self.what_and_place(places, rows);
            (what + place).rmsnorm()
        })
        .named(None, "embedded")
    }

    /// The fixed row of each row's position: `sin(p / 10000^(2i/C))` in column 2i, the cosine of the same in 2i + 1.
    ///
    /// Vaswani et al., "Attention Is All You Need" (2017), section 3.5. Shapes: `[rows, cols]`.
    #[track_caller]
    pub fn sinusoids(engine: &'e dyn Engine, rows: usize, cols: usize) -> Tensor<'e> {
        Tensor::eval(engine, Op::Sinusoids, Shape::new(rows, cols))
    }

    /// Each of `heads` heads with its pairs of numbers turned by an angle that grows with the position p:
    ///
    /// `(a, b) -> (a cos w - b sin w, b cos w + a sin w)`, `w = p / base^(2j/D)`, a number j of the head, b number j + D/2.
    ///
    /// The product of a query and a key then depends on how far they are apart, not on where they are. Su et al.,
    /// "RoFormer" (2021), pairs neighbours (2j, 2j + 1); the halves are paired here, as in GPT-NeoX and the `transformers`
    /// library's LLaMA. A permutation of the weights makes the one of the other.
    ///
    /// # Panics
    /// If the heads are not of one, even size.
    #[track_caller]
    pub fn rotate(self, heads: usize, base: f64) -> Tensor<'e> {
        let Shape { rows, cols } = self.shape;
        assert!(cols.is_multiple_of(2 * heads), "pairs of {heads} heads of {}", self.shape);
        self.op(Op::Rotate { x: self.id, heads: heads as u32, base }, rows, cols)
    }
}
