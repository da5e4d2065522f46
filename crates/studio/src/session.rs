//! One run of the studio: its training, its past, and what has been told of it.
//!
//! A training is advanced step by step by whoever drives it (a thread of the server, or the page itself); requests look
//! at what it left after each step. They share it through two locks: `desk`, on which the training lies and which is
//! held during a step, and `state`, which is held for a moment only. No request needs the desk to look at anything.

use crate::condition::Condition;
use crate::folder::Folder;
use crate::history::History;
use crate::message::Fault;
use crate::ops::Stepper;
use crate::pupil::{Memory, Training};
use crate::view::Looks;
use crate::weights::Weights;
use microgpt::corpus::Corpus;
use microgpt::diagnosis::{self, diagnose};
use microgpt::layout::Layout;
use microgpt::measures::{Measures, metrics_every};
use microgpt::model::Model;
use microgpt::token::Tokenizer;
use microgpt::train::Step;
use microgpt::{Config, Error};
use microgpt_runs::Settings;
use microgpt_runs::metrics::Validation;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Steps are made.
    Training,
    /// It waits.
    Paused,
    /// All steps are made.
    Done,
    /// A step could not be made.
    Failed,
}

impl Status {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Training => "training",
            Status::Paused => "paused",
            Status::Done => "done",
            Status::Failed => "failed",
        }
    }
}

/// A run.
pub struct Session {
    /// Its name in addresses.
    pub id: String,
    /// What it was begun with; the number of steps may have grown since.
    pub settings: Settings,
    /// Where its text came from, in words.
    pub data: String,
    /// A text that came with the request, to be saved with the run.
    pub text: Option<Vec<u8>>,
    /// Its tokens.
    pub tokenizer: Tokenizer,
    /// Its model.
    pub model: Model,
    /// Whether earlier steps can be made again; else why not.
    pub replay: Result<(), String>,
    /// The training, and where it is saved.
    pub desk: Mutex<Desk>,
    /// What is known of it.
    pub state: Mutex<State>,
    /// A second training, which makes earlier steps again.
    pub again: Mutex<Again>,
    /// The text, to look documents up.
    pub corpus: Mutex<Corpus>,
    /// A step that is gone through operation by operation.
    pub stepper: Mutex<Option<Stepper>>,
    /// What has been looked at lately.
    pub looks: Looks,
    /// How many requests wait for the desk.
    pub waiting: AtomicUsize,
}

/// What lies on the desk.
pub struct Desk {
    /// The training.
    pub training: Box<dyn Training>,
    /// Where it is saved.
    pub folder: Option<Folder>,
    /// When it was saved last, and when it was measured.
    pub saved_at: f64,
    /// See `saved_at`.
    pub measured_at: f64,
}

/// What is known of a run.
pub struct State {
    /// What it is doing.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// After which step it pauses.
    pub goal: usize,
    /// A condition that it pauses at, and how that went.
    pub until: Option<Until>,
    /// The settings as they are now.
    pub config: Config,
    /// From which step on the course had how many steps.
    pub courses: Vec<(usize, usize)>,
    /// All steps.
    pub steps: Vec<Step>,
    /// Looks at what is held back: the step, the loss, the part that is right.
    pub validations: Vec<(usize, f64, Option<f64>)>,
    /// What was written, after which step.
    pub samples: Vec<(usize, String)>,
    /// What was measured last.
    pub measures: Option<Measures>,
    /// The parameters of earlier steps.
    pub history: History,
    /// What the rules say.
    pub past: diagnosis::History,
    /// Grows with every change: see [`State::touch`].
    pub version: u64,
    /// Tokens and seconds of the last while.
    pub pace: Pace,
    /// Does someone drive it?
    pub driven: bool,
    /// Did a replay give the bits that were saved?
    pub agrees: Option<bool>,
    /// In which folder it is.
    pub folder: Option<String>,
    /// The loss on what is held back, last.
    pub closed: bool,
}

