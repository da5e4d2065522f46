//! Parameters, gradients -> parameters: a file for each rule.
//!
//! A rule sees flat slices and plain numbers. Most go number by number, and so on any range of the parameters; Muon works
//! on whole matrices. Several workers can share an update either way: [`Optimizer::range`] says who updates what, and no
//! number depends on how it was cut.

pub mod adam;
pub mod clip;
pub mod lion;
pub mod muon;
pub mod sgd;

use crate::config::Config;
use crate::family::Family;
use crate::layout::{Kind, Layout, Matrix};
use crate::optimizer::OptimizerKind;
use crate::real::Real;
use std::ops::Range;

/// The rule of a run, and what it remembers of each parameter, in the order of the layout.
#[derive(Debug, Clone)]
pub struct Optimizer<R> {
    config: Config,
    pieces: Vec<Piece>,
    /// A mean of the gradients: `m`.
    mean: Vec<R>,
    /// A mean of their squares: `v`.
    square: Vec<R>,
    /// A mean of the parameters: `ema`.
    average: Vec<R>,
    spare: muon::Spare<R>,
}

/// Parameters next to each other that are treated alike.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    range: Range<usize>,
    /// Do they shrink?
    decays: bool,
    /// Rows and columns, if only the whole matrix can be updated.
    whole: Option<(usize, usize)>,
}

/// What a rule is to update: some parameters, with what belongs to them. What is not remembered is empty.
#[derive(Debug)]
pub struct Part<'a, R> {
    /// The parameters.
    pub params: &'a mut [R],
    /// Their gradients, which weight decay may change.
    pub grads: &'a mut [R],
    /// Their `m`.
    pub mean: &'a mut [R],
    /// Their `v`.
    pub square: &'a mut [R],
    /// Weight decay; 0 for parameters that do not decay.
    pub decay: f64,
}

/// The settings as the rule takes them: those of the run, but counting is plain gradient descent and nothing else.
fn rule(config: &Config) -> Config {
    match config.model {
        Family::BigramCounts => Config {
            optimizer: OptimizerKind::Sgd,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            ..config.clone()
        },
        _ => config.clone(),
    }
}

/// What the optimiser of such a run remembers: `m`, `v`, `ema`, each as long as the parameters.
pub fn remembers(config: &Config) -> Vec<&'static str> {
    let config = rule(config);
    let mut names = match config.optimizer {
        OptimizerKind::Adam | OptimizerKind::AdamW | OptimizerKind::Muon => vec!["m", "v"],
        OptimizerKind::Lion => vec!["m"],
        OptimizerKind::Sgd if config.momentum > 0.0 => vec!["m"],
        OptimizerKind::Sgd => vec![],
    };
    if config.ema > 0.0 {
        names.push("ema");
    }
    names
}

/// Gains and biases keep their size; every matrix shrinks, embeddings too (as in nanoGPT and llm.c).
fn decays(matrix: &Matrix) -> bool {
    matches!(matrix.kind, Kind::Weight | Kind::Embedding)
}

impl<R: Real> Optimizer<R> {
    /// For the parameters of this layout, which begin as `params`.
    pub fn new(config: &Config, layout: &Layout, params: &[R]) -> Optimizer<R> {
        let config = rule(config);
        let mut pieces: Vec<Piece> = Vec::new();
        for matrix in layout.matrices() {
            let whole = config.optimizer == OptimizerKind::Muon && muon::takes(matrix);
            let whole = whole.then_some((matrix.shape.rows, matrix.shape.cols));
            let decays = config.weight_decay > 0.0 && decays(matrix);
            match pieces.last_mut() {
                Some(last) if whole.is_none() && (&last.whole, last.decays) == (&whole, decays) => {
                    last.range.end = matrix.range().end;
                }
                _ => pieces.push(Piece { range: matrix.range(), decays, whole }),
            }
        }
        let names = remembers(&config);
        let zeros = |name| vec![R::default(); if names.contains(&name) { layout.len() } else { 0 }];
        let (mean, square) = (zeros("m"), zeros("v"));
        let average = if config.ema > 0.0 { params.to_vec() } else { Vec::new() };
        Optimizer { config, pieces, mean, square, average, spare: muon::Spare::default() }
    }

    /// What it remembers, each with its name, in the order of [`remembers`].
    pub fn memory(&mut self) -> impl Iterator<Item = (&'static str, &mut Vec<R>)> {
        let Optimizer { mean, square, average, .. } = self;
        [("m", mean), ("v", square), ("ema", average)].into_iter().filter(|(_, slice)| !slice.is_empty())
    }

