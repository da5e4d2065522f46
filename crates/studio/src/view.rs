//! Where one looks: at which step, on which text, with what changed; and the numbers that are computed there.
//!
//! A view is computed on the scalar engine, which takes no shortcuts, with the weights of its step. What was looked at
//! lately is kept, so that a page with several pictures of one view computes it once.

use crate::edit::{self, Edit};
use crate::json::{Fields, Json};
use crate::message::Fault;
use crate::session::{Session, lock};
use microgpt::batch::Batch;
use microgpt::documents::DataMode;
use microgpt::engine::scalar::{Hold, Scalar};
use microgpt::model::Model;
use microgpt::op::{Id, Op};
use microgpt::rng::mix;
use microgpt::tensor::{Engine, Learner, Node, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// Where one looks.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// After how many updates.
    pub step: usize,
    /// On what.
    pub subject: Subject,
    /// The token that the loss expects after a text.
    pub next: Option<u32>,
    /// What is changed.
    pub edits: Vec<Edit>,
}

/// What goes through the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A text of one's own.
    Text(String),
    /// The same as tokens.
    Tokens(Vec<u32>),
    /// One of those that are learnt.
    Document(usize),
    /// What training takes at this step: this part of it.
    Batch(usize),
}

/// More rows than this are not looked at: a view is for people.
const MOST_ROWS: usize = 1024;

impl View {
    /// The fields of a view, of those of a request.
    ///
    /// # Errors
    /// A step that is not there, or a field that is none.
    pub fn take(fields: &mut Fields, session: &Session) -> Result<View, Fault> {
        let step = match fields.take("step") {
            None => session.last(),
            Some(Json::String(last)) if last == "last" => session.last(),
            Some(value) => {
                let step = value.as_u64().and_then(|n| usize::try_from(n).ok());
                step.ok_or_else(|| {
                    Fault::wrong("step: expected a whole number or \"last\", found something else")
                })?
            }
        };
        if step > session.last() {
            return Err(Fault::missing(format!("step: expected at most {}, found {step}", session.last())));
        }
        let (text, tokens) = (fields.text("text")?, fields.wholes("tokens")?);
        let (document, batch, part) =
            (fields.whole("document")?, fields.truth("batch")?, fields.whole("part")?);
        let tokens = tokens
            .map(|tokens| tokens.into_iter().map(|t| token(session, t, "tokens")).collect::<Result<_, _>>());
        let subject = match (text, tokens.transpose()?, document, batch == Some(true)) {
            (Some(text), None, None, false) => Subject::Text(text),
            (None, Some(tokens), None, false) => Subject::Tokens(tokens),
            (None, None, Some(document), false) => Subject::Document(document),
            (None, None, None, true) => Subject::Batch(part.unwrap_or(0)),
            (None, None, None, false) => Subject::Text(String::new()),
            _ => return Err(Fault::wrong("expected one of text, tokens, document and batch, found several")),
        };
        let next = fields.whole("next")?.map(|next| token(session, next, "next")).transpose()?;
        let edits = fields.list("edits")?.into_iter().map(Edit::read).collect::<Result<_, _>>()?;
        Ok(View { step, subject, next, edits })
    }

    /// The same with nothing changed.
    pub fn unedited(&self) -> View {
        View { edits: Vec::new(), ..self.clone() }
    }
}

fn token(session: &Session, token: usize, name: &str) -> Result<u32, Fault> {
    let known = session.tokenizer.vocab_size();
    u32::try_from(token)
        .ok()
        .filter(|&t| (t as usize) < known)
        .ok_or_else(|| Fault::wrong(format!("{name}: expected tokens below {known}, found {token}")))
}

/// A view that has been computed.
pub struct Look {
    /// Every number of it.
    pub engine: Scalar,
    /// What went through.
    pub batch: Batch,
    /// Every tensor up to the last of the loss.
    pub nodes: Vec<Node>,
    /// The cross entropy.
    pub loss: Id,
    /// What training descends on: the same, but for a model of counts.
    pub objective: Id,
    /// Softmax of the logits.
    pub probabilities: Id,
    /// The stream read through the output head: the stream's name, and probabilities.
    pub lens: Vec<(String, Id)>,
    /// The text that went through.
    pub text: String,
    /// How many of its tokens did not fit.
    pub cut: usize,
    /// In how many parts training works on this batch.
    pub parts: usize,
    lensed: bool,
    graded: bool,
}

