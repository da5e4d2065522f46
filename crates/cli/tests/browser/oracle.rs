//! What the library says, without a server: the default run, trained here to some step, and a text computed with it.

use microgpt::batch::Batch;
use microgpt::checkpoint::Checkpoint;
use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::engine::scalar::Scalar;
use microgpt::measures::{Measures, Meter};
use microgpt::real::{EngineKind, Real};
use microgpt::rng::Rng;
use microgpt::tensor::{Engine, Learner};
use microgpt::train::Trainer;
use microgpt::{Config, inspect};
use microgpt_runs::Run;
use std::path::Path;

/// The names that are built in.
const NAMES: &str = include_str!("../../../../data/names.txt");

/// What the library reads in a text with the weights that a run has saved: the loss, and the last scores.
pub(crate) fn of_saved(folder: &Path, text: &str) -> (f64, Vec<f64>, [usize; 2]) {
    let run = Run::at_any(folder.to_path_buf());
    match run.read_settings().unwrap().config.engine {
        EngineKind::Scalar => of_checkpoint(&run.load::<f64>().unwrap().checkpoint, text),
        EngineKind::Fast => of_checkpoint(&run.load::<f32>().unwrap().checkpoint, text),
    }
}

fn of_checkpoint<R: Real + Into<f64>>(saved: &Checkpoint<R>, text: &str) -> (f64, Vec<f64>, [usize; 2]) {
    let stream = saved.config.data_mode == DataMode::Stream;
    let end = if stream { saved.tokenizer.stream_start() } else { saved.tokenizer.bos() };
    let begins = (!stream).then_some(end);
    let mut tokens: Vec<u32> = begins.into_iter().chain(saved.tokenizer.encode(text).unwrap()).collect();
    tokens.push(end);
    let mut batch = Batch::default();
    batch.push_document(&tokens, saved.config.block_size);
    let mut engine = Scalar::new(saved.params.iter().map(|&x| x.into()).collect());
    engine.begin(&batch);
    let [loss, _] = saved.model().unwrap().loss(&engine, &batch).map(|tensor| tensor.id());
    let logits = inspect::find(&engine, "logits").unwrap();
    (engine.number(loss, 0, 0), engine.values(logits.id).to_vec(), [logits.shape.rows, logits.shape.cols])
}

/// The default run.
pub(crate) struct Oracle {
    corpus: Corpus,
    trainer: Trainer<f64>,
}

impl Oracle {
    /// After so many steps.
    pub(crate) fn after(steps: usize) -> Oracle {
        let config = Config::default();
        let mut rng = Rng::new(config.seed);
        let mut corpus = Corpus::read(NAMES.into(), &config, None, &mut rng).unwrap();
        let (vocab_size, block_size) = (corpus.tokenizer.vocab_size(), config.block_size);
        let mut trainer = Trainer::new(config, vocab_size, &mut rng).unwrap();
        let mut batch = Batch::default();
        for step in 0..steps {
            corpus.fill(&mut batch, step, 1, block_size).unwrap();
            trainer.step(&batch).unwrap();
        }
        Oracle { corpus, trainer }
    }

    /// What the library's meter says of a step (from 1).
    pub(crate) fn measures(step: usize) -> Measures {
        let Oracle { mut corpus, mut trainer } = Oracle::after(step - 1);
        let mut meter = Meter::new(&mut trainer, &mut corpus, 1).unwrap();
        let mut batch = Batch::default();
        corpus.fill(&mut batch, step - 1, 1, trainer.config.block_size).unwrap();
        meter.step(&mut trainer, &batch, &corpus.tokenizer).unwrap().1.unwrap().clone()
    }

    /// Computes a text, forward and backward; gives its loss.
    pub(crate) fn read(&mut self, text: &str) -> f64 {
        let bos = self.corpus.tokenizer.bos();
        let mut tokens = vec![bos];
        self.corpus.tokenizer.encode_into(text, &mut tokens).unwrap();
        tokens.push(bos);
        let mut batch = Batch::default();
        batch.push_document(&tokens, self.trainer.config.block_size);
        self.trainer.engine.begin(&batch);
        let [loss, objective] =
            self.trainer.model.loss(&*self.trainer.engine, &batch).map(|tensor| tensor.id());
        self.trainer.engine.backward(objective);
        self.trainer.engine.number(loss, 0, 0)
    }

    /// A tensor's numbers in this text, row after row.
    pub(crate) fn at(&mut self, text: &str, name: &str) -> Vec<f64> {
        self.read(text);
        self.tensor(name).0
    }

    /// A tensor's numbers, row after row, and their gradients.
    pub(crate) fn tensor(&self, name: &str) -> (Vec<f64>, Vec<f64>, usize) {
        let node = inspect::find(&*self.trainer.engine, name).unwrap();
        let engine = &*self.trainer.engine;
        (engine.values(node.id).to_vec(), engine.grads(node.id).to_vec(), node.shape.cols)
    }

    /// The length of each matrix's gradient.
    pub(crate) fn gradient_norms(&mut self) -> Vec<(String, f64)> {
        let layout = self.trainer.model.layout.clone();
        inspect::gradient_norms(&layout, self.trainer.engine.slices().1)
    }

    /// A weight and its gradient.
    pub(crate) fn weight(&mut self, name: &str, row: usize, col: usize) -> (f64, f64) {
        let matrix = self.trainer.model.layout.find(name).unwrap();
        let at = matrix.offset + row * matrix.shape.cols + col;
        let (params, grads) = self.trainer.engine.slices();
        (params[at], grads[at])
    }
}