/// A condition that training stops at.
#[derive(Debug, Clone)]
pub struct Until {
    /// As it was written.
    pub text: String,
    /// What it says.
    pub condition: Condition,
    /// At which step it held.
    pub held: Option<usize>,
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    since: f64,
    tokens: usize,
    /// Tokens in a second.
    pub rate: Option<f64>,
}

impl Pace {
    fn add(&mut self, tokens: usize, now: f64) {
        self.tokens += tokens;
        let seconds = now - self.since;
        if seconds > 2.0 {
            // It rested: begin again.
            *self = Pace { since: now, tokens: 0, rate: self.rate };
        } else if seconds > 0.25 {
            *self = Pace { since: now, tokens: 0, rate: Some(self.tokens as f64 / seconds) };
        }
    }
}

/// A training that makes earlier steps again.
#[derive(Default)]
pub struct Again {
    training: Option<Box<dyn Training>>,
    /// What was made again lately.
    recent: Vec<(usize, Weights)>,
}

/// Locks, also what a panic left locked: what is in it is replaced whole, never half.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Between two checkpoints, in seconds.
const SAVE_EVERY: f64 = 10.0;
/// Between two measurements, in seconds.
const MEASURE_EVERY: f64 = 0.2;

impl Session {
    /// The layout of its parameters.
    pub fn layout(&self) -> &Layout {
        &self.model.layout
    }

