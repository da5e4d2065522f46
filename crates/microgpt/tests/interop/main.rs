//! Against PyTorch's numbers, which the scripts in `tests/interop` have recorded. One module a topic.

mod activation;
mod attention;
mod block;
mod golden;
mod norm;
mod optim;
mod schedule;

use golden::Table;
use microgpt::batch::Batch;
use microgpt::engine::{fast::Fast, scalar::Scalar};
use microgpt::real::Real;
use microgpt::tensor::{Engine, Index, Learner, Shape, Tensor};

/// Of a tensor and of parameters.
type Function<'f> = dyn for<'e> Fn(&'e dyn Engine, Tensor<'e>, &[Tensor<'e>]) -> Tensor<'e> + 'f;

/// What `f` makes of `x`, and the gradients of sum(f(x) * dy): that of x first, then of each of `params`. On both
/// engines, with shortcuts and without: a name and the tables' numbers of each.
fn on_each_engine(
    x: &Table,
    params: &[&Table],
    dy: &Table,
    f: &Function<'_>,
) -> Vec<(&'static str, Vec<Vec<f64>>)> {
    let tables: Vec<&Table> = [x].into_iter().chain(params.iter().copied()).chain([dy]).collect();
    let flat: Vec<f64> = tables.iter().flat_map(|table| table.numbers.iter().copied()).collect();
    let narrow: Vec<f32> = flat.iter().map(|&x| x as f32).collect();
    vec![
        ("scalar", run(Scalar::new(flat), &tables, f)),
        ("fast", run(Fast::new(narrow.clone()), &tables, f)),
        ("fast, without shortcuts", run(Fast::without_shortcuts(narrow), &tables, f)),
    ]
}

fn run<R: Real>(mut engine: impl Learner<R>, tables: &[&Table], f: &Function<'_>) -> Vec<Vec<f64>> {
    // All rows are one document: row r stands at position r, and by that is looked up.
    let rows = tables[0].rows;
    let mut batch = Batch::default();
    batch.push_document(&vec![0; rows + 1], rows);
    engine.begin(&batch);
    let mut ends: Vec<usize> = Vec::new();
    let (y, loss) = {
        let engine: &dyn Engine = &engine;
        let params: Vec<Tensor<'_>> = tables
            .iter()
            .map(|table| {
                let offset = ends.last().copied().unwrap_or(0);
                ends.push(offset + table.numbers.len());
                Tensor::param(engine, offset, Shape::new(table.rows, table.cols))
            })
            .collect();
        let (dy, params) = params.split_last().unwrap();
        let y = f(engine, params[0].gather(Index::Positions, rows), &params[1..]);
        (y.id(), y.dot(dy.gather(Index::Positions, rows)).total().id())
    };
    engine.backward(loss);
    let mut found = vec![engine.values(y)];
    let (_, grads) = engine.slices();
    let mut start = 0;
    for end in &ends[..ends.len() - 1] {
        found.push(grads[start..*end].iter().map(|g| g.to_f64()).collect());
        start = *end;
    }
    found
}
