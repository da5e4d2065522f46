//! The fast engine against the scalar one: the same logits, loss and gradients, at odd shapes, with its shortcuts and
//! without them, on every set of instructions that the machine has.

use microgpt::activation::{Activation, Named};
use microgpt::batch::Batch;
use microgpt::choices::Choice;
use microgpt::config::Config;
use microgpt::engine::{fast::Fast, scalar::Scalar};
use microgpt::family::Family;
use microgpt::inspect;
use microgpt::model::Model;
use microgpt::position::Position;
use microgpt::real::Real;
use microgpt::rng::Rng;
use microgpt::sight::AttentionKind;
use microgpt::tensor::{Engine, Index, Learner, Shape, Tensor};
use microgpt_kernels::level;
use std::sync::Mutex;

/// The set of instructions is one for the whole process: tests that change it take turns.
static LEVEL: Mutex<()> = Mutex::new(());

fn batch_of(lengths: &[usize], vocab_size: usize, rng: &mut Rng) -> Batch {
    let mut batch = Batch::default();
    for &len in lengths {
        let tokens: Vec<u32> = (0..=len).map(|_| rng.below(vocab_size) as u32).collect();
        batch.push_document(&tokens, len);
    }
    batch
}

/// Logits, loss, and the gradient of every parameter.
fn run<R: Real>(mut engine: impl Learner<R>, model: &Model, batch: &Batch) -> (Vec<f64>, f64, Vec<f64>) {
    engine.begin(batch);
    let [loss, objective] = model.loss(&engine, batch).map(|tensor| tensor.id());
    let logits = engine.values(inspect::find(&engine, "logits").unwrap().id);
    let loss_now = engine.number(loss, 0, 0);
    engine.backward(objective);
    let grads = engine.slices().1.iter().map(|g| g.to_f64()).collect();
    (logits, loss_now, grads)
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// |found - expected| / |expected|, as vectors; or as a part of `floor`, where that is larger.
fn distance(found: &[f64], expected: &[f64], floor: f64) -> f64 {
    let difference: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(expected).max(floor).max(1e-30)
}

fn compare(config: &Config, lengths: &[usize], vocab_size: usize) {
    let mut rng = Rng::new(5);
    let model = Model::new(config, vocab_size);
    let batch = batch_of(lengths, vocab_size, &mut rng);
    let params: Vec<f32> = model.layout.init(&mut rng).unwrap();
    let exact = Scalar::new(params.iter().map(|&p| f64::from(p)).collect());
    let (logits, loss, grads) = run(exact, &model, &batch);
    for &level in &level::available() {
        level::set(level);
        for engine in [Fast::new(params.clone()), Fast::without_shortcuts(params.clone())] {
            let what = format!("{level:?} {config:?} {lengths:?} {vocab_size}");
            let found = run(engine, &model, &batch);
            let error = distance(&found.0, &logits, 0.0);
            assert!(error < 1e-5, "{what}: logits {error:e}");
            assert!((found.1 - loss).abs() < 1e-5 * loss.abs(), "{what}: loss {} {loss}", found.1);
            for matrix in model.layout.matrices() {
                // A gradient that is zero beside the others (one token: nothing to attend to), or the difference of
                // two that are equal (one channel: rmsnorm is a sign), is what rounding leaves of it.
                let zero = norm(&grads[matrix.range()]) < 1e-6 * norm(&grads) || config.n_embd == 1;
                let floor = if zero { norm(&grads) } else { 0.0 };
                let error = distance(&found.2[matrix.range()], &grads[matrix.range()], floor);
                assert!(error < 1e-5, "{what}: gradient of {}: {error:e}", matrix.name);
            }
        }
    }
    level::set(level::Level::best());
}

#[test]
fn every_shape_has_the_scalar_engines_gradients() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let typed = ["x * sigmoid(1.702*x)", "g * sin(x) + softplus(x)"].map(|f| Activation::parse(f).unwrap());
    for activation in Named::ALL.iter().map(|&named| named.into()).chain(typed) {
        for (n_layer, n_head, n_embd) in
            [(1, 4, 16), (2, 2, 16), (1, 1, 1), (1, 3, 15), (2, 1, 17), (1, 4, 64), (1, 8, 32)]
        {
            let config = Config { n_layer, n_head, n_embd, block_size: 16, activation, ..Config::default() };
            let config = Config { init_std: 0.8 / (n_embd as f64).sqrt(), zero_init: false, ..config };
            for (lengths, vocab_size) in
                [(&[7][..], 27), (&[1], 2), (&[16, 1, 3], 33), (&[15, 16, 8, 8, 2], 16), (&[1, 1, 1], 17)]
            {
                compare(&config, lengths, vocab_size);
            }
        }
    }
}

