//! What attention is like: how it weighs what it finds, which heads share keys, how far back it sees.

use std::ops::Range;

choices! {
    /// How attention turns the products of queries and keys into weights.
    pub enum AttentionKind: "attention" {
        /// exp(q k / sqrt(D)), and each row divided by its sum (Vaswani et al., 2017)
        Softmax = "softmax",
        /// phi(q) phi(k) with phi = elu + 1, divided likewise: sums that can be carried along (Katharopoulos et al., 2020)
        Linear = "linear",
    }
}

/// What a row sees of the rows before it, and with which heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// H: heads of queries.
    pub heads: u32,
    /// Heads of keys and values; divides H. Each serves `heads / kv_heads` heads of queries, one after the other: as many
    /// as there are (Vaswani et al., 2017), one (multi-query: Shazeer, 2019), or between (grouped: Ainslie et al., 2023).
    pub kv_heads: u32,
    /// How many keys a row sees at most, its own the last of them; 0: all (Child et al., 2019; Beltagy et al., 2020).
    pub window: u32,
    /// A score z becomes `softcap tanh(z / softcap)`; 0: it stays (Gemma 2, 2024).
    pub softcap: f64,
    /// Whether scores fall with the distance ([`crate::position::alibi_slope`]).
    pub alibi: bool,
}

impl Sight {
    /// As many keys as queries, everything in sight, scores as they are: the article's.
    pub fn plain(heads: usize) -> Sight {
        Sight { heads: heads as u32, kv_heads: heads as u32, window: 0, softcap: 0.0, alibi: false }
    }

    /// Heads of queries.
    pub fn heads(self) -> usize {
        self.heads as usize
    }

    /// How many heads of queries share one of keys and values.
    pub fn group(self) -> usize {
        (self.heads / self.kv_heads) as usize
    }

    /// The keys that the row whose own key is number `own` sees.
    pub fn keys(self, own: usize) -> Range<usize> {
        let first = if self.window == 0 { 0 } else { (own + 1).saturating_sub(self.window as usize) };
        first..own + 1
    }
}
