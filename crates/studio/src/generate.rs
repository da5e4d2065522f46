//! What may come next, and texts that are written so.

use crate::json::{Fields, Json, number};
use crate::message::Fault;
use crate::session::{Session, lock};
use crate::view::{Look, Subject, View};
use microgpt::Config;
use microgpt::documents::DataMode;
use microgpt::filter::{Filter, likeliest};
use microgpt::rng::Rng;
use microgpt::sample::{Sampler, softmax};
use microgpt::tensor::Engine;
use microgpt::write::Writing;
use serde_json::json;

/// Takes the settings of sampling; those that are not given are the run's.
fn sampling(fields: &mut Fields, config: &Config) -> Result<Config, Fault> {
    let config = Config {
        temperature: fields.number("temperature")?.unwrap_or(config.temperature),
        top_k: fields.whole("top_k")?.unwrap_or(config.top_k),
        top_p: fields.number("top_p")?.unwrap_or(config.top_p),
        min_p: fields.number("min_p")?.unwrap_or(config.min_p),
        greedy: fields.truth("greedy")?.unwrap_or(config.greedy),
        ..config.clone()
    };
    config.validate()?;
    Ok(config)
}

/// The tokens of what stands there already.
fn prompt(session: &Session, view: &View) -> Result<Vec<u32>, Fault> {
    match &view.subject {
        Subject::Text(text) => Ok(session.tokenizer.encode(text).map_err(|error| error.at("text"))?),
        Subject::Tokens(tokens) => Ok(tokens.clone()),
        _ => Err(Fault::wrong("expected a text or tokens to go on from, found a document or a batch")),
    }
}

/// How likely each token is to come next.
///
/// # Errors
/// A view or a setting that is none.
pub fn next(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let mut view = View::take(&mut fields, session)?;
    let run = lock(&session.state).config.clone();
    let config = sampling(&mut fields, &run)?;
    let most = fields.whole("most")?.unwrap_or(200).clamp(1, 10_000);
    fields.end()?;
    let tokens = prompt(session, &view)?;
    let stream = config.data_mode == DataMode::Stream;
    let text = session.tokenizer.decode(&tokens);
    let full = !stream && tokens.len() >= config.block_size;
    if full {
        return Ok(json!({"text": text, "full": true, "tokens": [], "left_out": 0, "before": null}));
    }
    // What a stream's context has no room for is forgotten: its later half is read anew.
    let forgotten = if stream && tokens.len() > config.block_size {
        tokens.len() - config.block_size.div_ceil(2)
    } else {
        0
    };
    let seen = tokens[forgotten..].to_vec();
    view.subject = Subject::Tokens(seen.clone());
    view.next = None;
    let rows = seen.len() + usize::from(!stream || seen.is_empty());
    let list = |look: &Look| distribution(session, look, rows - 1, &config, most);
    let before = match view.edits.is_empty() {
        true => Json::Null,
        false => list(&lock(&*session.look(&view.unedited())?))?.0.into(),
    };
    let (list, left_out) = list(&lock(&*session.look(&view)?))?;
    Ok(json!({
        "text": text, "full": false, "forgotten": forgotten, "tokens": list, "left_out": left_out, "before": before,
        "temperature": number(config.temperature), "top_k": config.top_k, "top_p": number(config.top_p),
        "min_p": number(config.min_p), "greedy": config.greedy,
    }))
}

/// The tokens after a row, the likeliest first.
fn distribution(
    session: &Session,
    look: &Look,
    row: usize,
    config: &Config,
    most: usize,
) -> Result<(Vec<Json>, usize), Fault> {
    let logits = look.find("logits").ok_or_else(|| Fault::conflict("the model has no logits"))?;
    if row >= logits.shape.rows {
        return Err(Fault::conflict("text: it is too long to be looked at"));
    }
    let mut z = Vec::new();
    look.engine.read_row(logits.id, row, &mut z);
    let (mut plain, mut probs) = (z.clone(), z.clone());
    softmax(&mut plain, 1.0);
    softmax(&mut probs, config.temperature);
    if config.data_mode == DataMode::Stream {
        // A stream has no end. (So do the samples.)
        probs[session.tokenizer.bos() as usize] = 0.0;
    }
    Filter::of(config).apply(&mut probs);
    let sum: f64 = probs.iter().sum();
    let order = likeliest(&plain);
    let list = order.iter().take(most).map(|&token| {
        json!({
            "token": token, "name": session.tokenizer.name(token as u32), "logit": number(z[token]),
            "plain": number(plain[token]), "probability": number(probs[token] / sum), "may": probs[token] > 0.0,
        })
    });
    Ok((list.collect(), order.len().saturating_sub(most)))
}

