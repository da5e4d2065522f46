//! State <-> named slices. No files here: whoever keeps them reads and writes these.

use crate::config::Config;
use crate::error::Error;
use crate::layout::Matrix;
use crate::model::gpt::Gpt;
use crate::optim;
use crate::real::Real;
use crate::rng::RngState;
use crate::token::Tokenizer;

/// A model in training, whole: from this it goes on to the same bits as if it had never stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint<R> {
    /// The settings.
    pub config: Config,
    /// What its tokens are.
    pub tokenizer: Tokenizer,
    /// How many steps have been made; the next documents follow from it.
    pub step: usize,
    /// Where chance is.
    pub rng: RngState,
    /// The parameters, in the order of the layout.
    pub params: Vec<R>,
    /// What the optimiser remembers, by name, in the order of the layout; see [`crate::optim::remembers`].
    pub memory: Vec<(&'static str, Vec<R>)>,
}

impl<R: Real> Checkpoint<R> {
    /// The model that it is of.
    ///
    /// # Errors
    /// Settings that cannot be, or slices of another length than the model's.
    pub fn model(&self) -> Result<Gpt, Error> {
        self.config.validate().map_err(|error| Error::checkpoint(error.to_string()))?;
        let model = Gpt::new(&self.config, self.tokenizer.vocab_size());
        let (expected, found): (_, Vec<&str>) =
            (optim::remembers(&self.config), self.memory.iter().map(|(name, _)| *name).collect());
        if expected != found {
            return Err(Error::checkpoint(format!("optimizer: expected {expected:?}, found {found:?}")));
        }
        let memory = self.memory.iter().map(|(name, slice)| (*name, slice));
        for (name, slice) in [("parameters", &self.params)].into_iter().chain(memory) {
            if slice.len() != model.layout.len() {
                let (expected, found) = (model.layout.len(), slice.len());
                return Err(Error::checkpoint(format!("{name}: expected {expected} numbers, found {found}")));
            }
            if let Some(bad) = slice.iter().position(|x| !x.to_f64().is_finite()) {
                let place = model.layout.locate(bad).map(|(m, row, col)| format!("{}[{row}, {col}]", m.name));
                let (place, found) = (place.unwrap_or_default(), slice[bad]);
                return Err(Error::checkpoint(format!(
                    "{name}: expected numbers, found {found:?} at {place}"
                )));
            }
        }
        Ok(model)
    }
}

/// The numbers of one matrix in a flat slice of the layout.
pub fn slice_of<'a, R>(matrix: &Matrix, flat: &'a [R]) -> &'a [R] {
    &flat[matrix.range()]
}