#[test]
fn long_documents_and_wide_heads_too() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (n_head, n_embd, length) in [(4, 128, 64), (2, 64, 65), (1, 33, 31), (2, 128, 40)] {
        let config =
            Config { n_head, n_embd, block_size: 128, init_std: 0.1, zero_init: false, ..Config::default() };
        compare(&config, &[length, 5, 33], 65);
    }
}

#[test]
fn every_ancestor_has_the_scalar_engines_gradients() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // The transformer has tests of its own. (With weights as large as these, probabilities that are computed without
    // shortcuts underflow in f32.)
    for &model in Family::ALL.iter().filter(|&&model| model != Family::Gpt) {
        for (n_layer, n_embd, context) in [(1, 16, 3), (2, 5, 4), (1, 33, 1), (2, 64, 9)] {
            let config =
                Config { model, n_layer, n_embd, n_head: 1, context, init_std: 0.3, ..Config::default() };
            let config = Config { block_size: 16, zero_init: false, ..config };
            for (lengths, vocab_size) in
                [(&[7][..], 27), (&[1], 2), (&[16, 1, 3], 33), (&[1, 5, 16, 2, 8], 16)]
            {
                compare(&config, lengths, vocab_size);
            }
        }
    }
}

/// What the fast engine decodes, several documents at once and some tokens at a time, is what it computes of the whole.
#[test]
fn every_ancestor_decodes_what_it_has_learnt() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for &model in Family::ALL {
        let config = Config { model, n_layer: 2, block_size: 9, init_std: 0.5, ..Config::default() };
        let model = Model::new(&config, 7);
        let mut engine = Fast::new(model.layout.init(&mut Rng::new(1)).unwrap());
        let whole = batch_of(&[9, 6], 7, &mut Rng::new(2));
        engine.begin(&whole);
        let logits = model.forward(&engine, &whole).id();
        let expected = engine.values(logits);
        engine.reserve_memory(model.memory_slots(), 20, model.memory_cols());
        for pieces in [[0, 4, 5, 6], [0, 1, 3, 6]] {
            for piece in pieces.windows(2) {
                let mut batch = Batch { decoding: true, ..Batch::default() };
                for (start, memory) in [(0, 11), (9, 0)] {
                    batch.push_segment(&whole.tokens[start + piece[0]..start + piece[1]], piece[0], memory);
                }
                engine.begin(&batch);
                let logits = model.forward(&engine, &batch).id();
                let found = engine.values(logits);
                let rows = |start: usize| &expected[(start + piece[0]) * 7..(start + piece[1]) * 7];
                let error = distance(&found, &[rows(0), rows(9)].concat(), 0.0);
                assert!(error < 1e-5, "{config:?} {piece:?}: {error:e}");
            }
        }
    }
}

/// Token by token, and several at once, with keys and values remembered: the logits of all tokens at once.
fn decode(config: &Config, length: usize, vocab_size: usize) {
    let mut rng = Rng::new(6);
    let model = Model::new(config, vocab_size);
    let tokens: Vec<u32> = (0..length).map(|_| rng.below(vocab_size) as u32).collect();
    let mut engine = Fast::new(model.layout.init(&mut rng).unwrap());
    engine.reserve_memory(model.memory_slots(), 2 * model.block_size(), model.memory_cols());
    let mut logits = |tokens: &[u32], past: usize, decoding: bool| {
        let mut batch = Batch { decoding, ..Batch::default() };
        batch.push_segment(tokens, past, if decoding { model.block_size() } else { 0 });
        engine.begin(&batch);
        let logits = model.forward(&engine, &batch).id();
        engine.values(logits)
    };
    let whole = logits(&tokens, 0, false);
    for step in [1, 7] {
        let found = (0..length).step_by(step).flat_map(|past| {
            let end = length.min(past + step);
            logits(&tokens[past..end], past, true)
        });
        let error = distance(&found.collect::<Vec<f64>>(), &whole, 0.0);
        assert!(error < 1e-5, "decoding by {step}, {config:?}: {error:e}");
    }
}

