//! A run is begun, or opened from its folder.

use crate::folder::Folder;
use crate::form::Start;
use crate::history::{BUDGET, History};
use crate::message::Fault;
use crate::pupil::{Pupil, Training};
use crate::room;
use crate::session::{Again, Desk, Pace, Session, State, Status};
use crate::shelf::{Mark, Shelf};
use crate::view::Looks;
use crate::weights::Kept;
use microgpt::corpus::Corpus;
use microgpt::engine::Precision;
use microgpt::layout::Layout;
use microgpt::model::Model;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::train::Step;
use microgpt::{Error, diagnosis};
use microgpt_runs::data::{Data, Source};
use microgpt_runs::weights::Stored;
use microgpt_runs::{Run, Settings};
use std::sync::Mutex;

/// What a run is begun with.
pub struct Plan {
    /// Its settings.
    pub start: Start,
    /// A text that came with the request.
    pub text: Option<Vec<u8>>,
    /// Its name in addresses.
    pub id: String,
    /// Where it is saved, if it is.
    pub run: Option<Run>,
    /// Is it trained at once?
    pub go: bool,
}

/// Begins a run.
///
/// # Errors
/// Settings that cannot be; a text that cannot be learnt; the disk's.
pub fn begin(plan: Plan) -> Result<Session, Fault> {
    match plan.start.settings.config.engine {
        EngineKind::Scalar => begin_as::<f64>(plan),
        EngineKind::Fast => begin_as::<f32>(plan),
    }
}

fn begin_as<R: Precision + Kept + Stored>(plan: Plan) -> Result<Session, Fault> {
    let Plan { start, text, id, run, go } = plan;
    let holds_back = start.holds_back(text.is_some());
    let mut settings = start.settings;
    if let (Some(text), Some(run)) = (&text, &run) {
        settings.data = write_text(run, text)?;
    }
    let data = match &text {
        Some(text) => Data::of_text(text.clone()),
        None => settings.read_data()?,
    };
    // By the rule of `microgpt train --data`.
    if holds_back && data.is_worth_holding_back(&settings.config) {
        settings.config.val_fraction = 0.1;
    }
    let about = match &text {
        Some(_) => "a text given in the studio".to_string(),
        None if settings.config.task != microgpt::task::Task::None => {
            format!("the task {}", settings.config.task)
        }
        None => settings.data.to_string(),
    };
    let data_sha256 = data.sha256.clone();
    let mut rng = Rng::new(settings.config.seed);
    let place = run.as_ref().map_or_else(std::env::temp_dir, |run| run.path().to_path_buf());
    let (corpus, tokens) =
        data.corpus_in(&place, &settings.config, None, &mut rng).map_err(|error| match &text {
            Some(_) => Error::text(error.to_string().replace(&Source::Names.to_string(), "the text")),
            None => error,
        })?;
    let parameters = Layout::new(&settings.config, corpus.tokenizer.vocab_size()).len();
    room::check(parameters, size_of::<R>())?;
    let mut pupil = Pupil::<R>::new(settings.config.clone(), corpus.clone(), rng)?;
    let mut folder = None;
    if let Some(run) = run {
        let mut own = Folder { run, data_sha256, open: None };
        own.claim(0)?;
        own.run.write_tokenizer(&corpus.tokenizer)?;
        tokens.map(|tokens| tokens.keep(own.run.path())).transpose()?;
        // The settings come last: a folder with them is a run.
        own.run.write_settings(&settings)?;
        folder = Some(own);
    }
    let mut history = History::new(BUDGET);
    history.pin(0, pupil.weights(), Some(pupil.memory()?));
    let steps = settings.config.steps;
    let status = if go { Status::Training } else { Status::Paused };
    let state = State { status, ..state_of(&settings, &corpus, history, vec![(0, steps)]) };
    let training = Box::new(pupil) as Box<dyn Training>;
    Ok(session(id, settings, about, text, corpus, training, folder, state, Ok(())))
}

/// Opens a saved run.
///
/// # Errors
/// A folder that is damaged.
pub fn open(shelf: &Shelf, id: &str) -> Result<Session, Fault> {
    let (run, mark) = (shelf.find(id)?, shelf.mark_of(id));
    let session = match run.read_settings()?.config.engine {
        EngineKind::Scalar => open_as::<f64>(run, id, &mark)?,
        EngineKind::Fast => open_as::<f32>(run, id, &mark)?,
    };
    Ok(session)
}

