//! A whole layer of GPT-2's kind: `tests/interop/block.py`.

use crate::golden::Golden;
use microgpt::activation::Activation;
use microgpt::batch::Batch;
use microgpt::config::Config;
use microgpt::engine::{fast::Fast, scalar::Scalar};
use microgpt::layout::Layout;
use microgpt::model::layer::Layer;
use microgpt::norm::Norm;
use microgpt::real::Real;
use microgpt::tensor::{Engine, Index, Learner, Tensor};

#[test]
fn a_layer_with_layernorm_and_biases_is_pytorchs() {
    let golden = Golden::read("block");
    let x = golden.get("x");
    let config = Config {
        n_layer: 1,
        n_head: golden.get("heads").numbers[0] as usize,
        n_embd: x.cols,
        block_size: x.rows,
        mlp_hidden: golden.get("mlp_fc1").rows,
        norm: Norm::LayerNorm,
        bias: true,
        activation: Activation::parse("gelu_tanh").unwrap(),
        ..Config::default()
    };
    let layout = Layout::new(&config, 1);
    // The table of positions is x, and what each number of the output counts stands behind the parameters.
    let mut params = vec![0.0; layout.len()];
    for matrix in layout.matrices() {
        let table = match matrix.name.strip_prefix("layer0.") {
            Some(name) => golden.get(name),
            None if matrix.name == "wpe" => x,
            None => continue,
        };
        params[matrix.range()].copy_from_slice(&table.numbers);
    }
    params.extend(&golden.get("dy").numbers);
    let narrow: Vec<f32> = params.iter().map(|&p| p as f32).collect();
    check(Scalar::new(params), "scalar", &config, &layout, &golden);
    check(Fast::new(narrow.clone()), "fast", &config, &layout, &golden);
    check(Fast::without_shortcuts(narrow), "fast, without shortcuts", &config, &layout, &golden);
}

fn check<R: Real>(
    mut engine: impl Learner<R>,
    name: &str,
    config: &Config,
    layout: &Layout,
    golden: &Golden,
) {
    let wpe = layout.find("wpe").unwrap();
    let rows = wpe.shape.rows;
    let mut batch = Batch::default();
    batch.push_document(&vec![0; rows + 1], rows);
    engine.begin(&batch);
    let (y, loss) = {
        let engine: &dyn Engine = &engine;
        let table = |offset: usize| Tensor::param(engine, offset, wpe.shape).gather(Index::Positions, rows);
        let y = Layer::new(config, layout, 0).forward(engine, table(wpe.offset));
        (y.id(), y.dot(table(layout.len())).total().id())
    };
    engine.backward(loss);
    golden.get("y").hold(&engine.values(y), name);
    let (_, grads) = engine.slices();
    for matrix in layout.matrices() {
        let grad: Vec<f64> = grads[matrix.range()].iter().map(|g| g.to_f64()).collect();
        match matrix.name.strip_prefix("layer0.") {
            // No attention changes when all keys do: this gradient is 0 but for rounding.
            Some("attn_wk_bias") => assert!(grad.iter().all(|g| g.abs() < 1e-5), "{name}: {grad:?}"),
            Some(part) => golden.get(&format!("d_{part}")).hold(&grad, name),
            None if matrix.name == "wpe" => golden.get("dx").hold(&grad, name),
            None => {}
        }
    }
}