#[test]
fn every_position_and_attention_too() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let small = Config { block_size: 64, init_std: 0.2, zero_init: false, ..Config::default() };
    let large = Config { n_head: 4, n_embd: 128, init_std: 0.1, ..small.clone() };
    for base in [small, large] {
        let all = Config { n_kv_head: 2, window: 9, softcap: 3.0, ..base.clone() };
        let (rotary, alibi) = (Position::Rotary, Position::Alibi);
        let mut configs = vec![
            Config { n_kv_head: 2, ..base.clone() },
            Config { n_kv_head: 1, window: 1, ..base.clone() },
            Config { window: 20, ..base.clone() },
            Config { softcap: 0.5, ..base.clone() },
            Config { position: rotary, ..all.clone() },
            Config { position: alibi, ..all },
            Config { attention: AttentionKind::Linear, position: rotary, n_kv_head: 2, ..base.clone() },
            Config { position: rotary, n_kv_head: 2, qk_norm: true, bias: true, tied: true, ..base.clone() },
        ];
        for (&position, &attention) in
            Position::ALL.iter().flat_map(|p| AttentionKind::ALL.iter().map(move |a| (p, a)))
        {
            configs.push(Config { position, attention, ..base.clone() });
        }
        for config in configs.iter().filter(|config| config.validate().is_ok()) {
            compare(config, &[7, 1, 16, 3], 27);
            compare(config, &[64, 5, 33], 27);
            decode(config, 40, 27);
        }
    }
}

/// Adam in f32 makes the steps that Adam in f64 makes.
#[test]
fn whole_steps_agree() {
    use microgpt::train::Trainer;
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let config = Config { init_std: 0.1, steps: 20, zero_init: false, ..Config::default() };
    let mut exact = Trainer::<f64>::new(config.clone(), 27, &mut Rng::new(1)).unwrap();
    let mut fast = Trainer::<f32>::new(config, 27, &mut Rng::new(1)).unwrap();
    let mut rng = Rng::new(2);
    for step in 0..20 {
        let batch = batch_of(&[8, 3, 6], 27, &mut rng);
        let (a, b) = (exact.step(&batch).unwrap().loss, fast.step(&batch).unwrap().loss);
        assert!((a - b).abs() < 1e-3 * a, "step {step}: {a} {b}");
    }
    let found: Vec<f64> = fast.params().iter().map(|p| p.to_f64()).collect();
    // Adam divides a gradient by its size: where there is next to none, rounding decides which way a weight goes.
    let error = distance(&found, &exact.params(), 0.0);
    assert!(error < 1e-2, "{error:e}");
}

/// A loss that is scaled, and a sum with parameters: what follows a shortcut, or goes round it.
#[test]
fn whatever_is_built_around_a_shortcut_is_right_too() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    fn run<R: Real>(mut engine: impl Learner<R>, batch: &Batch) -> (f64, Vec<f64>) {
        engine.begin(batch);
        let graph: &dyn Engine = &engine;
        let table = Tensor::param(graph, 0, Shape::new(5, 8));
        let bias = Tensor::param(graph, 40, Shape::new(batch.rows(), 8));
        let x = (table.gather(Index::Tokens, batch.rows()) + bias).rmsnorm();
        let logits = x.linear(table);
        let loss = (logits.cross_entropy().affine(0.5, 0.0) + x.dot(x).total()).affine(3.0, 1.0).id();
        engine.backward(loss);
        (engine.number(loss, 0, 0), engine.slices().1.iter().map(|g| g.to_f64()).collect())
    }
    let mut rng = Rng::new(3);
    let batch = batch_of(&[4, 3], 5, &mut rng);
    let params: Vec<f32> = (0..40 + 8 * batch.rows()).map(|_| rng.gauss(1.0) as f32).collect();
    let exact = run(Scalar::new(params.iter().map(|&p| f64::from(p)).collect()), &batch);
    for engine in [Fast::new(params.clone()), Fast::without_shortcuts(params.clone())] {
        let found = run(engine, &batch);
        assert!((found.0 - exact.0).abs() < 1e-5 * exact.0.abs());
        let error = distance(&found.1, &exact.1, 0.0);
        assert!(error < 1e-5, "{error:e}");
    }
}

