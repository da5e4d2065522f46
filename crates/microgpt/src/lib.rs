//! The GPT that hides nothing.
//!
//! The modules front to back, nearly in the order in which data meets them: first text, tokens and batches, then what
//! can be chosen, and the operations that choices are made of; from `config` on the settings, the engines, the model,
//! training, sampling, and what looks at all of it. Each uses only those above it.

pub mod error;
#[macro_use]
pub mod choices;
pub mod rng;
pub mod task;
pub mod order;
pub mod documents;
pub mod token;
pub mod packed;
pub mod stream;
pub mod batch;
pub mod real;
pub mod activation;
pub mod cell;
pub mod position;
pub mod sight;
pub mod optimizer;
pub mod op;
pub mod tensor;
pub mod norm;
pub mod schedule;
pub mod family;
pub mod config;
pub mod corpus;
pub mod survey;
pub mod engine;
pub mod layout;
pub mod model;
pub mod optim;
pub mod exchange;
pub mod checkpoint;
pub mod train;
pub mod evaluate;
pub mod score;
pub mod filter;
pub mod sample;
pub mod write;
pub mod novelty;
pub mod inspect;
pub mod measures;
pub mod diagnosis;
pub mod autopsy;
pub mod prove;

pub use config::Config;
pub use error::{Error, ErrorKind};
