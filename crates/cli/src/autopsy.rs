//! What is told of a training that has left the numbers: first operation, document, step, weight, and what is saved.

use microgpt::autopsy::{Autopsy, Weight, autopsy};
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::engine::Precision;
use microgpt::token::Tokenizer;
use microgpt::train::Trainer;

/// The lines of it. `first` is which document of the data the batch begins with.
pub(crate) fn report<R: Precision>(
    trainer: &Trainer<R>,
    corpus: &Corpus,
    batch: &Batch,
    first: usize,
    saved: &str,
) -> String {
    let found = autopsy(trainer, batch);
    let tokenizer = &corpus.tokenizer;
    let mut lines = vec![("step", format!("{}; its batch begins with {} {first}", found.step, part(corpus)))];
    lines.extend(operation(&found));
    lines.extend(document(&found, corpus, batch, first));
    if let Some(Weight { name, row, col, value }) = &found.weight {
        let of = match name.as_str() {
            "lm_head" | "wte" => format!(", of the token {}", quoted(tokenizer, *row as u32)),
            _ => String::new(),
        };
        lines.push(("weight", format!("{name}[{row}, {col}] = {}{of}", short(*value))));
    }
    lines.push(("saved", saved.to_string()));
    let lr = trainer.config.lr;
    lines
        .push(("try", format!("a lower learning rate (--lr {}), --warmup, --grad-clip 1", short(lr / 10.0))));
    let lines: Vec<String> = lines.into_iter().map(|(what, text)| format!("  {what:10} {text}")).collect();
    lines.join("\n")
}

fn part(corpus: &Corpus) -> &'static str {
    if corpus.is_stream() { "window" } else { "document" }
}

/// The operation, and the way back to the weight.
fn operation(found: &Autopsy) -> Vec<(&'static str, String)> {
    let Some(link) = found.chain.first() else {
        let why = match &found.weight {
            Some(_) => "a weight that is no number itself",
            None => "none by the definitions: only a fast kernel has left the numbers",
        };
        return vec![("operation", why.to_string())];
    };
    let mut lines =
        vec![("operation", format!("{} = {}, in {}", link.formula, short(link.value), link.tensor))];
    // Of each tensor on the way one number.
    let mut way: Vec<String> = Vec::new();
    let mut last = "";
    for link in &found.chain[1..] {
        if link.tensor != last {
            way.push(format!("{} {}", link.tensor, short(link.value)));
            last = &link.tensor;
        }
    }
    way.truncate(6);
    if !way.is_empty() {
        lines.push(("because", way.join(" <- ")));
    }
    lines
}

/// The document, and the place in it.
fn document(found: &Autopsy, corpus: &Corpus, batch: &Batch, first: usize) -> Option<(&'static str, String)> {
    let at = found.first.as_ref()?;
    let segment = batch.segments[at.document];
    let tokens = &batch.tokens[segment.start..segment.start + segment.len];
    let (before, target) = (&tokens[..=at.position], batch.targets[at.row]);
    let text: String =
        corpus.tokenizer.decode(before).escape_debug().to_string().chars().rev().take(40).collect();
    let text: String = text.chars().rev().collect();
    Some((
        "where",
        format!(
            "{} {}, place {}: after \"{text}\" comes {}",
            part(corpus),
            first + at.document,
            at.position,
            quoted(&corpus.tokenizer, target)
        ),
    ))
}

fn quoted(tokenizer: &Tokenizer, token: u32) -> String {
    if token == tokenizer.bos() { "the end".to_string() } else { format!("{:?}", tokenizer.name(token)) }
}

/// Four digits are enough to look at.
fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() || (1e-3..1e5).contains(&x.abs()) {
        let text = format!("{x:.4}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text
        };
    }
    format!("{x:.3e}")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.0, -12.5, 1e-7, 3.2e10, f64::NEG_INFINITY].map(short);
        assert_eq!(shown, ["0", "1", "-12.5", "1.000e-7", "3.200e10", "-inf"]);
    }
}
