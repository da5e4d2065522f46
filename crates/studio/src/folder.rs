//! Where a run of the studio is saved: held while it is written to, and free for others while it rests.

use microgpt::Error;
use microgpt_runs::Run;
use microgpt_runs::lock::Lock;
use microgpt_runs::metrics::Metrics;
use microgpt_runs::run::LATEST;

/// A run's folder.
pub struct Folder {
    /// The folder itself.
    pub run: Run,
    /// What its data is recognised by.
    pub data_sha256: String,
    /// While it is written to: nobody else may then.
    pub open: Option<Open>,
}

/// The right to write to a run's folder, and its list of steps.
pub struct Open {
    /// The list.
    pub metrics: Metrics,
    /// The right, for as long as it is held.
    pub lock: Lock,
}

impl Folder {
    /// Takes the right to write to it, for a training that has made so many steps.
    ///
    /// # Errors
    /// Another process has it, or has trained the run since; the disk's.
    pub fn claim(&mut self, steps_done: usize) -> Result<&mut Open, Error> {
        if self.open.is_none() {
            let lock = self.run.lock()?;
            let there = self.run.step_of(LATEST);
            if there.is_some_and(|there| there != steps_done) {
                return Err(Error::checkpoint(format!(
                    "{}: expected the run as it was opened, after step {steps_done}, found it after step {}: it was trained elsewhere (close it and open it again)",
                    self.run.path().display(),
                    there.unwrap_or_default()
                )));
            }
            self.open = Some(Open { metrics: self.run.metrics(steps_done)?, lock });
        }
        self.open.as_mut().ok_or_else(|| Error::checkpoint("the folder is closed"))
    }
}