impl Look {
    /// Computes a view.
    ///
    /// # Errors
    /// A step that cannot be had, a text with unknown characters, an edit of what is not there.
    pub fn compute(session: &Session, view: &View) -> Result<Look, Fault> {
        let input = Input::of(session, view)?;
        let base = match view.edits.is_empty() {
            true => None,
            false => Some(session.look(&view.unedited())?),
        };
        let mut engine = session.engine(view.step)?;
        let holds = match &base {
            Some(base) => edit::apply(session, view, engine.slices().0, base)?,
            None => Vec::new(),
        };
        let mut look = Look::run(&session.model, engine, input.batch, input.chance, holds);
        (look.text, look.cut, look.parts) = (input.text, input.cut, input.parts);
        Ok(look)
    }

    fn run(model: &Model, mut engine: Scalar, batch: Batch, chance: Option<u64>, holds: Vec<Hold>) -> Look {
        engine.hold(holds);
        engine.begin(&batch);
        if let Some(chance) = chance {
            engine.leave_to(chance);
        }
        let [loss, objective] = model.loss(&engine, &batch).map(Tensor::id);
        let nodes = engine.nodes();
        let logits = nodes.iter().rfind(|node| node.label.is_some_and(|label| label.name == "logits"));
        let probabilities = logits.map_or(loss, |logits| Tensor::of(&engine, logits).softmax().id());
        Look {
            engine,
            batch,
            nodes,
            loss,
            objective,
            probabilities,
            lens: Vec::new(),
            text: String::new(),
            cut: 0,
            parts: 1,
            lensed: false,
            graded: false,
        }
    }

    /// Sees to it that gradients are there.
    pub fn grade(&mut self) {
        if !self.graded {
            // Those of the parameters are added to.
            self.engine.slices().1.fill(0.0);
            self.engine.backward(self.objective);
            self.graded = true;
        }
    }

    /// Reads the stream of every layer through the output head.
    pub fn read_out(&mut self, model: &Model) {
        if std::mem::replace(&mut self.lensed, true) {
            return;
        }
        // What is held is held in the pass itself; here its names come a second time.
        self.engine.hold(Vec::new());
        let streams = ["embedded", "token", "stream_mid", "stream", "state"];
        let label = |node: &&Node| node.label.filter(|label| streams.contains(&label.name));
        let named: Vec<&Node> = self.nodes.iter().filter(|node| label(node).is_some()).collect();
        let embedded = named.iter().any(|node| node.label.is_some_and(|label| label.name == "embedded"));
        for node in named {
            let name = node.label.map(|label| label.to_string()).unwrap_or_default();
            if name == "token" && embedded {
                continue;
            }
            if let Some(logits) = model.read_out(&self.engine, Tensor::of(&self.engine, node)) {
                self.lens.push((format!("{name}.lens"), logits.softmax().id()));
            }
        }
        // The gradients of what came later are not there.
        self.graded = false;
    }

    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().rfind(|node| node.label.is_some_and(|label| label.to_string() == name))
    }

    /// How many numbers it holds in memory.
    fn size(&self) -> usize {
        self.nodes
            .iter()
            .filter(|node| !matches!(node.op, Op::Param { .. }))
            .map(|node| 2 * node.shape.len())
            .sum()
    }
}

/// What goes through the model, and how it came to be.
struct Input {
    batch: Batch,
    chance: Option<u64>,
    text: String,
    cut: usize,
    parts: usize,
}

impl Input {
    fn of(session: &Session, view: &View) -> Result<Input, Fault> {
        let config = lock(&session.state).config.clone();
        let (tokenizer, block_size) = (&session.tokenizer, config.block_size.min(MOST_ROWS));
        let stream = config.data_mode == DataMode::Stream;
        let mut batch = Batch::default();
        let own = match &view.subject {
            Subject::Text(text) => Some(tokenizer.encode(text).map_err(|error| error.at("text"))?),
            Subject::Tokens(tokens) => Some(tokens.clone()),
            _ => None,
        };
        if let Some(tokens) = own {
            let text = match &view.subject {
                Subject::Text(text) => text.clone(),
                _ => tokenizer.decode(&tokens),
            };
            let begins = if stream {
                tokens.is_empty().then_some(tokenizer.stream_start())
            } else {
                Some(tokenizer.bos())
            };
            let expected = if stream { tokenizer.stream_start() } else { tokenizer.bos() };
            let all: Vec<u32> =
                begins.into_iter().chain(tokens).chain([view.next.unwrap_or(expected)]).collect();
            batch.push_document(&all, block_size);
            let cut = all.len() - 1 - batch.rows();
            return Ok(Input { batch, chance: None, text, cut, parts: 1 });
        }
        let mut corpus = lock(&session.corpus);
        let (mut chance, mut parts) = (None, 1);
        match view.subject {
            Subject::Document(i) => {
                if i >= corpus.len() - corpus.held_back()
                    && !corpus.is_stream()
                    && corpus.problems().is_none()
                {
                    let last = corpus.len() - corpus.held_back();
                    return Err(Fault::missing(format!("document: expected less than {last}, found {i}")));
                }
                let i = i.min(1 << 52);
                corpus.fill(&mut batch, i, 1, block_size)?;
            }
            Subject::Batch(part) => {
                session.replay.as_ref().map_err(|why| Fault::conflict(why.clone()))?;
                let mut whole = Batch::default();
                corpus.fill(
                    &mut whole,
                    view.step * config.batch_size,
                    config.batch_size,
                    config.block_size,
                )?;
                parts = config.parts(session.layout().len());
                if part >= parts {
                    return Err(Fault::missing(format!("part: expected less than {parts}, found {part}")));
                }
                let mut room = Batch::default();
                batch.clone_from(whole.part(part, parts, &mut room));
                if batch.rows() == 0 {
                    return Err(Fault::missing(format!("part {part} of this batch is empty")));
                }
                chance = Some(mix(config.seed, view.step as u64));
            }
            Subject::Text(_) | Subject::Tokens(_) => {}
        }
        let text = texts(session, &batch).join("\n");
        Ok(Input { batch, chance, text, cut: 0, parts })
    }
}