    /// Waits for the desk; training makes way.
    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        self.waiting.fetch_add(1, SeqCst);
        let desk = lock(&self.desk);
        self.waiting.fetch_sub(1, SeqCst);
        desk
    }

    /// Makes a step, if it is training. False: there is nothing to do. `clock` tells seconds, from anywhere on.
    pub fn advance(&self, clock: &dyn Fn() -> f64) -> bool {
        let mut desk = lock(&self.desk);
        let (goal, until, wants_memory) = {
            let state = lock(&self.state);
            if state.status != Status::Training {
                drop(state);
                let _ = desk.training.rest();
                let _ = self.save_desk(&mut desk, clock());
                return false;
            }
            let next = desk.training.steps_done() + 1;
            (state.goal.min(state.config.steps), state.until.clone(), state.history.wants_memory(next))
        };
        let done = self.step(&mut desk, goal, until, wants_memory, clock);
        if let Err(error) = done {
            self.fail(&error.to_string());
            let _ = desk.training.rest();
            let _ = self.save_desk(&mut desk, clock());
            return false;
        }
        let goes_on = lock(&self.state).status == Status::Training;
        if !goes_on {
            let _ = desk.training.rest();
        }
        goes_on
    }

    /// It cannot go on. Returns false: there is nothing more to do.
    pub fn fail(&self, why: &str) -> bool {
        let mut state = lock(&self.state);
        state.status = Status::Failed;
        state.error = Some(why.to_string());
        state.touch();
        false
    }

    fn step(
        &self,
        desk: &mut Desk,
        goal: usize,
        until: Option<Until>,
        wants_memory: bool,
        clock: &dyn Fn() -> f64,
    ) -> Result<(), Error> {
        let started = clock();
        let steps_done = desk.training.steps_done();
        if let Some(folder) = &mut desk.folder {
            folder.claim(steps_done)?;
        }
        let last = steps_done + 1 >= goal;
        let measured = last || started - desk.measured_at >= MEASURE_EVERY;
        let (step, measures) = desk.training.step(measured)?;
        // Gradients are there until the next batch goes through.
        let held = until.as_ref().filter(|until| until.held.is_none()).map(|until| {
            let mut tensor = |name: &str, grad: bool| desk.training.tensor(name, grad);
            until.condition.holds(&mut tensor, &step)
        });
        let weights = desk.training.weights();
        let memory = wants_memory.then(|| desk.training.memory()).transpose();
        // Whatever goes wrong from here on, the step was made.
        let now = clock();
        if measured {
            desk.measured_at = now;
        }
        let config = {
            let mut state = lock(&self.state);
            state.pace.add(desk.training.tokens(), now);
            state.record(step, weights, memory.as_ref().ok().cloned().flatten());
            if let Some(measures) = &measures {
                state.past.measures = Some(measures.clone());
                state.measures = Some(measures.clone());
            }
            state.touch();
            state.config.clone()
        };
        memory?;
        let held = held.transpose()?.unwrap_or(false);
        let due = measures.is_some() || step.step.is_multiple_of(metrics_every(&config));
        if let Some(open) = desk.folder.as_mut().filter(|_| due).and_then(|folder| folder.open.as_mut()) {
            open.metrics.push(&step, measures.as_ref(), None)?;
        }
        let validation = desk.training.validation()?;
        if let (Some(open), Some((loss, accuracy))) =
            (desk.folder.as_mut().and_then(|folder| folder.open.as_mut()), validation)
        {
            let validation = Validation { loss, bits_per_character: None, accuracy };
            open.metrics.push_validation(step.step, &validation)?;
        }
        let gives_up = validation.is_some() && desk.training.gives_up();
        let samples = match step.step {
            n if n == config.steps => desk.training.samples(5)?,
            n if n.is_power_of_two() || n.is_multiple_of((config.steps / 20).max(1)) => {
                desk.training.samples(1)?
            }
            _ => Vec::new(),
        };
        if let Some(folder) = desk.folder.as_ref().filter(|_| step.step == config.steps) {
            folder.run.write_samples(&samples, config.data_mode)?;
        }
        let mut state = lock(&self.state);
        state.samples.extend(samples.into_iter().map(|text| (step.step, text)));
        if let Some((loss, right)) = validation {
            state.validations.push((step.step, loss, right));
            state.past.validations.push((step.step, loss));
        }
        if let Some(until) = state.until.as_mut().filter(|_| held) {
            until.held = Some(step.step);
        }
        state.touch();
        // What it does after this step; asked again below, for someone may have asked for more in between.
        let then = |state: &State| match state.status {
            Status::Training if step.step >= state.config.steps => Status::Done,
            Status::Training if held || gives_up || step.step >= state.goal => Status::Paused,
            status => status,
        };
        let status = then(&state);
        drop(state);
        // Who is told that it rests finds it saved.
        if status != Status::Training || now - desk.saved_at > SAVE_EVERY {
            self.save_as(desk, now, status)?;
        }
        let mut state = lock(&self.state);
        state.status = then(&state);
        state.touch();
        Ok(())
    }

    /// Writes a checkpoint, if there is a folder and something to write. A run that rests gives its folder free.
    ///
    /// # Errors
    /// The disk's.
    pub fn save_desk(&self, desk: &mut Desk, now: f64) -> Result<(), Error> {
        let status = lock(&self.state).status;
        self.save_as(desk, now, status)
    }

    fn save_as(&self, desk: &mut Desk, now: f64, status: Status) -> Result<(), Error> {
        desk.saved_at = now;
        let courses = lock(&self.state).courses.clone();
        let Desk { training, folder, .. } = desk;
        let Some(folder) = folder else { return Ok(()) };
        let Some(open) = &mut folder.open else { return Ok(()) };
        // Lines that are before the checkpoint must not be lost if what comes after it is.
        open.metrics.flush()?;
        training.save(&folder.run, &folder.data_sha256)?;
        crate::shelf::mark(&folder.run, status, &courses)?;
        if status != Status::Training {
            folder.open = None;
        }
        Ok(())
    }

    /// The parameters after step `step`: kept, or made again.
    ///
    /// # Errors
    /// There is no such step, or none that can be made again.
    pub fn weights(&self, step: usize) -> Result<Weights, Fault> {
        let (kept, last) = {
            let state = lock(&self.state);
            (state.history.get(step), state.history.last())
        };
        if let Some(weights) = kept {
            return Ok(weights);
        }
        if step > last {
            return Err(Fault::missing(format!("step: expected at most {last}, found {step}")));
        }
        let mut again = lock(&self.again);
        if let Some((_, weights)) = again.recent.iter().find(|(at, _)| *at == step) {
            return Ok(weights.clone());
        }
        self.make_again(&mut again, step)
    }

    /// Makes every step up to `step` again from the first one, and keeps as many as there is room for; and looks, if it
    /// comes to the last, whether that has the same bits.
    ///
    /// # Errors
    /// As [`Session::weights`].
    pub fn remake(&self, step: usize) -> Result<(), Fault> {
        self.replay.as_ref().map_err(|why| Fault::conflict(why.clone()))?;
        if step > self.last() {
            return Err(Fault::missing(format!("to: expected at most {}, found {step}", self.last())));
        }
        let mut again = lock(&self.again);
        again.training = Some(self.desk().training.restart()?);
        self.run_again(&mut again, step)?;
        Ok(())
    }

    /// The parameters after the update that follows step `step`, made or still to be made.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn weights_after(&self, step: usize) -> Result<Weights, Fault> {
        if step < self.last() {
            return self.weights(step + 1);
        }
        self.replay.as_ref().map_err(|why| Fault::conflict(why.clone()))?;
        let (weights, memory, mut twin) = {
            let mut desk = self.desk();
            if desk.training.steps_done() != step {
                drop(desk);
                return self.weights(step + 1);
            }
            (desk.training.weights(), desk.training.memory()?, desk.training.restart()?)
        };
        twin.restore(step, &weights, &memory)?;
        let steps = lock(&self.state).config.steps;
        twin.set_steps(steps);
        twin.step(false)?;
        Ok(twin.weights())
    }

    /// Makes the steps up to `step` again, from the nearest that can be gone on from.
    fn make_again(&self, again: &mut Again, step: usize) -> Result<Weights, Fault> {
        let nearest = lock(&self.state).history.nearest(step);
        let Some((from, weights, memory)) = nearest else {
            let why = self.replay.as_ref().err().cloned().unwrap_or_default();
            return Err(Fault::conflict(format!("step {step}: it is not kept, and {why}")));
        };
        let at = again.training.as_ref().map(|training| training.steps_done());
        if !at.is_some_and(|at| at >= from && at <= step) {
            let mut training = match again.training.take() {
                Some(training) => training,
                None => self.desk().training.restart()?,
            };
            training.restore(from, &weights, &memory)?;
            again.training = Some(training);
        }
        let weights = self.run_again(again, step)?;
        again.recent.insert(0, (step, weights.clone()));
        again.recent.truncate(if weights.bytes() > 8 << 20 { 2 } else { 16 });
        Ok(weights)
    }

    fn run_again(&self, again: &mut Again, step: usize) -> Result<Weights, Fault> {
        let Some(training) = &mut again.training else {
            return Err(Fault::conflict("nothing to go on from"));
        };
        let courses = lock(&self.state).courses.clone();
        while training.steps_done() < step {
            let at = training.steps_done();
            if let Some((_, steps)) = courses.iter().rev().find(|(from, _)| *from <= at) {
                training.set_steps(*steps);
            }
            training.step(false)?;
            let now = training.steps_done();
            let (wants, kept) = {
                let state = lock(&self.state);
                if state.closed {
                    return Err(Fault::missing("the run was closed"));
                }
                (state.history.wants_memory(now), state.history.get(now))
            };
            let weights = training.weights();
            let memory = if wants { Some(training.memory()?) } else { None };
            let mut state = lock(&self.state);
            if let Some(kept) = kept.filter(|_| now == state.history.last()) {
                state.agrees = Some(kept.parted(&weights).is_none());
                state.touch();
            }
            state.history.fill(now, weights, memory);
        }
        training.rest()?;
        Ok(training.weights())
    }

    /// The newest step.
    pub fn last(&self) -> usize {
        lock(&self.state).history.last()
    }
}

/// How many changes there were, of any run. One count for all, so that a run that is closed and opened again is newer
/// than it was.
static CHANGES: AtomicU64 = AtomicU64::new(0);

impl State {
    /// Something is new.
    pub fn touch(&mut self) {
        self.version = CHANGES.fetch_add(1, SeqCst) + 1;
    }

    fn record(&mut self, step: Step, weights: Weights, memory: Option<Memory>) {
        self.steps.push(step);
        self.past.losses.push((step.step, step.loss));
        self.history.push(step.step, weights, memory);
    }

    /// What the rules say of the training, in a line.
    pub fn words(&self) -> String {
        diagnose(&self.past).text
    }
}
