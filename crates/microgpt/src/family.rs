//! The transformer and its ancestors. Their formulas are in `model/`, a file each.

choices! {
    /// Which model learns: each has one idea more than the one before.
    pub enum Family: "model" {
        /// The transformer: each token looks back at those that matter to it (Radford et al., 2019)
        Gpt = "gpt",
        /// How often each token followed the last one; no gradients, no learning rate (Shannon, 1948)
        BigramCounts = "bigram_counts",
        /// The same table of logits, learnt by gradients
        Bigram = "bigram",
        /// An MLP over the embeddings of the last few tokens (Bengio et al., 2003)
        Mlp = "mlp",
        /// A state for all that was read, made anew with every token (Elman, 1990)
        Rnn = "rnn",
        /// A state with gates, by which it can stay as it is (Cho et al., 2014)
        Gru = "gru",
    }
}