/// All columns of a tensor are the tensor: what reads them under their other name hands its gradient on.
#[test]
fn all_columns_hand_their_gradient_on() {
    fn grads<R: Real>(mut engine: impl Learner<R>, cols: usize) -> Vec<f64> {
        let mut batch = Batch::default();
        batch.push_document(&[0, 1, 2, 1], 3);
        // Twice: in the second step old gradients stand where new ones go.
        for _ in 0..2 {
            engine.begin(&batch);
            let loss = {
                let engine: &dyn Engine = &engine;
                let (table, w) = (Shape::new(3, cols), Shape::new(5, cols));
                let x = Tensor::param(engine, 0, table).gather(Index::Tokens, 3);
                let y = x.columns(0, cols).linear(Tensor::param(engine, table.len(), w));
                y.dot(y).total().id()
            };
            engine.backward(loss);
        }
        engine.slices().1.iter().map(|g| g.to_f64()).collect()
    }
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for cols in [1, 5, 16, 33] {
        let params: Vec<f32> = (0..8 * cols).map(|i| (i as f32).sin()).collect();
        let expected = grads(Scalar::new(params.iter().map(|&p| f64::from(p)).collect()), cols);
        for engine in [Fast::new(params.clone()), Fast::without_shortcuts(params.clone())] {
            let error = distance(&grads(engine, cols), &expected, 0.0);
            assert!(error < 1e-5, "{cols} columns: {error:e}");
        }
    }
}

/// Token by token, of several documents side by side, each where it is: the logits of the whole pass.
#[test]
fn decoding_agrees_too() {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (n_layer, n_head, n_embd, block_size, vocab_size) in
        [(1, 4, 16, 16, 27), (3, 4, 16, 7, 5), (2, 8, 32, 20, 33), (1, 2, 16, 16, 27), (1, 3, 15, 9, 11)]
    {
        let config = Config {
            n_layer,
            n_head,
            n_embd,
            block_size,
            init_std: 0.2,
            zero_init: false,
            ..Config::default()
        };
        let mut rng = Rng::new(5);
        let model = Model::new(&config, vocab_size);
        let lengths = [block_size, 1, block_size / 2, 3];
        let whole = batch_of(&lengths, vocab_size, &mut rng);
        let params: Vec<f32> = model.layout.init(&mut rng).unwrap();
        let mut exact = Scalar::new(params.iter().map(|&p| f64::from(p)).collect());
        exact.begin(&whole);
        let logits = model.forward(&exact, &whole).id();
        for &level in &level::available() {
            level::set(level);
            for mut engine in [Fast::new(params.clone()), Fast::without_shortcuts(params.clone())] {
                engine.reserve_memory(model.memory_slots(), lengths.len() * block_size, n_embd);
                for past in 0..block_size {
                    let mut batch = Batch { decoding: true, ..Batch::default() };
                    let on: Vec<usize> = (0..lengths.len()).filter(|&i| past < lengths[i]).collect();
                    for &i in &on {
                        let token = whole.tokens[whole.segments[i].start + past];
                        batch.push_segment(&[token], past, i * block_size);
                    }
                    engine.begin(&batch);
                    let found = model.forward(&engine, &batch).id();
                    for (row, &i) in on.iter().enumerate() {
                        let (mut a, mut b) = (Vec::new(), Vec::new());
                        engine.read_row(found, row, &mut a);
                        exact.read_row(logits, whole.segments[i].start + past, &mut b);
                        let error = distance(&a, &b, 0.0);
                        assert!(error < 1e-5, "{level:?} {config:?}: document {i} at {past}: {error:e}");
                    }
                }
            }
        }
    }
    level::set(level::Level::best());
}