/// The text of each document of a batch.
pub fn texts(session: &Session, batch: &Batch) -> Vec<String> {
    let text = |segment: &microgpt::batch::Segment| {
        let rows = segment.start..segment.start + segment.len;
        let last = batch.targets.get(rows.end.wrapping_sub(1));
        session.tokenizer.decode(&batch.tokens[rows].iter().chain(last).copied().collect::<Vec<_>>())
    };
    batch.segments.iter().map(text).collect()
}

/// What was looked at lately, the latest first.
#[derive(Default)]
pub struct Looks {
    kept: Mutex<Vec<(View, Arc<Mutex<Look>>)>>,
    /// Whose turn it is to compute one: who asks for the same finds it when theirs comes. One with edits looks at
    /// others without, in its own turn.
    turns: [Mutex<()>; 2],
    /// An engine that is no longer looked at. To find new memory takes the system longer than a large model its pass.
    spare: Mutex<Option<Scalar>>,
}

/// So many numbers are kept, or two looks.
const MOST_NUMBERS: usize = 16 << 20;

impl Session {
    /// A view, computed if it was not lately.
    ///
    /// # Errors
    /// As [`Look::compute`].
    pub fn look(&self, view: &View) -> Result<Arc<Mutex<Look>>, Fault> {
        if let Some(look) = self.kept_look(view) {
            return Ok(look);
        }
        let _turn = lock(&self.looks.turns[usize::from(view.edits.is_empty())]);
        if let Some(look) = self.kept_look(view) {
            return Ok(look);
        }
        // One with edits is looked at beside the one without.
        let most = |numbers: usize| (MOST_NUMBERS / numbers.max(1)).clamp(2, 32);
        let numbers = 2 * self.layout().len();
        self.keep_looks(most(numbers) - 1);
        let look = Look::compute(self, view)?;
        let most = most(numbers + look.size());
        let look = Arc::new(Mutex::new(look));
        lock(&self.looks.kept).insert(0, (view.clone(), look.clone()));
        self.keep_looks(most);
        Ok(look)
    }

    /// Forgets what was looked at before the `most` last.
    fn keep_looks(&self, most: usize) {
        let mut kept = lock(&self.looks.kept);
        while kept.len() > most {
            let look = kept.pop().and_then(|(_, look)| Arc::into_inner(look));
            if let Some(look) = look {
                self.give_back(look.into_inner().unwrap_or_else(PoisonError::into_inner).engine);
            }
        }
    }

    /// An engine with the weights of a step.
    ///
    /// # Errors
    /// A step that cannot be had.
    pub fn engine(&self, step: usize) -> Result<Scalar, Fault> {
        let weights = self.weights(step)?;
        let spare = lock(&self.looks.spare).take();
        Ok(match spare {
            Some(mut engine) => {
                engine.renew(|params| weights.write_to(params));
                engine
            }
            None => Scalar::new(weights.to_f64()),
        })
    }

    /// Takes back an engine that is no longer needed.
    pub fn give_back(&self, engine: Scalar) {
        *lock(&self.looks.spare) = Some(engine);
    }

    fn kept_look(&self, view: &View) -> Option<Arc<Mutex<Look>>> {
        let mut kept = lock(&self.looks.kept);
        let place = kept.iter().position(|(other, _)| other == view)?;
        let found = kept.remove(place);
        let look = found.1.clone();
        kept.insert(0, found);
        Some(look)
    }
}