/// Texts that go on from what stands there.
///
/// # Errors
/// A view or a setting that is none; a text without room.
pub fn write(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let run = lock(&session.state).config.clone();
    let mut config = sampling(&mut fields, &run)?;
    let seed = fields.whole("seed")?.unwrap_or(1) as u64;
    let count = fields.whole("count")?.unwrap_or(1).min(100);
    config.max_new_tokens = fields.whole("length")?.unwrap_or(100).min(2000);
    fields.take("most");
    fields.end()?;
    if !view.edits.is_empty() {
        return written_edited(session, &view, &config, seed, count);
    }
    let mut tokens = prompt(session, &view)?;
    let tokenizer = &session.tokenizer;
    if config.data_mode == DataMode::Stream && tokens.is_empty() {
        tokens.push(tokenizer.stream_start());
    }
    let mut engine = session.engine(view.step)?;
    let mut sampler = Sampler::new(&mut engine, &session.model);
    let mut rng = Rng::new(seed);
    let mut samples = Vec::new();
    for _ in 0..count {
        let mut drawn = Vec::new();
        let writing =
            Writing { config: &config, model: &session.model, tokenizer, prompt: &tokens, stop: "" };
        let text = writing.write(&mut sampler, &mut engine, &mut rng, &mut |token, probs| {
            drawn.push((token, probs[token as usize] / probs.iter().sum::<f64>()));
        })?;
        samples.push(sample(session, &tokens, &text, &drawn));
    }
    session.give_back(engine);
    Ok(json!({"samples": samples}))
}

fn sample(session: &Session, prompt: &[u32], text: &str, drawn: &[(u32, f64)]) -> Json {
    let bos = session.tokenizer.bos();
    let tokens: Vec<Json> = drawn
        .iter()
        .map(|(token, p)| json!({"token": token, "name": session.tokenizer.name(*token), "probability": number(*p)}))
        .collect();
    let ended = drawn.last().is_some_and(|(token, _)| *token == bos);
    json!({"text": session.tokenizer.decode(prompt) + text, "ended": ended, "tokens": tokens})
}

/// The same with edits: what is held belongs to rows of the whole text, so each token takes a pass over all of it.
fn written_edited(
    session: &Session,
    view: &View,
    config: &Config,
    seed: u64,
    count: usize,
) -> Result<Json, Fault> {
    let prompt = prompt(session, view)?;
    let (stream, bos) = (config.data_mode == DataMode::Stream, session.tokenizer.bos());
    let mut rng = Rng::new(seed);
    let mut samples = Vec::new();
    for _ in 0..count {
        let (mut tokens, mut drawn) = (prompt.clone(), Vec::new());
        while tokens.len() < config.block_size && drawn.len() < config.max_new_tokens {
            let subject = Subject::Tokens(tokens.clone());
            let look = Look::compute(session, &View { subject, next: None, ..view.clone() })?;
            let row = tokens.len() + usize::from(!stream || tokens.is_empty()) - 1;
            let logits = look.find("logits").ok_or_else(|| Fault::conflict("the model has no logits"))?;
            let mut probs = Vec::new();
            look.engine.read_row(logits.id, row, &mut probs);
            session.give_back(look.engine);
            softmax(&mut probs, config.temperature);
            if stream {
                probs[bos as usize] = 0.0;
            }
            Filter::of(config).apply(&mut probs);
            if !probs.iter().all(|p| p.is_finite()) {
                return Err(Fault::conflict("expected probabilities, found numbers that are none"));
            }
            let token = rng.choice(&probs) as u32;
            drawn.push((token, probs[token as usize] / probs.iter().sum::<f64>()));
            if token == bos {
                break;
            }
            tokens.push(token);
        }
        let text = session.tokenizer.decode(&tokens[prompt.len()..]);
        samples.push(sample(session, &prompt, &text, &drawn));
    }
    Ok(json!({"samples": samples}))
}
