//! Every knob, in one list. Flags, files, help and checks follow from it.

use crate::activation::{Activation, Named};
use crate::choices::{Choice, nearest};
use crate::documents::DataMode;
use crate::error::Error;
use crate::family::Family;
use crate::norm::{Norm, NormPlace};
use crate::optimizer::OptimizerKind;
use crate::position::Position;
use crate::real::EngineKind;
use crate::schedule::{Course, Schedule};
use crate::sight::{AttentionKind, Sight};
use crate::task::Task;
use crate::token::{SMALLEST, TokenizerKind};

/// A setting as text and back: what a knob's type has to offer.
trait Setting: Sized {
    /// What to write for it in help: `N`, `X`, or the names to choose from.
    fn values() -> String;
    /// The names to choose from, each with a line of help, if it is a choice.
    fn choices() -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
    fn read(text: &str) -> Result<Self, String>;
    fn write(&self) -> String;
}

impl Setting for usize {
    fn values() -> String {
        "N".into()
    }
    fn read(text: &str) -> Result<usize, String> {
        let digits: String = text.chars().filter(|&c| c != '_').collect();
        digits.parse().map_err(|_| format!("expected a whole number, found {text:?}"))
    }
    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for u64 {
    fn values() -> String {
        "N".into()
    }
    fn read(text: &str) -> Result<u64, String> {
        text.parse().map_err(|_| format!("expected a whole number from 0 to 2^64 - 1, found {text:?}"))
    }
    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for f64 {
    fn values() -> String {
        "X".into()
    }
    fn read(text: &str) -> Result<f64, String> {
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(x),
            _ => Err(format!("expected a number, found {text:?}")),
        }
    }
    fn write(&self) -> String {
        format!("{self:?}")
    }
}

impl Setting for bool {
    fn values() -> String {
        "true|false".into()
    }
    fn read(text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| format!("expected true or false, found {text:?}"))
    }
    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for Activation {
    fn values() -> String {
        format!("{}|FORMULA", <Named as Setting>::values())
    }
    fn choices() -> Vec<(&'static str, &'static str)> {
        <Named as Setting>::choices()
    }
    fn read(text: &str) -> Result<Activation, String> {
        Activation::parse(text).map_err(|error| error.to_string())
    }
    fn write(&self) -> String {
        self.to_string()
    }
}

impl<C: Choice> Setting for C {
    fn values() -> String {
        C::ALL.iter().map(|choice| choice.name()).collect::<Vec<_>>().join("|")
    }
    fn choices() -> Vec<(&'static str, &'static str)> {
        C::ALL.iter().map(|choice| (choice.name(), choice.help())).collect()
    }
    fn read(text: &str) -> Result<C, String> {
        C::parse(text)
            .map_err(|error| error.to_string().trim_start_matches(&format!("{}: ", C::WHAT)).to_string())
    }
    fn write(&self) -> String {
        self.name().to_string()
    }
}

/// One setting of the list, for whoever makes flags, forms or files of it.
#[derive(Debug, Clone)]
pub struct Knob {
    /// `n_layer`; a flag writes it with `-`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// The heading it belongs under: `model`, `training` or `sampling`.
    pub group: &'static str,
    /// What may be given: `N`, `X`, `true|false`, or names.
    pub values: String,
    /// If it is one of a `choices!` list: each variant's name and its line of help.
    pub choices: Vec<(&'static str, &'static str)>,
    /// Does it stand without quotes in a file (numbers and truth values)?
    pub bare: bool,
}

macro_rules! knobs {
    ($( $group:literal { $( $(#[doc = $help:literal])+ $name:ident: $Type:ty = $default:expr ),+ $(,)? } )+) => {
        /// Every setting of a model, its training and its samples. The default is the preset `microgpt`.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config { $($( $(#[doc = $help])+ pub $name: $Type, )+)+ }

        impl Default for Config {
            fn default() -> Config {
                Config { $($( $name: $default, )+)+ }
            }
        }

        impl Config {
            /// The list of all settings.
            pub fn knobs() -> Vec<Knob> {
                vec![$($( Knob {
                    name: stringify!($name),
                    help: concat!($($help),+).trim_ascii(),
                    group: $group,
                    values: <$Type as Setting>::values(),
                    choices: <$Type as Setting>::choices(),
                    bare: <$Type as Setting>::choices().is_empty(),
                }, )+)+]
            }

            /// Changes the setting `name` (with `_` or `-`) to what `value` says.
            ///
            /// # Errors
            /// An unknown name (the error says which is nearest), or a value that is none.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
                let wanted = name.replace('-', "_");
                let of = |error| Error::config(format!("{name}: {error}"));
                match wanted.as_str() {
                    $($( stringify!($name) => self.$name = Setting::read(value).map_err(of)?, )+)+
                    _ => {
                        let names = [$($( stringify!($name) ),+),+];
                        let hint = nearest(&wanted, &names).map(|n| format!("; did you mean {n}?"));
                        return Err(Error::config(format!("{name}: no such setting{}", hint.unwrap_or_default())));
                    }
                }
                Ok(())
            }

            /// The setting `name` as text, such that [`Config::set`] reads it back to the same bits.
            pub fn get(&self, name: &str) -> Option<String> {
                match name.replace('-', "_").as_str() {
                    $($( stringify!($name) => Some(self.$name.write()), )+)+
                    _ => None,
                }
            }
        }
    };
}

knobs! {
    "model" {
        /// Which model: the transformer, or one of its ancestors
        model: Family = Family::Gpt,
        /// Layers: how many times the tokens look around and think
        n_layer: usize = 1,
        /// Heads of attention in a layer; must divide n_embd
        n_head: usize = 4,
        /// Channels: how many numbers describe a token
        n_embd: usize = 16,
        /// The longest context: how many tokens the model sees at once
        block_size: usize = 8,
        /// How the model is told where a token stands
        position: Position = Position::Learned,
        /// Rotary positions: what the slowest pair's angle is divided by, nearly
        rope_base: f64 = 10000.0,
        /// How attention weighs what it finds
        attention: AttentionKind = AttentionKind::Softmax,
        /// Heads of keys and values, each for as many heads of queries; must divide n_head; 0: n_head
        n_kv_head: usize = 0,
        /// How many tokens back attention sees, the token itself included; 0: all
        window: usize = 0,
        /// A score z of attention becomes softcap tanh(z / softcap); 0: it stays
        softcap: f64 = 0.0,
        /// mlp: how many tokens it sees, the present one among them
        context: usize = 3,
        /// The MLP's function, by name or as a formula of x, and of g if it is to have a gate
        activation: Activation = Named::SquaredRelu.into(),
        /// Numbers inside the MLP; 0: four times n_embd
        mlp_hidden: usize = 0,
        /// What keeps the stream's numbers at one size
        norm: Norm = Norm::RmsNorm,
        /// Where a layer's two halves are normed
        norm_place: NormPlace = NormPlace::Pre,
        /// The norm also over the embeddings, before the first layer
        embd_norm: bool = true,
        /// The norm also over what the last layer leaves, before the logits
        final_norm: bool = false,
        /// The norm also over each head's queries and keys
        qk_norm: bool = false,
        /// Linear maps of the layers add a bias: y = W x + b
        bias: bool = false,
        /// The logits' map is the table of tokens: no lm_head (Press and Wolf, 2016)
        tied: bool = false,
        /// What each half of a layer adds to the stream is multiplied by this
        residual_scale: f64 = 1.0,
        /// The part of the numbers that falls out in training: of the embeddings, and of what a half of a layer adds
        dropout: f64 = 0.0,
        /// Standard deviation of the first weights
        init_std: f64 = 0.02,
        /// Begin with zeros where a layer writes into the stream (attn_wo, mlp_fc2)
        zero_init: bool = true,
        /// If not, begin with init_std / sqrt(2 n_layer) there, as GPT-2 does
        depth_init: bool = false,
    }
    "data" {
        /// What is to be learnt, if it is no text: problems with exact answers
        task: Task = Task::None,
        /// What a token is: a character, a byte, or a run of bytes that is frequent
        tokenizer: TokenizerKind = TokenizerKind::Char,
        /// Tokens of a byte-pair encoding (bpe), BOS among them: at least 257
        vocab_size: usize = 1024,
        /// How the text is read: each line a document, or all of it one stream
        data_mode: DataMode = DataMode::Lines,
        /// The part that is held back, to see the loss on what is not learnt (of a task 0 is 0.1)
        val_fraction: f64 = 0.0,
        /// Steps between two looks at the loss on what is held back
        eval_every: usize = 250,
        /// How many documents, or windows of a stream, such a look takes in
        eval_size: usize = 240,
        /// Stop early: after so many such looks without a new best loss; 0: never
        patience: usize = 0,
    }
    "records" {
        /// Steps between two lines of metrics; 0: each step has one, of the fast engine 10,000 at most
        metrics_every: usize = 0,
        /// Steps between two measurements of gradients, units and heads; 0: as metrics_every, or so that they cost little
        measure_every: usize = 0,
    }
    "training" {
        /// What computes: exact to the last bit, or fast
        engine: EngineKind = EngineKind::Scalar,
        /// How many steps to train
        steps: usize = 500,
        /// Documents, or windows of a stream, in a step
        batch_size: usize = 1,
        /// Gradient accumulation: parts of a step, which threads may share; a power of two; 0: as its work is worth
        micro_batches: usize = 0,
        /// Where chance begins: the same seed gives the same run, to the last bit
        seed: u64 = 42,
    }
    "optimizer" {
        /// The highest learning rate
        lr: f64 = 0.01,
        /// How it changes over the steps
        schedule: Schedule = Schedule::Cosine,
        /// Steps in which the learning rate rises to lr, before the schedule begins
        warmup: usize = 0,
        /// linear, cosine, wsd, one_cycle: the part of lr that is left at the end
        lr_end: f64 = 0.0,
        /// wsd: the part of the steps, the last, in which the learning rate falls
        wsd_decay: f64 = 0.2,
        /// What turns gradients into steps
        optimizer: OptimizerKind = OptimizerKind::Adam,
        /// adam, adamw, muon: how slowly the mean of the gradients changes; lion: how much of it decides
        beta1: f64 = 0.9,
        /// adam, adamw, muon: how slowly the mean of their squares changes; lion: that of the gradients
        beta2: f64 = 0.95,
        /// adam, adamw, muon: what keeps them from dividing by zero
        eps: f64 = 1e-8,
        /// sgd, muon: how much of the last direction is kept; 0: nothing
        momentum: f64 = 0.9,
        /// sgd: look ahead, by the momentum that is to come (muon always does)
        nesterov: bool = false,
        /// How weights shrink, gains and biases excepted; adamw, lion, muon: by lr times this; adam, sgd: with the gradient
        weight_decay: f64 = 0.0,
        /// The longest gradient, all parameters taken as one vector, that is not shortened to this; 0: any
        grad_clip: f64 = 0.0,
        /// An average of the weights, to evaluate and to sample: what it keeps of itself in a step; 0: none
        ema: f64 = 0.0,
    }
    "sampling" {
        /// Below 1, what is likely becomes likelier; above, less so
        temperature: f64 = 0.5,
        /// Only so many of the likeliest tokens may come; 0: any number
        top_k: usize = 0,
        /// Only the likeliest tokens may come, as few as have this probability together
        top_p: f64 = 1.0,
        /// Only tokens may come that are at least this part as likely as the likeliest
        min_p: f64 = 0.0,
        /// Always the likeliest token
        greedy: bool = false,
        /// How many samples to print
        samples: usize = 20,
        /// Tokens in a sample of a stream; a document ends by itself
        max_new_tokens: usize = 500,
    }
}

/// Rows that a part has at least, if it is not the whole.
const PART_ROWS: usize = 384;
/// Rows times parameters: the same of its work.
const PART_WORK: usize = 1 << 25;

impl Config {
    /// Is every setting possible, alone and with the others?
    ///
    /// # Errors
    /// The first that is not: what was expected, what was found.
    pub fn validate(&self) -> Result<(), Error> {
        let check = |ok: bool, name: &str, expected: &str| {
            let found = self.get(name).unwrap_or_default();
            if ok {
                Ok(())
            } else {
                Err(Error::config(format!("{name}: expected {expected}, found {found}")))
            }
        };
        for name in [
            "n_layer",
            "n_head",
            "n_embd",
            "block_size",
            "context",
            "steps",
            "batch_size",
            "eval_every",
            "eval_size",
        ] {
            check(self.get(name).as_deref() != Some("0"), name, "at least 1")?;
        }
        check(
            self.micro_batches == 0 || self.micro_batches.is_power_of_two(),
            "micro_batches",
            "a power of two, or 0",
        )?;
        check(
            self.model != Family::Gpt || self.n_embd.is_multiple_of(self.n_head),
            "n_embd",
            &format!("a multiple of n_head ({})", self.n_head),
        )?;
        self.validate_attention(&check)?;
        check((0.0..1.0).contains(&self.val_fraction), "val_fraction", "at least 0 and less than 1")?;
        check(self.vocab_size >= SMALLEST, "vocab_size", "at least 257 (256 bytes and BOS)")?;
        check(self.vocab_size <= 1 << 24, "vocab_size", "at most 16,777,216")?;
        if self.task != Task::None {
            let least = self.task.least_block();
            let expected = format!("at least {least} for the task {}", self.task);
            check(self.block_size >= least, "block_size", &expected)?;
            check(self.data_mode == DataMode::Lines, "data_mode", "lines for a task")?;
            check(self.tokenizer == TokenizerKind::Char, "tokenizer", "char for a task")?;
        }
        check(
            !self.qk_norm || self.norm != Norm::None,
            "qk_norm",
            "false where there is no norm (norm is none)",
        )?;
        check(self.residual_scale > 0.0, "residual_scale", "more than 0")?;
        check((0.0..1.0).contains(&self.dropout), "dropout", "at least 0 and less than 1")?;
        check(
            self.model != Family::Mlp || !self.activation.gated(),
            "activation",
            "a function of x alone, as model is mlp",
        )?;
        check(
            self.model != Family::BigramCounts || self.grad_clip == 0.0,
            "grad_clip",
            "0.0, as model is bigram_counts",
        )?;
        check(self.context <= 1 << 16, "context", "at most 65,536")?;
        check(self.mlp_hidden <= 1 << 24, "mlp_hidden", "at most 16,777,216")?;
        check(self.init_std >= 0.0, "init_std", "at least 0")?;
        check(self.lr >= 0.0, "lr", "at least 0")?;
        check((0.0..1.0).contains(&self.beta1), "beta1", "at least 0 and less than 1")?;
        check((0.0..1.0).contains(&self.beta2), "beta2", "at least 0 and less than 1")?;
        check(self.eps > 0.0, "eps", "more than 0")?;
        check((0.0..1.0).contains(&self.momentum), "momentum", "at least 0 and less than 1")?;
        check(!self.nesterov || self.momentum > 0.0, "nesterov", "false, as momentum is 0")?;
        check(self.weight_decay >= 0.0, "weight_decay", "at least 0")?;
        check(self.grad_clip >= 0.0, "grad_clip", "at least 0")?;
        check((0.0..1.0).contains(&self.ema), "ema", "at least 0 and less than 1")?;
        check((0.0..=1.0).contains(&self.lr_end), "lr_end", "at least 0 and at most 1")?;
        check(self.wsd_decay > 0.0 && self.wsd_decay <= 1.0, "wsd_decay", "more than 0 and at most 1")?;
        check(self.temperature > 0.0, "temperature", "more than 0")?;
        check(self.top_p > 0.0 && self.top_p <= 1.0, "top_p", "more than 0 and at most 1")?;
        check((0.0..=1.0).contains(&self.min_p), "min_p", "at least 0 and at most 1")?;
        check(self.n_layer <= 10_000, "n_layer", "at most 10,000")?;
        check(self.batch_size <= 1 << 20, "batch_size", "at most 1,048,576")?;
        // What does not fit into memory is found out when the model is made; this keeps its size countable.
        check(self.n_embd <= 1 << 20, "n_embd", "at most 1,048,576")?;
        check(self.block_size <= 1 << 30, "block_size", "at most 1,073,741,824")
    }

    /// Those of positions and attention, of which some exclude each other.
    fn validate_attention(&self, check: &dyn Fn(bool, &str, &str) -> Result<(), Error>) -> Result<(), Error> {
        let (heads, kv_heads) = (self.n_head, self.n_kv_head);
        check(
            kv_heads == 0 || heads.is_multiple_of(kv_heads),
            "n_kv_head",
            &format!("a divisor of n_head ({heads}), or 0"),
        )?;
        check(self.softcap >= 0.0, "softcap", "at least 0")?;
        check(self.window <= 1 << 30, "window", "at most 1,073,741,824")?;
        check(self.rope_base > 0.0, "rope_base", "more than 0")?;
        if self.position == Position::Rotary {
            let even = "pairs of numbers in each head, that is an even n_embd / n_head, for position rotary";
            check(self.head_dim().is_multiple_of(2), "n_head", even)?;
        }
        if self.attention == AttentionKind::Linear {
            // Its sums are of all keys, and its weights are no powers of e that a cap or a slope could be put to.
            check(self.window == 0, "window", "0 with attention linear")?;
            check(self.softcap == 0.0, "softcap", "0 with attention linear")?;
            check(self.position != Position::Alibi, "position", "another than alibi with attention linear")?;
        }
        Ok(())
    }

    /// What attention sees, and with which heads.
    pub fn sight(&self) -> Sight {
        let kv_heads = if self.n_kv_head == 0 { self.n_head } else { self.n_kv_head };
        Sight {
            kv_heads: kv_heads as u32,
            window: self.window as u32,
            softcap: self.softcap,
            alibi: self.position == Position::Alibi,
            ..Sight::plain(self.n_head)
        }
    }

    /// In how many parts each step's documents are worked on: `micro_batches`, or what the work of a model of
    /// `num_params` parameters is worth. It is the same on every machine, and so are the sums of the parts.
    ///
    /// A part is to have rows enough for matrix products to be fast, and work enough that meeting costs nothing beside
    /// it: some milliseconds.
    pub fn parts(&self, num_params: usize) -> usize {
        if self.micro_batches > 0 {
            // More parts than documents would only be empty ones, which cost as much to sum.
            return self.micro_batches.min(self.batch_size.next_power_of_two());
        }
        let rows = self.batch_size.saturating_mul(self.block_size);
        let worth = (rows / PART_ROWS).min(rows.saturating_mul(num_params) / PART_WORK).min(self.batch_size);
        if worth < 2 { 1 } else { 1 << worth.ilog2().min(6) }
    }

    /// The learning rate of step `step`, counted from 0. Counting has but one: 1.
    pub fn rate(&self, step: usize) -> f64 {
        if self.model == Family::BigramCounts {
            return 1.0;
        }
        let &Config { lr, steps, warmup, lr_end, wsd_decay, .. } = self;
        Course { lr, steps, warmup, lr_end, wsd_decay }.rate(self.schedule, step)
    }

    /// Numbers inside the MLP.
    pub fn hidden(&self) -> usize {
        if self.mlp_hidden == 0 { 4 * self.n_embd } else { self.mlp_hidden }
    }

    /// The part that is held back: `val_fraction`, or of a task a tenth if nothing else is asked for.
    pub fn held_back(&self) -> f64 {
        if self.task != Task::None && self.val_fraction == 0.0 { 0.1 } else { self.val_fraction }
    }

    /// Channels of one head.
    pub fn head_dim(&self) -> usize {
        self.n_embd / self.n_head
    }
}

#[cfg(test)]
mod tests;