    /// The same, to look at.
    pub fn remembered(&self) -> Vec<(&'static str, &[R])> {
        let all = [("m", &self.mean[..]), ("v", &self.square), ("ema", &self.average)];
        all.into_iter().filter(|(_, slice)| !slice.is_empty()).collect()
    }

    /// Which parameters a worker of so many updates: about as much work for each, cut at whole cache lines, or between
    /// matrices where they must stay whole. The ranges follow one another and leave nothing out.
    pub fn range(&self, worker: usize, workers: usize) -> Range<usize> {
        self.cut(worker, workers)..self.cut(worker + 1, workers)
    }

    fn cut(&self, worker: usize, workers: usize) -> usize {
        let len = self.pieces.last().map_or(0, |piece| piece.range.end);
        // An orthogonalised matrix costs its smaller side, times some rounds, for each number.
        let price = |piece: &Piece| piece.whole.map_or(1, |(rows, cols)| 1 + rows.min(cols));
        let cost = |piece: &Piece| piece.range.len() * price(piece);
        let mut left = self.pieces.iter().map(cost).sum::<usize>() * worker / workers;
        for piece in &self.pieces {
            if left < cost(piece) {
                let Range { start, end } = piece.range;
                return match piece.whole {
                    None => (start + left).next_multiple_of(LINE).min(end),
                    Some(_) if left < cost(piece) / 2 => start,
                    Some(_) => end,
                };
            }
            left -= cost(piece);
        }
        len
    }

    /// Step `step` (from 0) at learning rate `lr` of the parameters in `range`: all, or what [`Optimizer::range`] gave.
    ///
    /// # Panics
    /// If there are not as many parameters and gradients as in the layout, or a matrix that must be whole is cut.
    pub fn step(&mut self, params: &mut [R], grads: &mut [R], range: Range<usize>, step: usize, lr: f64) {
        let len = self.pieces.last().map_or(0, |piece| piece.range.end);
        let found = (params.len(), grads.len());
        assert!(found == (len, len), "optimizer: {len} parameters, found {found:?} and gradients");
        let now = Now { config: &self.config, step, lr };
        for piece in &self.pieces {
            let here = piece.range.start.max(range.start)..piece.range.end.min(range.end);
            if here.is_empty() {
                continue;
            }
            let of = |slice| part(slice, &here);
            let (mean, square) = (of(&mut self.mean), of(&mut self.square));
            let decay = if piece.decays { self.config.weight_decay } else { 0.0 };
            let part = Part {
                params: &mut params[here.clone()],
                grads: &mut grads[here.clone()],
                mean,
                square,
                decay,
            };
            if let Some(shape) = piece.whole {
                assert!(here == piece.range, "optimizer: {here:?} of the matrix {:?}", piece.range);
                muon::step(now, part, shape, &mut self.spare);
                continue;
            }
            match self.config.optimizer {
                OptimizerKind::Adam => adam::step(now, part),
                OptimizerKind::AdamW | OptimizerKind::Muon => adam::step_decoupled(now, part),
                OptimizerKind::Sgd => sgd::step(now, part),
                OptimizerKind::Lion => lion::step(now, part),
            }
        }
        if self.config.ema > 0.0 {
            let (average, params) = (&mut self.average[range.clone()], &params[range]);
            match step {
                // The weights in which nothing had been learnt do not count.
                0 => average.copy_from_slice(params),
                _ => R::mix(average, self.config.ema, params),
            }
        }
    }

    /// The average of the parameters, if the run has one.
    pub fn average(&mut self) -> &mut [R] {
        &mut self.average
    }

    /// Changes the parameters for their average, if there is one; and back, the second time.
    pub fn swap_average(&mut self, params: &mut [R]) {
        if !self.average.is_empty() {
            self.average.swap_with_slice(params);
        }
    }
}

/// Numbers in a cache line, or some.
const LINE: usize = 16;

/// What belongs to `here` of what is remembered, if it is.
fn part<'a, R>(slice: &'a mut [R], here: &Range<usize>) -> &'a mut [R] {
    if slice.is_empty() { slice } else { &mut slice[here.clone()] }
}

/// The numbers of a step.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The settings.
    pub config: &'a Config,
    /// How many steps were made before.
    pub step: usize,
    /// The learning rate.
    pub lr: f64,
}

#[cfg(test)]
mod tests;
