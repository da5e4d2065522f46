//! Which rule turns gradients into a step. The formulas are in `optim/`, a file each.

choices! {
    /// The rule by which parameters follow their gradients.
    pub enum OptimizerKind: "optimizer" {
        /// Against the mean gradient, in gradients of the usual size; lr some 0.01 (Kingma and Ba, 2014)
        Adam = "adam",
        /// Adam, whose weights also shrink by themselves: weight_decay, say 0.1 (Loshchilov and Hutter, 2017)
        AdamW = "adamw",
        /// Against the gradient, with momentum; lr some 0.1 to 1 (Robbins and Monro, 1951; Polyak, 1964)
        Sgd = "sgd",
        /// By the sign of the mean gradient alone; lr some 0.001 (Chen et al., 2023)
        Lion = "lion",
        /// Layers' matrices move by the nearest orthogonal matrix, the rest by AdamW; lr some 0.01 (Jordan, 2024)
        Muon = "muon",
    }
}
