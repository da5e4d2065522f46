//! What a step takes by n ranks, by arithmetic alone.
//!
//! Compute: what a rank does for its sequences, and its n-th part of the sum and of the update. Exchange, with a latency a, a
//! time g that each further message takes, and b bytes a second, for P parameters of 4 bytes and S sequences of B bytes:
//!
//! ```text
//! from rank 0, to each: an order, where all sequences are, its own    a + 2 (n - 1) g + ((n - 1) 4 S + (n - 1)/n S B) / b
//! gradients, from each to each, in m messages                         a + m g + (n - 1)/n 4 P / b
//! losses, to all                                                      a ceil(log2 n)
//! parameters, from each to each                                       a + (n - 1) g + (n - 1)/n 4 P / b
//! ```
//!
//! Between machines, a message of gradients has 1 MiB at most. Where a rank has more of them for another, all but the last
//! message go while the last part of its sequences is still on its way back, which takes 2/3 of that part's time: what fits in
//! there costs nothing.

/// Bytes of a message of gradients between machines, at most.
const BUCKET: f64 = (4 << 18) as f64;
/// Backward takes twice as long as forward.
const BACKWARD: f64 = 2.0 / 3.0;

/// What one rank alone does in a step of its own; times in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) num_params: usize,
    /// Of a step.
    pub(crate) sequences: usize,
    pub(crate) tokens: f64,
    /// Into how many parts its sequences are cut, which are worked on one after the other.
    pub(crate) parts: usize,
    /// What there is to send of a sequence.
    pub(crate) sequence_bytes: f64,
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
    /// Seconds that a message takes.
    pub(crate) latency: f64,
    /// Seconds that each takes of many that are sent at once.
    pub(crate) gap: f64,
    pub(crate) bytes_per_second: f64,
    /// Are they on different machines?
    pub(crate) machines: bool,
}

impl Network {
    /// Messages of gradients from one rank to another.
    fn messages(&self, bytes: f64) -> f64 {
        if self.machines { (bytes / BUCKET).ceil() } else { 1.0 }
    }
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
        let work = crowd * share * (self.step - self.update);
        let compute = work + crowd * (self.update / n + sum);
        // The parts of all are as many as the sequences are times those of one.
        let parts = (whole * self.parts as f64 / n).max(1.0);
        let hidden = self.early(ranks, network).min(BACKWARD * work / parts);
        let exchange = self.exchange(ranks, whole, network) - hidden;
        Step { compute, exchange, tokens: whole * self.tokens }
    }

    /// What it takes to send the gradients that can be sent before the last are there.
    fn early(&self, ranks: usize, network: &Network) -> f64 {
        let piece = 4.0 * self.num_params as f64 / ranks as f64;
        let messages = network.messages(piece);
        let bytes = (messages - 1.0) * BUCKET;
        if ranks == 1 || messages < 2.0 {
            return 0.0;
        }
        (ranks as f64 - 1.0) * ((messages - 1.0) * network.gap + bytes / network.bytes_per_second)
    }

    fn exchange(&self, ranks: usize, whole: f64, network: &Network) -> f64 {
        if ranks == 1 {
            return 0.0;
        }
        let &Network { latency, gap, bytes_per_second, .. } = network;
        let (n, sequences) = (ranks as f64, whole * self.sequences as f64);
        let bytes = (n - 1.0) * 4.0 * sequences + (n - 1.0) / n * sequences * self.sequence_bytes;
        let batch = latency + 2.0 * (n - 1.0) * gap + bytes / bytes_per_second;
        let losses = latency * f64::from(ranks.next_power_of_two().ilog2());
        batch + losses + self.gradients_and_parameters(ranks, network)
    }

    /// Of the exchange, the part that does not depend on the batch.
    pub(crate) fn gradients_and_parameters(&self, ranks: usize, network: &Network) -> f64 {
        let &Network { latency, gap, bytes_per_second, .. } = network;
        let (n, bytes) = (ranks as f64, 4.0 * self.num_params as f64);
        let messages = (n - 1.0) * network.messages(bytes / n);
        2.0 * (latency + (n - 1.0) / n * bytes / bytes_per_second) + (messages + n - 1.0) * gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work {
        num_params: 4_000_000,
        sequences: 12,
        tokens: 768.0,
        parts: 4,
        sequence_bytes: 1000.0,
        step: 0.040,
        update: 0.004,
        sum: 0.001,
    };
    const NETWORK: Network = Network { latency: 1e-4, gap: 1e-5, bytes_per_second: 1e10, machines: true };

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "expected {expected}, found {found}");
    }

    #[test]
    fn one_rank_takes_what_was_measured() {
        let step = WORK.weak(1, &NETWORK, 1.0);
        near(step.compute, 0.040);
        assert_eq!((step.exchange, step.tokens), (0.0, 768.0));
        assert_eq!(WORK.strong(1, &NETWORK), Some(step));
    }

    #[test]
    fn four_ranks_by_hand() {
        // 2.4 ms for gradients and parameters; 1 + 1 + 2 + 1 latencies; for each other rank an order, a letter, 4 messages of
        // gradients and one of parameters; less what 3 of the 4 take.
        let step = WORK.weak(4, &NETWORK, 1.0);
        near(step.compute, 0.036 + 0.001 + 0.001);
        let hidden = 3.0 * 3.0 * (1e-5 + 1_048_576e-10);
        near(step.exchange, 0.0024 + 5e-4 + 3.0 * 7e-5 + (3.0 * 4.0 * 48.0 + 36_000.0) / 1e10 - hidden);
        near(step.tokens, 4.0 * 768.0);
        // On one machine all goes at once.
        let here = Network { machines: false, ..NETWORK };
        near(WORK.weak(4, &here, 1.0).exchange, step.exchange + hidden - 3.0 * 3.0 * 1e-5);
        // Two processors for four.
        near(WORK.weak(4, &NETWORK, 2.0).compute, 2.0 * step.compute);
        // A quarter of the sequences each; the batch is that of one.
        let step = WORK.strong(4, &NETWORK).unwrap();
        near(step.compute, 0.009 + 0.001 + 0.001);
        near(step.exchange, 0.0024 + 5e-4 + 3.0 * 7e-5 + (3.0 * 4.0 * 12.0 + 9_000.0) / 1e10 - hidden);
        near(step.tokens, 768.0);
    }

    #[test]
    fn only_so_much_is_hidden_as_takes_no_longer_than_the_last_part() {
        let slow = Network { bytes_per_second: 1e9, ..NETWORK };
        let all = WORK.exchange(4, 4.0, &slow);
        // Backward of a quarter of 36 ms.
        near(WORK.weak(4, &slow, 1.0).exchange, all - 0.006);
        // A piece that fits into one message cannot go early.
        let small = Work { num_params: 4 << 16, ..WORK };
        near(small.weak(4, &slow, 1.0).exchange, small.exchange(4, 4.0, &slow));
    }

    #[test]
    fn the_busiest_is_waited_for() {
        // Of 12 sequences, 8 ranks have 1 or 2.
        near(WORK.strong(8, &NETWORK).unwrap().compute, 0.036 / 6.0 + 0.0005 + 0.001);
        assert!(WORK.strong(12, &NETWORK).is_some() && WORK.strong(16, &NETWORK).is_none());
    }
}
