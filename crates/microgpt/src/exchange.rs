//! The sum of gradients over all that work on one step: parts of a batch, threads, processes, machines.
//!
//! A sum of more than two numbers depends on their order in the last bit. Here it is that of a binary tree over the
//! parts of the batch: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). Workers share the parts evenly, each sums a branch, and
//! the exchange sums the branches. So however many workers there are, the bits are those of one.

use crate::batch::Batch;
use crate::error::Error;
use crate::real::Real;

/// Sums gradients with the others.
pub trait Exchange<R: Real>: Send {
    /// Which worker this is, from 0, and of how many: a power of two.
    fn place(&self) -> (usize, usize);

    /// A step begins. Others that do not read the data themselves hear of its batch.
    ///
    /// # Errors
    /// Another worker is gone.
    fn begin(&mut self, batch: &Batch) -> Result<(), Error>;

    /// Makes each gradient and the loss the sum of everybody's: a binary tree in the order of the places.
    ///
    /// # Errors
    /// Another worker is gone.
    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<(), Error>;
}

/// Nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl<R: Real> Exchange<R> for Alone {
    fn place(&self) -> (usize, usize) {
        (0, 1)
    }

    fn begin(&mut self, _batch: &Batch) -> Result<(), Error> {
        Ok(())
    }

    fn sum(&mut self, _grads: &mut [R], _loss: &mut f64) -> Result<(), Error> {
        Ok(())
    }
}

/// The branches that one worker has summed and not yet joined: number k is of 2^k parts.
#[derive(Debug, Clone, Default)]
pub struct Branches<R>(Vec<(Vec<R>, f64)>);

impl<R: Real> Branches<R> {
    /// Joins part `i` with the branches that end with it. Returns the place where the new branch is to wait for what
    /// comes after it, if anything does: its loss is there already, its gradients are not.
    pub fn join(&mut self, i: usize, grads: &mut [R], loss: &mut f64) -> &mut Vec<R> {
        let level = i.trailing_ones() as usize;
        for (earlier, earlier_loss) in &self.0[..level] {
            R::add_into(grads, earlier);
            *loss += earlier_loss;
        }
        if self.0.len() == level {
            self.0.push((Vec::new(), 0.0));
        }
        self.0[level].1 = *loss;
        &mut self.0[level].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_summed_as_a_binary_tree() {
        let part =
            |i: usize| (0..3).map(|k| ((i * 7 + k * 3) as f64 * 0.37).sin() * 1e3).collect::<Vec<f64>>();
        fn tree(parts: &[Vec<f64>]) -> Vec<f64> {
            match parts {
                [one] => one.clone(),
                _ => {
                    let (a, b) = parts.split_at(parts.len() / 2);
                    tree(a).iter().zip(tree(b)).map(|(a, b)| a + b).collect()
                }
            }
        }
        let mut branches = Branches::default();
        for count in [1, 2, 4, 8, 16, 2] {
            let parts: Vec<Vec<f64>> = (0..count).map(part).collect();
            let (mut grads, mut loss) = (Vec::new(), 0.0);
            for i in 0..count {
                (grads, loss) = (parts[i].clone(), parts[i][0]);
                let wait = branches.join(i, &mut grads, &mut loss);
                if i + 1 < count {
                    wait.clone_from(&grads);
                }
            }
            assert_eq!(grads, tree(&parts));
            assert_eq!(loss, grads[0]);
        }
    }
}
