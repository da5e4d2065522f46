//! What there is to say of a run: all of it in short, and what has come since.

use crate::json::{Json, number, numbers};
use crate::message::Fault;
use crate::session::{Session, State, Status, lock};
use microgpt::Config;
use microgpt::documents::DataMode;
use microgpt::measures::Measures;
use serde_json::json;

/// So many points of a curve come at once, at most.
const MOST_POINTS: usize = 2000;

impl Session {
    /// A run in short.
    pub fn summary(&self) -> Json {
        self.summary_of(&lock(&self.state))
    }

    fn summary_of(&self, state: &State) -> Json {
        let config = &state.config;
        let settings: serde_json::Map<String, Json> = Config::knobs()
            .into_iter()
            .map(|knob| (knob.name.to_string(), config.get(knob.name).into()))
            .collect();
        let names: Vec<String> = (0..self.tokenizer.vocab_size().min(4096))
            .map(|token| self.tokenizer.name(token as u32))
            .collect();
        let until = state
            .until
            .as_ref()
            .map(|until| json!({"condition": until.text, "held": until.held.is_some(), "step": until.held}));
        let history = &state.history;
        json!({
            "id": self.id, "version": state.version, "name": state.folder, "saved": state.folder.is_some(), "preset": self.settings.preset,
            "data": self.data, "status": state.status.name(), "error": state.error, "until": until,
            "step": history.last(), "steps": config.steps, "parameters": self.layout().len(),
            "precision": if config.engine == microgpt::real::EngineKind::Scalar { "f64" } else { "f32" },
            "guessing": number((self.tokenizer.vocab_size() as f64).ln()),
            "loss": state.steps.last().map(|step| number(step.loss)),
            "validation": state.validations.last().map(|(_, loss, _)| number(*loss)),
            "tokens_per_second": (state.status == Status::Training).then_some(state.pace.rate).flatten().map(number),
            "settings": settings, "tokens": names, "vocabulary": self.tokenizer.vocab_size(), "bos": self.tokenizer.bos(),
            "stream": config.data_mode == DataMode::Stream, "block_size": config.block_size,
            "layers": config.n_layer, "heads": config.n_head, "channels": config.n_embd, "hidden": config.hidden(),
            "family": config.model.to_string(),
            "history": {
                "every": history.every(), "kept": history.len(), "bytes": history.bytes(),
                "budget": crate::history::BUDGET, "replay": self.replay.is_ok(), "why_not": self.replay.as_ref().err(),
                "first": if self.replay.is_ok() { history.steps().next().unwrap_or(0) } else { history.last() },
                "last": history.last(), "agrees": state.agrees,
            },
        })
    }

    /// A number that grows with every change.
    pub fn version(&self) -> u64 {
        lock(&self.state).version
    }

    /// Was it closed?
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// What has come since `since`, a cursor of an earlier answer. `life` tells one life of the server from another.
    pub fn news(&self, life: &str, since: Option<&str>) -> Json {
        let state = lock(&self.state);
        let cursor = since.and_then(|since| Cursor::read(since, life));
        let reset = since.is_some() && cursor.is_none();
        let Cursor { steps, validations, samples } = cursor.unwrap_or_default();
        let new = state.steps.get(steps..).unwrap_or_default();
        // Of many, every so-many-th, and the newest.
        let every = new.len().div_ceil(MOST_POINTS).max(1);
        let chosen: Vec<_> = new
            .iter()
            .enumerate()
            .filter(|(i, _)| i % every == 0 || i + 1 == new.len())
            .map(|(_, step)| step)
            .collect();
        let validations: Vec<Json> = state
            .validations
            .iter()
            .skip(validations)
            .map(|(step, loss, right)| json!({"step": step, "loss": number(*loss), "accuracy": right.map(number)}))
            .collect();
        let samples: Vec<Json> = state
            .samples
            .iter()
            .skip(samples)
            .map(|(step, text)| json!({"step": step, "text": text}))
            .collect();
        let next = Cursor {
            steps: state.steps.len(),
            validations: state.validations.len(),
            samples: state.samples.len(),
        };
        let mut news = json!({
            "cursor": next.text(life), "run": self.summary_of(&state),
            "steps": {
                "step": chosen.iter().map(|step| step.step).collect::<Vec<_>>(),
                "loss": numbers(chosen.iter().map(|step| step.loss)),
                "lr": numbers(chosen.iter().map(|step| step.lr)),
            },
            "validations": validations, "samples": samples,
            "measures": state.measures.as_ref().map(|measures| measures_json(measures, &state.words())),
        });
        if reset {
            news["reset"] = true.into();
        }
        // Many names need not be told again and again.
        if cursor.is_some() && self.tokenizer.vocab_size() > 512 {
            news["run"]["tokens"] = Json::Null;
        }
        news
    }

    /// Documents in the order in which they are learnt.
    ///
    /// # Errors
    /// The text is not there.
    pub fn documents(&self, from: usize, count: usize) -> Result<Json, Fault> {
        self.replay.as_ref().map_err(|why| Fault::conflict(why.clone()))?;
        let config = lock(&self.state).config.clone();
        let mut corpus = lock(&self.corpus);
        let endless = corpus.is_stream() || corpus.problems().is_some();
        let total = (!endless).then(|| corpus.len() - corpus.held_back());
        let to = from.saturating_add(count.min(1000)).min(total.unwrap_or(1 << 52));
        let mut batch = microgpt::batch::Batch::default();
        let mut documents = Vec::new();
        for at in from..to.max(from) {
            let whole = if corpus.is_stream() { config.block_size } else { 1 << 20 };
            corpus.fill(&mut batch, at, 1, whole)?;
            let text = crate::view::texts(self, &batch).concat();
            documents.push(json!({"at": at, "text": text, "tokens": batch.rows()}));
        }
        Ok(json!({"from": from, "total": total, "documents": documents}))
    }
}

fn measures_json(measures: &Measures, words: &str) -> Json {
    let matrices: Vec<Json> = measures
        .matrices
        .iter()
        .map(|m| json!({"name": m.name, "gradient": number(m.grad_norm), "update_ratio": number(m.update_ratio)}))
        .collect();
    let layers = || measures.layers.iter().enumerate();
    let dead: Vec<Json> = layers()
        .filter(|(_, layer)| layer.units > 0)
        .map(|(i, layer)| json!({"layer": i, "dead": layer.dead, "of": layer.units}))
        .collect();
    let entropy: Vec<Json> = layers()
        .filter(|(_, layer)| !layer.entropy.is_empty())
        .map(|(i, layer)| json!({"layer": i, "heads": numbers(layer.entropy.iter().copied()), "most": number(layer.entropy_most)}))
        .collect();
    json!({
        "step": measures.step, "gradient": number(measures.grad_norm), "update_ratio": number(measures.update_ratio),
        "bits_per_character": number(measures.bits_per_character), "matrices": matrices, "dead": dead, "entropy": entropy,
        "words": words,
    })
}

/// How much someone has been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cursor {
    steps: usize,
    validations: usize,
    samples: usize,
}

impl Cursor {
    fn text(self, life: &str) -> String {
        format!("{life}.{}.{}.{}", self.steps, self.validations, self.samples)
    }

    /// None of another life.
    fn read(text: &str, life: &str) -> Option<Cursor> {
        let mut parts = text.strip_prefix(life)?.strip_prefix('.')?.split('.').map(str::parse);
        let mut next = || parts.next()?.ok();
        Some(Cursor { steps: next()?, validations: next()?, samples: next()? })
    }
}
