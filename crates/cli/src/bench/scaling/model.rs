//! What a step takes by n ranks, by arithmetic alone.
//!
//! Compute: what a rank does for its sequences, and its n-th part of the sum and of the update. Exchange, with a latency a
//! and b bytes a second, for P parameters of 4 bytes and a batch of B bytes:
//!
//! ```text
//! the order and the batch, from rank 0 to all, as a tree:   (5 a + B / b) ceil(log2 n)
//! gradients, all to all:                                    (n - 1) a + (n - 1)/n 4 P / b
//! losses, to all:                                           a ceil(log2 n)
//! parameters, to all, as a ring:                            (n - 1) a + (n - 1)/n 4 P / b
//! ```

/// What one rank alone does in a step of its own; times in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) num_params: usize,
    /// Sequences, and their tokens, of a step.
    pub(crate) sequences: usize,
    pub(crate) tokens: f64,
    /// What there is to send of a batch.
    pub(crate) batch_bytes: f64,
    /// All of it.
    pub(crate) step: f64,
    /// The optimiser's part, for all parameters.
    pub(crate) update: f64,
    /// To add as many gradients as there are parameters to others.
    pub(crate) sum: f64,
}

/// What lies between two ranks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    /// Seconds.
    pub(crate) latency: f64,
    pub(crate) bytes_per_second: f64,
}

/// A step of all ranks; times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) compute: f64,
    pub(crate) exchange: f64,
    pub(crate) tokens: f64,
}

impl Step {
    pub(crate) fn seconds(&self) -> f64 {
        self.compute + self.exchange
    }

    pub(crate) fn tokens_per_second(&self) -> f64 {
        self.tokens / self.seconds()
    }
}

impl Work {
    /// Each rank has as many sequences as one has alone. So many ranks share each processor: 1, or more.
    pub(crate) fn weak(&self, ranks: usize, network: &Network, crowd: f64) -> Step {
        self.of(ranks, 1.0, ranks as f64, network, crowd)
    }

    /// All ranks share the sequences of one; of more ranks than sequences, some would have nothing to do.
    pub(crate) fn strong(&self, ranks: usize, network: &Network) -> Option<Step> {
        let most = self.sequences.div_ceil(ranks) as f64;
        (ranks <= self.sequences).then(|| self.of(ranks, most / self.sequences as f64, 1.0, network, 1.0))
    }

    /// `share`: of the sequences of one rank alone, how much the busiest has. `whole`: how many times as many there are
    /// in all.
    fn of(&self, ranks: usize, share: f64, whole: f64, network: &Network, crowd: f64) -> Step {
        let n = ranks as f64;
        let sum = if ranks > 1 { self.sum } else { 0.0 };
        let compute = crowd * (share * (self.step - self.update) + self.update / n + sum);
        Step { compute, exchange: self.exchange(ranks, whole, network), tokens: whole * self.tokens }
    }

    fn exchange(&self, ranks: usize, whole: f64, network: &Network) -> f64 {
        let Network { latency, bytes_per_second } = network;
        let rounds = ranks.next_power_of_two().ilog2() as f64;
        let batch = (5.0 * latency + whole * self.batch_bytes / bytes_per_second) * rounds;
        batch + rounds * latency + self.gradients_and_parameters(ranks, network)
    }

    /// Of the exchange, the part of [`microgpt_workers`] that grows with the model: all to all, and to all.
    pub(crate) fn gradients_and_parameters(&self, ranks: usize, network: &Network) -> f64 {
        let n = ranks as f64;
        2.0 * ((n - 1.0) * network.latency
            + (n - 1.0) / n * 4.0 * self.num_params as f64 / network.bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work {
        num_params: 1_000_000,
        sequences: 12,
        tokens: 768.0,
        batch_bytes: 10_000.0,
        step: 0.040,
        update: 0.004,
        sum: 0.001,
    };
    const NETWORK: Network = Network { latency: 1e-4, bytes_per_second: 1e9 };

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "expected {expected}, found {found}");
    }

    #[test]
    fn one_rank_takes_what_was_measured() {
        let step = WORK.weak(1, &NETWORK, 1.0);
        assert_eq!(step, Step { compute: 0.040, exchange: 0.0, tokens: 768.0 });
        assert_eq!(WORK.strong(1, &NETWORK), Some(step));
    }

    #[test]
    fn four_ranks_by_hand() {
        // 6 ms for gradients and parameters, 12 latencies there and 6 elsewhere, and twice the batch of all.
        let step = WORK.weak(4, &NETWORK, 1.0);
        near(step.compute, 0.036 + 0.001 + 0.001);
        near(step.exchange, 0.006 + 6e-4 + 12e-4 + 8e-5);
        near(step.tokens, 4.0 * 768.0);
        // Two processors for four.
        near(WORK.weak(4, &NETWORK, 2.0).compute, 2.0 * step.compute);
        // A quarter of the sequences each; the batch is that of one.
        let step = WORK.strong(4, &NETWORK).unwrap();
        near(step.compute, 0.009 + 0.001 + 0.001);
        near(step.exchange, 0.006 + 6e-4 + 12e-4 + 2e-5);
        near(step.tokens, 768.0);
    }

    #[test]
    fn the_busiest_is_waited_for() {
        // Of 12 sequences, 8 ranks have 1 or 2.
        near(WORK.strong(8, &NETWORK).unwrap().compute, 0.036 / 6.0 + 0.0005 + 0.001);
        assert!(WORK.strong(12, &NETWORK).is_some() && WORK.strong(16, &NETWORK).is_none());
    }
}
