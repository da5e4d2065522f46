//! A training on a terminal: one line that changes; where it takes more than a few seconds, the view of [`crate::watch`].

use crate::session::STOP;
use crate::voice::{Beginning, no_color};
use crate::watch::{self, Looks, Scene, Shared, View, held, summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use microgpt::batch::Batch;
use microgpt::choices::Choice;
use microgpt::diagnosis::History;
use microgpt::documents::DataMode;
use microgpt::evaluate::bits;
use microgpt::measures::Measures;
use microgpt::train::Step;
use std::io::{self, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is shown on a terminal, and what that has to remember.
pub(crate) struct Live {
    bar: ProgressBar,
    scene: Shared,
    /// The view, if it is open; and whether it may be.
    view: Option<View>,
    may_view: bool,
    /// The time that counts: pauses do not.
    started: Instant,
    told: Instant,
    first_loss: Option<f64>,
    /// Sums that fade, and so their quotient is a mean of the last losses (some 50).
    faded: (f64, f64),
    /// The last loss on what is held back.
    validation: Option<f64>,
    /// What is counted: tokens of a stream, or documents; and how many there were.
    unit: &'static str,
    count: usize,
    sketched: Option<Instant>,
}

const FADING: f64 = 0.98;
/// From one change of the line to the next.
const LINE: Duration = Duration::from_millis(40);
/// A training has a view if it has lasted so long, and will last at least as long as the second still: the first run of
/// all is over before anybody could look at it.
const VIEW_AFTER: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(2500)];
/// From one sample to the next.
const SKETCH: Duration = Duration::from_millis(1000);

impl Live {
    pub(crate) fn new(may_view: bool) -> Live {
        Live {
            bar: ProgressBar::hidden(),
            scene: Arc::new(Mutex::new(Scene::default())),
            view: None,
            may_view: may_view && watch::is_possible(),
            started: Instant::now(),
            told: Instant::now(),
            first_loss: None,
            faded: (0.0, 0.0),
            validation: None,
            unit: "docs",
            count: 0,
            sketched: None,
        }
    }

    pub(crate) fn begin(&mut self, begin: &Beginning<'_>) {
        let (config, steps_done) = (&begin.settings.config, begin.steps_done);
        self.unit = if config.data_mode == DataMode::Stream { "tokens" } else { "docs" };
        let color = if no_color() { "" } else { ".cyan" };
        let template = format!("{{bar:24{color}}} {{pos}}/{{len}}  {{msg}}, {{eta}} left");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style);
        self.bar.set_length(config.steps as u64);
        self.bar.set_position(steps_done as u64);
        self.bar.reset_eta();
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        let parameters = watch::draw::thousands(begin.num_params as u64);
        *held(&self.scene) = Scene {
            title: begin.run.map_or("not saved".to_string(), |run| run.path().display().to_string()),
            model: format!("{parameters} parameters, {} engine", config.engine.name()),
            unit: begin.corpus.tokenizer.unit(),
            first_step: steps_done,
            step: steps_done,
            history: History::new(begin.corpus.tokenizer.vocab_size(), config.steps),
            ..Scene::default()
        };
        (self.started, self.told) = (Instant::now(), Instant::now());
    }

    pub(crate) fn step(&mut self, step: &Step, batch: &Batch) {
        let Step { step: number, loss, lr } = *step;
        self.first_loss.get_or_insert(loss);
        self.faded = (self.faded.0 * FADING + loss, self.faded.1 * FADING + 1.0);
        self.count += if self.unit == "docs" { batch.segments.len() } else { batch.rows() };
        let elapsed = self.started.elapsed();
        {
            let mut scene = held(&self.scene);
            scene.push(number, loss, lr, batch.rows());
            scene.elapsed = elapsed;
        }
        if self.view.is_some() || self.told.elapsed() < LINE {
            return;
        }
        self.told = Instant::now();
        let rate = self.count as f64 / elapsed.as_secs_f64().max(1e-9);
        self.bar.set_position(number as u64);
        let held_back = self.validation.map(|loss| format!(", val {loss:.3} = {:.2} bits", bits(loss)));
        self.bar.set_message(format!(
            "loss {loss:.3} (mean {:.3}){}, lr {lr:.5}, {rate:.0} {}/s",
            self.mean(),
            held_back.unwrap_or_default(),
            self.unit
        ));
        let left = held(&self.scene).left().unwrap_or_default();
        if self.may_view && elapsed >= VIEW_AFTER[0] && left >= VIEW_AFTER[1] {
            self.open();
        }
    }

    /// From now on there is the view instead of the line.
    fn open(&mut self) {
        self.may_view = false;
        self.bar.finish_and_clear();
        match View::open(self.scene.clone(), Looks { color: !no_color() }) {
            Ok(view) => self.view = Some(view),
            // The line is good enough.
            Err(_) => self.bar.reset(),
        }
    }

    fn mean(&self) -> f64 {
        self.faded.0 / self.faded.1
    }

    pub(crate) fn measured(&mut self, measures: &Measures) {
        held(&self.scene).measured(measures);
    }

    pub(crate) fn validation(&mut self, step: usize, loss: f64, line: &str) -> io::Result<()> {
        self.validation = Some(loss);
        held(&self.scene).look(step, loss);
        match &self.view {
            Some(_) => Ok(()),
            None => self.bar.suspend(|| writeln!(io::stderr().lock(), "{line}")),
        }
    }

    pub(crate) fn wants_a_sample(&self) -> bool {
        self.view.is_some() && self.sketched.is_none_or(|sketched| sketched.elapsed() >= SKETCH)
    }

    pub(crate) fn sketch(&mut self, step: usize, text: &str) {
        self.sketched = Some(Instant::now());
        held(&self.scene).sketch(step, text);
    }

    pub(crate) fn wait_while_paused(&mut self) {
        if self.view.is_none() || !held(&self.scene).paused {
            return;
        }
        let began = Instant::now();
        while held(&self.scene).paused && !STOP.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        held(&self.scene).paused = false;
        self.started += began.elapsed();
    }

    /// The terminal is as it was, and what the training came to stays on it.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.view = None;
        self.may_view = false;
        self.bar.finish_and_clear();
        let scene = held(&self.scene).clone();
        let steps = scene.step - scene.first_step;
        let Some(first) = self.first_loss.filter(|_| steps > 0) else { return Ok(()) };
        let seconds = self.started.elapsed().as_secs_f64();
        let mut err = io::stderr().lock();
        if steps >= 20 && watch::is_possible() {
            let width = ratatui::crossterm::terminal::size().map_or(76, |(width, _)| width);
            write!(err, "{}", summary(&scene, Looks { color: !no_color() }, width))?;
        }
        let mean = self.mean();
        writeln!(err, "\n{steps} steps in {seconds:.2} s: the loss went from {first:.2} to {mean:.2}")?;
        writeln!(err, "{}", scene.says())
    }
}