fn open_as<R: Precision + Kept + Stored>(run: Run, id: &str, mark: &Mark) -> Result<Session, Fault> {
    // Before anything is read: of the run's own settings and tokens.
    let parameters = Layout::new(&run.read_settings()?.config, run.read_tokenizer()?.vocab_size()).len();
    room::check(parameters, size_of::<R>())?;
    let saved = run.load::<R>()?;
    let (settings, step) = (saved.settings, saved.checkpoint.step);
    let tokenizer = saved.checkpoint.tokenizer.clone();
    let edited = saved.changed.iter().find(|(name, ..)| !is_harmless(name)).map(|change| run.edited(change));
    let text =
        edited.map_or(Ok(()), Err).and_then(|()| read_data(&settings, &saved.data_sha256)).and_then(|data| {
            let mut rng = Rng::new(settings.config.seed);
            let tokenizer = Some(tokenizer.clone());
            let (corpus, tokens) = data.corpus_in(run.path(), &settings.config, tokenizer, &mut rng)?;
            tokens.map(|tokens| tokens.keep(run.path())).transpose()?;
            Ok((corpus, rng))
        });
    // Without its text, or with other settings than it was trained with, a run can be looked at as it is, but neither trained nor made again.
    let (corpus, before, replay) = match text {
        Ok((corpus, rng)) => (corpus, rng, Ok(())),
        Err(error) => {
            let documents = microgpt::documents::Documents::from_lines(some_text(&tokenizer))?;
            let mut corpus = Corpus::new(documents);
            corpus.tokenizer = tokenizer.clone();
            (corpus, Rng::new(settings.config.seed), Err(error.to_string()))
        }
    };
    let courses = match &mark.courses[..] {
        [] => vec![(0, settings.config.steps)],
        courses => courses.to_vec(),
    };
    let mut history = History::new(BUDGET);
    if replay.is_ok() && step > 0 {
        let mut first = Pupil::<R>::new(settings.config.clone(), corpus.clone(), before.clone())?;
        history.pin(0, first.weights(), Some(first.memory()?));
    }
    let mut pupil = Pupil::<R>::saved(saved.checkpoint, saved.best, corpus.clone(), before)?;
    history.pin(step, pupil.weights(), Some(pupil.memory()?));
    let mut state = state_of(&settings, &corpus, history, courses);
    state.status = if step >= settings.config.steps { Status::Done } else { Status::Paused };
    read_metrics(&run, step, &mut state);
    read_samples(&run, step, &mut state);
    let folder = Folder { run, data_sha256: saved.data_sha256, open: None };
    let about = settings.data.to_string();
    let training = Box::new(pupil) as Box<dyn Training>;
    Ok(session(id.to_string(), settings, about, None, corpus, training, Some(folder), state, replay))
}

/// May this setting have changed without another training?
fn is_harmless(name: &str) -> bool {
    let group = microgpt::Config::knobs().iter().find(|knob| knob.name == name).map_or("", |knob| knob.group);
    ["sampling", "records"].contains(&group)
        || ["steps", "eval_every", "eval_size", "patience"].contains(&name)
}

fn read_data(settings: &Settings, sha256: &str) -> Result<Data, Error> {
    let data = settings.read_data()?;
    if data.sha256 != sha256 {
        return Err(Error::text(format!("{}: it is another text than the run has learnt", settings.data)));
    }
    Ok(data)
}

/// Something that the tokenizer knows.
fn some_text(tokenizer: &microgpt::token::Tokenizer) -> String {
    let all: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
    let text: String =
        tokenizer.decode(&all).chars().filter(|c| !c.is_whitespace() && !c.is_control()).take(1).collect();
    if text.is_empty() { "a".to_string() } else { text }
}

/// Keeps a text that came with a request in the run's folder.
///
/// # Errors
/// The disk's.
pub fn write_text(run: &Run, text: &[u8]) -> Result<Source, Error> {
    let path = run.path().join("data.txt");
    microgpt_runs::atomic::write(&path, text)?;
    Ok(Source::Files(vec![std::path::absolute(&path).unwrap_or(path)]))
}

fn state_of(settings: &Settings, corpus: &Corpus, history: History, courses: Vec<(usize, usize)>) -> State {
    State {
        status: Status::Paused,
        error: None,
        goal: usize::MAX,
        until: None,
        config: settings.config.clone(),
        courses,
        steps: Vec::new(),
        validations: Vec::new(),
        samples: Vec::new(),
        measures: None,
        history,
        past: diagnosis::History::new(corpus.tokenizer.vocab_size(), settings.config.steps),
        version: 0,
        pace: Pace::default(),
        driven: false,
        agrees: None,
        folder: None,
        closed: false,
    }
}

fn session(
    id: String,
    settings: Settings,
    data: String,
    text: Option<Vec<u8>>,
    corpus: Corpus,
    training: Box<dyn Training>,
    folder: Option<Folder>,
    mut state: State,
    replay: Result<(), String>,
) -> Session {
    let tokenizer = corpus.tokenizer.clone();
    state.folder = folder.as_ref().map(|_| id.clone());
    state.touch();
    Session {
        id,
        data,
        text,
        model: Model::new(&settings.config, tokenizer.vocab_size()),
        settings,
        tokenizer,
        replay,
        desk: Mutex::new(Desk { training, folder, saved_at: 0.0, measured_at: -1.0 }),
        state: Mutex::new(state),
        again: Mutex::new(Again::default()),
        corpus: Mutex::new(corpus),
        stepper: Mutex::new(None),
        looks: Looks::default(),
        waiting: 0.into(),
    }
}

/// What `metrics.jsonl` has of the steps up to the checkpoint.
fn read_metrics(run: &Run, last: usize, state: &mut State) {
    let text = std::fs::read_to_string(run.path().join("metrics.jsonl")).unwrap_or_default();
    for line in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let number = |name: &str| line.get(name).and_then(serde_json::Value::as_f64);
        let Some(step) = line.get("step").and_then(serde_json::Value::as_u64).map(|step| step as usize)
        else {
            continue;
        };
        if step > last {
            continue;
        }
        if let (Some(loss), Some(lr)) = (number("loss"), number("lr")) {
            state.steps.push(Step { step, loss, lr });
            state.past.losses.push((step, loss));
        }
        if let Some(loss) = number("val_loss") {
            state.validations.push((step, loss, number("accuracy")));
            state.past.validations.push((step, loss));
        }
    }
}

fn read_samples(run: &Run, last: usize, state: &mut State) {
    let text = std::fs::read_to_string(run.path().join("samples.txt")).unwrap_or_default();
    state.samples.extend(text.lines().take(20).map(|line| (last, line.to_string())));
}
