//! What may be asked of a text.

use super::SettingsArgs;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The text: files, folders, or - for standard input; without any, what the settings say
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// The text to cut; without any, standard input
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// A run, or a tokenizer.json; without it, a tokenizer is learnt from --data as the settings say
    #[arg(long, value_name = "RUN", conflicts_with_all = ["preset", "config", "data"])]
    pub(crate) from: Option<String>,
    /// Write the tokenizer to a file, which the `tokenizers` library reads too if its tokens are bytes
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// JSON on standard output: each token's number and text
    #[arg(long)]
    pub(crate) json: bool,
}
