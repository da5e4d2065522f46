//! `microgpt tokenize`: a tokenizer is learnt or found, and a text is cut by it.

use crate::args::TokenizeArgs;
use anyhow::Result;
use microgpt::Error;
use microgpt::token::Tokenizer;
use microgpt_runs::{Run, atomic, tokenizer};
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(args: &TokenizeArgs) -> Result<ExitCode> {
    let tokenizer = match &args.from {
        Some(name) if Path::new(name).is_file() => {
            let bytes = std::fs::read(name).map_err(|error| {
                Error::checkpoint(format!("{name}: expected a tokenizer, found {}", atomic::reason(&error)))
            })?;
            tokenizer::from_json(&bytes).map_err(|error| error.at(name))?
        }
        Some(name) => Run::find(name)?.read_tokenizer()?,
        None => {
            let settings = args.settings.resolve()?;
            settings.read_data()?.tokenizer(&settings.config)?
        }
    };
    if let Some(path) = &args.save {
        atomic::write(Path::new(path), tokenizer::to_json(&tokenizer).as_bytes())?;
        crate::notice(&format!("{path}: {} tokens, BOS among them", tokenizer.vocab_size()));
        if args.text.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let mut text = Vec::new();
    match &args.text {
        Some(given) => text.extend_from_slice(given.as_bytes()),
        None => _ = io::stdin().lock().read_to_end(&mut text)?,
    }
    let mut tokens = Vec::new();
    tokenizer.encode_bytes_into(&text, &mut tokens)?;
    show(&tokenizer, &tokens, text.len(), args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The tokens: each in brackets, and how many; or as JSON.
fn show(tokenizer: &Tokenizer, tokens: &[u32], bytes: usize, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let pieces: Vec<String> = tokens.iter().map(|&token| tokenizer.name(token)).collect();
        return writeln!(out, "{}", json!({"tokens": tokens, "pieces": pieces, "bytes": bytes}));
    }
    for &token in tokens {
        write!(out, "[{}]", shown(tokenizer, token))?;
    }
    let per_token = bytes as f64 / tokens.len().max(1) as f64;
    writeln!(out, "\n{bytes} bytes, {} tokens, {per_token:.2} bytes per token", tokens.len())
}

/// A token such that the ends of lines, and what else is not seen, are seen.
pub(crate) fn shown(tokenizer: &Tokenizer, token: u32) -> String {
    let escape = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    tokenizer.name(token).chars().map(escape).collect()
}
