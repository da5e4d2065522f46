//! What a training writes down, and where: the run's folder, its checkpoints, metrics and events.

use crate::args::TrainArgs;
use crate::voice::program;
use microgpt::Error;
use microgpt::measures::{Measures, metrics_every};
use microgpt::rng::Rng;
use microgpt::train::{Step, Trainer};
use microgpt_runs::Run;
use microgpt_runs::events::Events;
use microgpt_runs::lock::Lock;
use microgpt_runs::metrics::{Metrics, Validation};
use microgpt_runs::run::{BEST, LATEST};
use microgpt_runs::state::Best;
use microgpt_runs::weights::Stored;

/// Where a run is saved. While it lives, nobody else writes there.
pub(crate) struct Folder {
    pub(crate) run: Run,
    metrics: Metrics,
    events: Option<Events>,
    data_sha256: String,
    metrics_every: usize,
    /// Was it asked for? If not, and it cannot be written to, training goes on without it.
    asked: bool,
    _lock: Lock,
}

impl Folder {
    /// The folder of a run that goes on after `steps_done` steps.
    pub(crate) fn open(
        run: Run,
        lock: Lock,
        data_sha256: &str,
        steps_done: usize,
        config: &microgpt::Config,
        args: &TrainArgs,
    ) -> Result<Folder, Error> {
        let metrics = run.metrics(steps_done)?;
        let events = (!args.no_tensorboard).then(|| run.events(steps_done)).transpose()?;
        let (data_sha256, asked) = (data_sha256.to_string(), args.out.is_some() || args.resume.is_some());
        let metrics_every = metrics_every(config);
        Ok(Folder { run, metrics, events, data_sha256, metrics_every, asked, _lock: lock })
    }

    fn record(&mut self, step: &Step, measures: Option<&Measures>, rate: Option<f64>) -> Result<(), Error> {
        if measures.is_none() && !step.step.is_multiple_of(self.metrics_every) {
            return Ok(());
        }
        self.metrics.push(step, measures, rate)?;
        self.events.as_mut().map_or(Ok(()), |events| events.push(step, measures, rate))
    }

    fn look(&mut self, step: usize, validation: &Validation) -> Result<(), Error> {
        self.metrics.push_validation(step, validation)?;
        self.events.as_mut().map_or(Ok(()), |events| events.push_validation(step, validation))
    }

    fn save<R: Stored>(
        &mut self,
        trainer: &mut Trainer<R>,
        rng: &Rng,
        best: Option<Best>,
    ) -> Result<(), Error> {
        // Lines that are before the checkpoint must not be lost if what comes after it is.
        self.metrics.flush()?;
        self.events.as_mut().map_or(Ok(()), Events::flush)?;
        self.run.save_training(trainer, rng, &self.data_sha256, best)
    }

    /// What there is to go on from.
    pub(crate) fn saved_up_to(&self) -> String {
        let name = self.run.name();
        let at = |which| self.run.step_of(which);
        match (at(LATEST), at(BEST)) {
            (None, _) => "nothing of it is saved".to_string(),
            (Some(latest), Some(best)) if best != latest => {
                format!(
                    "saved are step {latest} ({name}) and the best, step {best} ({name}/checkpoints/best)"
                )
            }
            (Some(latest), _) => format!("saved is step {latest} ({name})"),
        }
    }
}

/// The folder of a run, if it has one.
pub(crate) struct Records(pub(crate) Option<Folder>);

impl Records {
    /// After each step; every so often it has a line.
    pub(crate) fn record(
        &mut self,
        step: &Step,
        measures: Option<&Measures>,
        rate: Option<f64>,
    ) -> Result<(), Error> {
        self.write(|folder| folder.record(step, measures, rate))
    }

    /// After a look at what is held back.
    pub(crate) fn look(&mut self, step: usize, validation: &Validation) -> Result<(), Error> {
        self.write(|folder| folder.look(step, validation))
    }

    /// A checkpoint.
    pub(crate) fn save<R: Stored>(
        &mut self,
        trainer: &mut Trainer<R>,
        rng: &Rng,
        best: Option<Best>,
    ) -> Result<(), Error> {
        self.write(|folder| folder.save(trainer, rng, best))
    }

    /// Writes to the folder, if there is one. An error names what is saved; where nobody asked for a folder, it is given
    /// up, and training goes on.
    pub(crate) fn write(
        &mut self,
        write: impl FnOnce(&mut Folder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(mut folder) = self.0.take() else { return Ok(()) };
        match write(&mut folder) {
            Err(error) if folder.asked => {
                let go_on = format!("{} train --resume {}", program(), folder.run.name());
                let hint = format!("{error}; {}; to go on: {go_on}", folder.saved_up_to());
                Err(Error::checkpoint(hint))
            }
            Err(error) => {
                unsaved(&error, folder.run.step_of(LATEST));
                Ok(())
            }
            Ok(()) => {
                self.0 = Some(folder);
                Ok(())
            }
        }
    }
}

/// Nobody asked for the run to be saved: where that cannot be, it goes on, and the first run prints its names.
pub(crate) fn unsaved(error: &Error, up_to: Option<usize>) {
    match up_to {
        None => crate::notice(&format!("{error}; the run is not saved")),
        Some(step) => {
            crate::notice(&format!("{error}; from now on the run is not saved, but up to step {step}"))
        }
    }
}
