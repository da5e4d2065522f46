//! Gradients that are done while others are still computed.

use super::layer::kernel;
use super::{Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::slices;
use std::ops::Range;

impl Tape {
    /// Which parameters this operation names: all that use them come after it, and are gone through before it.
    fn names(&self, y: &Stored) -> Option<Range<usize>> {
        match y.op {
            Op::Param { offset } => Some(offset..offset + y.shape.len()),
            Op::Layer { offset, .. } => {
                let layer = kernel(y.op, y.shape.cols).expect("a layer with a kernel");
                Some(offset as usize..offset as usize + layer.weights_len())
            }
            _ => None,
        }
    }

    pub(super) fn backward_while(
        &mut self,
        loss: Id,
        aside: usize,
        ready: &mut dyn FnMut(Range<usize>, &[f32]),
    ) {
        let named: Vec<Option<Range<usize>>> =
            self.tensors[..=loss.0 as usize].iter().map(|y| self.names(y)).collect();
        let mut done: Vec<Range<usize>> = Vec::new();
        self.backward_past(loss, |tape, i| {
            let Some(range) = &named[i] else { return };
            let meets = |other: &Range<usize>| other.start < range.end && range.start < other.end;
            // What is named twice is done when the first that names it is.
            if !named[..i].iter().flatten().any(meets) {
                tape.join(range.clone(), aside, ready);
                done.push(range.clone());
            }
        });
        // What nothing was computed from, or was named in part.
        done.sort_unstable_by_key(|range| range.start);
        let len = self.params.len();
        let mut from = 0;
        for range in done.into_iter().chain(std::iter::once(len..len)) {
            if from < range.start {
                self.join(from..range.start, aside, ready);
            }
            from = range.end;
        }
    }

    fn join(&mut self, range: Range<usize>, aside: usize, ready: &mut dyn FnMut(Range<usize>, &[f32])) {
        let sums = self.param_grads.at(range.clone());
        self.aside[..aside].iter().for_each(|earlier| slices::add_into(sums, &earlier[range.clone()]));
        ready(range, sums);
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::Batch;
    use crate::choices::Choice;
    use crate::config::Config;
    use crate::engine::fast::Fast;
    use crate::family::Family;
    use crate::model::Model;
    use crate::rng::Rng;
    use crate::tensor::Learner;

    /// The gradients, and how many pieces they were told in; to the bits of `backward`, each once.
    fn pieces(config: &Config) -> usize {
        let model = Model::new(config, 11);
        let params: Vec<f32> = model.layout.init(&mut Rng::new(1)).unwrap();
        let mut batch = Batch::default();
        for len in [3, 7, 1] {
            batch.push_document(&(0..=len).map(|i| i % 11).collect::<Vec<u32>>(), 8);
        }
        let objective = |engine: &mut Fast| {
            engine.begin(&batch);
            engine.leave_to(5);
            model.loss(&*engine, &batch)[1].id()
        };
        let (mut whole, mut told) = (Fast::new(params.clone()), Fast::new(params));
        // A part before it, which was put aside.
        for engine in [&mut whole, &mut told] {
            let loss = objective(engine);
            engine.backward(loss);
            engine.put_aside(0);
        }
        let loss = objective(&mut whole);
        whole.backward(loss);
        whole.add_aside(0);
        let wanted = whole.slices().1;
        let mut found = vec![f32::NAN; wanted.len()];
        let (loss, mut pieces) = (objective(&mut told), 0);
        told.backward_while(loss, 1, &mut |range, numbers| {
            assert!(found[range.clone()].iter().all(|x| x.is_nan()), "{range:?} twice, {config:?}");
            found[range].copy_from_slice(numbers);
            pieces += 1;
        });
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        assert_eq!(bits(&found), bits(wanted), "{config:?}");
        assert_eq!(bits(told.slices().1), bits(wanted), "{config:?}");
        pieces
    }

    #[test]
    fn each_gradient_is_told_once_when_it_is_what_it_will_be() {
        let config =
            Config { n_layer: 3, block_size: 8, zero_init: false, init_std: 0.1, ..Config::default() };
        assert!(pieces(&config) > 4, "layers one by one");
        let wide = Config { n_embd: 48, dropout: 0.2, final_norm: true, ..config.clone() };
        assert!(pieces(&wide) > 12, "matrices one by one");
        pieces(&Config { tied: true, bias: true, ..wide.clone() });
        for &model in Family::ALL {
            pieces(&Config { model, ..config.clone() });
        }
    }
}
