//! `microgpt sweep`: many runs from one file, several at once, and what came of them.
//!
//! - [`one`]: one run, on one thread
//! - [`calibrate`]: how many steps fit into a time

mod one;
mod calibrate;

use crate::args::SweepArgs;
use crate::compare;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use microgpt::Error;
use microgpt_runs::outcome::{self, Outcome, Record, SWEEP};
use microgpt_runs::sweep::{Planned, Sweep, name};
use microgpt_runs::{Run, Settings, atomic};
use serde_json::json;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

/// Ctrl+C was pressed: what is not finished is left, and made again by the same command.
static STOP: AtomicBool = AtomicBool::new(false);

/// A run that is to be made, and where.
struct Job {
    planned: Planned,
    folder: PathBuf,
}

pub(crate) fn run(args: &SweepArgs) -> Result<ExitCode> {
    let text = fs::read_to_string(&args.file).map_err(|error| {
        Error::config(format!(
            "{}: expected a sweep's file (TOML), found {}",
            args.file,
            atomic::reason(&error)
        ))
    })?;
    let sweep = Sweep::read(&text, &args.file)?;
    let (tuning, runs) = (sweep.tuning()?, sweep.runs(|_| 0)?);
    if args.dry_run {
        let mut out = io::stdout().lock();
        for run in tuning.iter().chain(&runs) {
            writeln!(out, "{}{}", if run.tuning { "tune " } else { "" }, name(&run.label))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Relaxed) {
            std::process::exit(130);
        }
    });
    let stem = Path::new(&args.file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let folder = Run::place(args.out.as_deref().or(stem.as_deref()).unwrap_or("sweep"));
    let _lock = open(&folder, &text)?;

    let total = tuning.len() + runs.len();
    let mut teller = Teller::new(args.json, total);
    let mut first = 0;
    let (mut choices, mut edges) = (Vec::new(), Vec::new());
    if sweep.tunes() {
        if !stage(&folder, tuning, &mut first, total, args.jobs, &mut teller)? {
            return Ok(stopped(&teller));
        }
        (choices, edges) = choose(&sweep, &folder)?;
    }
    let runs = sweep.runs(|point| choices.get(point).copied().unwrap_or(0))?;
    let wanted: Vec<String> = runs.iter().map(|run| identity(&run.settings, run.seconds)).collect();
    if !stage(&folder, runs, &mut first, total, args.jobs, &mut teller)? {
        return Ok(stopped(&teller));
    }
    teller.bar.finish_and_clear();

    let mut records = outcome::find(&[folder.display().to_string()])?;
    write_csv(&folder, &records)?;
    // Runs of an earlier state of the file stay where they are, but are not of this sweep.
    records.retain(|r| !r.outcome.tuning && wanted.contains(&identity(&r.settings, r.outcome.seconds)));
    compare::tell_groups(&records, args.baseline.as_deref(), args.json)?;
    if !args.json {
        for edge in edges {
            writeln!(io::stdout().lock(), "{edge}")?;
        }
        let place = Run::at_any(folder).name();
        teller.aside(&format!(
            "\nThe runs are in {place}. {} report {place} draws them.",
            crate::voice::program()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes or opens the folder of a sweep; it is nobody else's as long as the file that is returned is open.
fn open(folder: &Path, text: &str) -> Result<File> {
    let is_sweep = folder.join(SWEEP).is_file();
    let empty = fs::read_dir(folder).map_or(!folder.exists(), |mut inside| inside.next().is_none());
    if !is_sweep && !empty {
        let found = "something else that is there (--out gives another)";
        return Err(Error::config(format!(
            "{}: expected the folder of a sweep, or none, found {found}",
            folder.display()
        ))
        .into());
    }
    let wrong = |error: io::Error| {
        let found = atomic::reason(&error);
        Error::checkpoint(format!("{}: expected a place to write to, found {found}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(wrong)?;
    let lock = File::create(folder.join(".lock")).map_err(wrong)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = "expected a sweep that is at rest, found one that is under way";
            return Err(Error::checkpoint(format!("{}: {text}", folder.display())).into());
        }
        // Some file systems know no locks.
        Err(TryLockError::Error(_)) => {}
    }
    atomic::write(&folder.join(SWEEP), text.as_bytes())?;
    Ok(lock)
}

/// What makes a run the one that was planned: its settings; but not the steps that a time is worth.
fn identity(settings: &Settings, seconds: Option<f64>) -> String {
    let mut settings = settings.clone();
    if seconds.is_some() {
        (settings.config.steps, settings.config.eval_every) = (1, 1);
    }
    format!("{seconds:?} {}", settings.to_toml())
}

/// Makes those of the runs that are not finished. Was it brought to its end?
fn stage(
    folder: &Path,
    planned: Vec<Planned>,
    first: &mut usize,
    total: usize,
    jobs: usize,
    teller: &mut Teller,
) -> Result<bool> {
    let (mut done, mut taken) = (HashSet::new(), HashSet::new());
    for run in outcome::runs_of(folder)? {
        let outcome = Outcome::read(run.path())?.unwrap_or_default();
        done.insert((outcome.tuning, identity(&run.read_settings()?, outcome.seconds)));
        let name = run.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        taken.insert(name.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0));
    }
    let (mut todo, width) = (Vec::new(), total.to_string().len());
    let mut next = taken.iter().max().map_or(1, |most: &usize| most + 1).max(total + 1);
    let mut before = 0;
    for (i, planned) in planned.into_iter().enumerate() {
        if done.contains(&(planned.tuning, identity(&planned.settings, planned.seconds))) {
            before += 1;
            continue;
        }
        // A number that a run of an earlier state of the file has is not given again.
        let mut number = *first + i + 1;
        if taken.contains(&number) {
            (number, next) = (next, next + 1);
        }
        let folder = folder.join(format!("{number:0width$}-{}", name(&planned.label)));
        todo.push(Job { planned, folder });
    }
    *first += before + todo.len();
    teller.begin(before)?;
    calibrate::steps(folder, &mut todo, &STOP, |text| teller.bar.set_message(text))?;

    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    let jobs = if jobs == 0 { processors } else { jobs }.min(todo.len());
    let (next, (send, receive)) = (AtomicUsize::new(0), mpsc::channel());
    std::thread::scope(|scope| -> Result<()> {
        for _ in 0..jobs {
            let (send, next, todo) = (send.clone(), &next, &todo);
            scope.spawn(move || {
                while let Some(job) = todo.get(next.fetch_add(1, Relaxed)).filter(|_| !STOP.load(Relaxed)) {
                    let made = one::run(job, &STOP);
                    if made.is_err() {
                        next.store(todo.len(), Relaxed);
                    }
                    // Nobody listens any more: another run went wrong.
                    let _ = send.send((job, made));
                }
            });
        }
        drop(send);
        for (job, made) in receive {
            match made {
                Ok(Some(outcome)) => {
                    if let Err(error) = teller.made(job, &outcome) {
                        STOP.store(true, Relaxed);
                        return Err(error.into());
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    STOP.store(true, Relaxed);
                    return Err(error.at(name(&job.planned.label)).into());
                }
            }
        }
        Ok(())
    })?;
    Ok(!STOP.load(Relaxed))
}

/// Of what was tuned at each point, the choice with the lowest mean loss; and what there is to say of it.
fn choose(sweep: &Sweep, folder: &Path) -> Result<(Vec<usize>, Vec<String>)> {
    let records = outcome::find(&[folder.display().to_string()])?;
    let score = |planned: &Planned| {
        let wanted = identity(&planned.settings, planned.seconds);
        let found =
            records.iter().find(|r| r.outcome.tuning && identity(&r.settings, r.outcome.seconds) == wanted);
        found.map_or(f64::INFINITY, |record| record.outcome.score())
    };
    let mut sums: Vec<Vec<(f64, String)>> = Vec::new();
    for planned in sweep.tuning()? {
        sums.resize(sums.len().max(planned.point + 1), Vec::new());
        let choices = &mut sums[planned.point];
        choices.resize(choices.len().max(planned.choice + 1), (0.0, String::new()));
        let label: Vec<_> = planned.label.iter().filter(|(name, _)| name != "seed").cloned().collect();
        choices[planned.choice].0 += score(&planned);
        choices[planned.choice].1 = name(&label);
    }
    let best = |choices: &Vec<(f64, String)>| {
        (0..choices.len()).min_by(|&a, &b| choices[a].0.total_cmp(&choices[b].0)).unwrap_or(0)
    };
    let chosen: Vec<usize> = sums.iter().map(best).collect();
    let at_edge = |(&choice, choices): (&usize, &Vec<(f64, String)>)| {
        let edge = choices.len() > 1 && (choice == 0 || choice + 1 == choices.len());
        edge.then(|| {
            format!("{}: at the edge of what was tried; a better one may lie beyond", choices[choice].1)
        })
    };
    let edges = chosen.iter().zip(&sums).filter_map(at_edge).collect();
    Ok((chosen, edges))
}

/// A line for each run: what tells it from the others, and what came of it.
fn write_csv(folder: &Path, records: &[Record]) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in records.iter().flat_map(|record| &record.outcome.label) {
        if !names.contains(&&**name) {
            names.push(name);
        }
    }
    let quoted = |text: &str| {
        if text.contains([',', '"', '\n']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_string()
        }
    };
    let optional = |number: Option<f64>| number.map(|x| format!("{x:?}")).unwrap_or_default();
    let mut csv = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",");
    csv.push_str(if csv.is_empty() { "" } else { "," });
    csv.push_str(
        "tuning,budget_seconds,num_params,steps,tokens,flops,loss,val_loss,accuracy,diverged,cpu_seconds\n",
    );
    for Record { outcome, .. } in records {
        for name in &names {
            let value = outcome.label.iter().find(|(label, _)| label == name).map(|(_, value)| &**value);
            csv += &format!("{},", quoted(value.unwrap_or_default()));
        }
        let Outcome { tuning, seconds, num_params, steps, tokens, flops, .. } = outcome;
        let tokens = tokens.map(|n| n.to_string()).unwrap_or_default();
        csv +=
            &format!("{tuning},{},{num_params},{steps},{tokens},{},", optional(*seconds), optional(*flops));
        csv += &[outcome.loss, outcome.val_loss, outcome.accuracy].map(optional).join(",");
        let cpu = outcome.cpu_seconds.map(|x| format!("{x:.3}")).unwrap_or_default();
        csv += &format!(",{},{cpu}\n", outcome.diverged.is_some());
    }
    Ok(atomic::write(&folder.join("results.csv"), csv.as_bytes())?)
}

fn stopped(teller: &Teller) -> ExitCode {
    teller.bar.finish_and_clear();
    let (done, total) = (teller.done, teller.total);
    crate::notice(&format!("stopped after {done} of {total} runs; the same command goes on"));
    ExitCode::from(130)
}

/// Tells how far it is: a bar on a terminal, a line for each run in a pipe, JSON for programs.
struct Teller {
    bar: ProgressBar,
    json: bool,
    live: bool,
    done: usize,
    total: usize,
    best: f64,
}

impl Teller {
    fn new(json: bool, total: usize) -> Teller {
        let live = !json && io::stdout().is_terminal() && io::stderr().is_terminal();
        let bar = ProgressBar::hidden();
        if live {
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} runs  {msg}  {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_length(total as u64);
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Teller { bar, json, live, done: 0, total, best: f64::INFINITY }
    }

    /// Before the runs of a stage, of which so many are there already.
    fn begin(&mut self, before: usize) -> io::Result<()> {
        self.done += before;
        self.bar.set_position(self.done as u64);
        self.bar.reset_eta();
        if before > 0 && !self.live && !self.json {
            writeln!(io::stdout().lock(), "{before} of {} runs are there already", self.total)?;
        }
        Ok(())
    }

    fn made(&mut self, job: &Job, outcome: &Outcome) -> io::Result<()> {
        self.done += 1;
        self.best = self.best.min(outcome.score());
        self.bar.set_position(self.done as u64);
        self.bar.set_message(format!("best loss {:.4}", self.best));
        let (name, loss) = (name(&outcome.label), outcome.score());
        if self.json {
            let event = json!({
                "event": "run", "run": job.folder.display().to_string(), "done": self.done, "runs": self.total,
                "outcome": outcome,
            });
            return writeln!(io::stdout().lock(), "{event}");
        }
        if self.live {
            return Ok(());
        }
        let result = match outcome.diverged {
            Some(_) => "diverged".to_string(),
            None => format!("{} {loss:.4}", if outcome.val_loss.is_some() { "val loss" } else { "loss" }),
        };
        let tuning = if outcome.tuning { "tuning " } else { "" };
        let width = self.total.to_string().len();
        let (done, total) = (self.done, self.total);
        writeln!(io::stdout().lock(), "run {done:width$} / {total} | {result} | {tuning}{name}")
    }

    fn aside(&self, text: &str) -> io::Result<()> {
        if self.live { writeln!(io::stderr().lock(), "{text}") } else { Ok(()) }
    }
}
