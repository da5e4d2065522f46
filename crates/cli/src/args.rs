//! What may stand on the command line. The flags of the settings are made from the list of knobs, not written here.

mod bench;
mod sweeps;
mod texts;

pub(crate) use bench::BenchArgs;
pub(crate) use sweeps::{CompareArgs, ReportArgs, SpeedrunArgs, SweepArgs};
pub(crate) use texts::{DataArgs, TokenizeArgs};

use clap::{Arg, ArgMatches, Args, Parser, Subcommand};
use microgpt::Config;
use microgpt_runs::presets::PRESETS;
use microgpt_runs::settings::{self, Assignment, Settings};

const EXAMPLES: &str = "\
Examples:
  microgpt                                   train on 32,257 names, then invent 20
  microgpt train --data my.txt               any UTF-8 text, a document per line (- reads standard input)
  microgpt train --n-layer 2 --steps 2000    change any setting; `microgpt list` shows them all
  microgpt train --preset microgpt-final     the other revision of microgpt.py
  microgpt train --preset shakespeare-char --data book.txt    a bigger model, of a text as one stream
  microgpt train --resume microgpt-1         go on with runs/microgpt-1, to the same bits as without a break
  microgpt generate microgpt-1 --prompt ka   invent more, beginning as you like
  microgpt generate microgpt-1 --top-k 3 --compare            are they copied, near, or new?
  microgpt runs                              what was trained, how far, how well
  microgpt eval microgpt-1 --data other.txt  how well does it know another text?
  microgpt prove --n-head 2                  is every gradient right?
  microgpt prove --all                       is every variant right, with every other?
  microgpt train --preset task --task sort   a task with exact answers
  microgpt data book.txt                     what is in a text
  microgpt sweep rates.toml                  many runs from one file, over all processors
  microgpt compare microgpt-1 microgpt-2     what differs, and where they part
  microgpt report rates --out rates.html     the same drawn
  microgpt speedrun                          how low is the loss after one second?
  microgpt studio                            look inside, on a page of this machine
  microgpt export html microgpt-1            the same of a run, in one file

Settings come from the preset, then --config FILE.toml, then the environment (MICROGPT_N_LAYER=2), then flags; later
ones win. Results go to standard output, everything else to standard error. NO_COLOR is respected.

Exit codes: 0 done; 1 data, a saved run or the training itself is at fault, or `prove` found an error; 2 the command
line or a setting is; 130 stopped by Ctrl+C or a request to end (the run is saved).";

/// The GPT that hides nothing: train it, sample from it, prove it right.
///
/// Without a command it trains the preset `microgpt` on names and invents 20 of them, as Karpathy's microgpt.py does.
/// Flags without a command are those of `train`.
#[derive(Debug, Parser)]
#[command(name = "microgpt", bin_name = "microgpt", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model, save it in a run folder, and print samples
    Train(TrainArgs),
    /// Print samples of a trained model
    Generate(GenerateArgs),
    /// Measure how well a trained model knows a text: loss, bits per character, the best and the worst document
    Eval(EvalArgs),
    /// Check the gradients, causality and replay of a model
    Prove(ProveArgs),
    /// Measure how fast training and decoding are, and where the time goes
    Bench(BenchArgs),
    /// Many runs from one file, several at once: a grid, a random search, seeds
    #[command(after_help = sweeps::SWEEP_FILE)]
    Sweep(SweepArgs),
    /// What differs between runs, what it is worth, and where two of them part
    Compare(CompareArgs),
    /// Draw runs or sweeps into one HTML file that opens offline, or one SVG picture
    Report(ReportArgs),
    /// The lowest loss on held back names after one second, everything included
    Speedrun(SpeedrunArgs),
    /// Look at a text before it is learnt: documents, lengths, alphabet, duplicates, and what counting alone would give
    Data(DataArgs),
    /// Learn a tokenizer, or see how one cuts a text
    Tokenize(TokenizeArgs),
    /// List the runs there are, with their losses; `runs rm NAME` removes one
    Runs(RunsArgs),
    /// Look inside: a page in which a model is trained, stopped, taken apart, and asked of any number where it came from
    Studio(StudioArgs),
    /// Write the look-inside views of a run to one file that opens by double-click
    Export(ExportArgs),
    /// List what can be chosen: presets, settings, variants
    List,
    /// Show a formula for --activation: its derivative, and some numbers
    #[command(after_help = crate::formula::grammar())]
    Formula(FormulaArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StudioArgs {
    /// A saved run to open: a name in runs/, or a path; without it, the settings below begin one
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The port to listen on; 0: any that is free
    #[arg(long, value_name = "N", default_value_t = 8088)]
    pub(crate) port: u16,
    /// The address to listen on; any but this machine's own lets others in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Another name that the studio may be called by, such as that of a proxy before it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// Do not open a browser
    #[arg(long, alias = "no_open")]
    pub(crate) no_open: bool,
    /// Begin no run: the page does
    #[arg(long, conflicts_with = "run")]
    pub(crate) idle: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// As what
    #[arg(value_name = "FORMAT", value_parser = ["html"])]
    pub(crate) format: String,
    /// The run: a name in runs/, or a path
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The file to write; by default the run's name and .html
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<String>,
    /// A text to look at; may be given several times. By default, some that the run has learnt
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Vec<String>,
    /// A step to look at; may be given several times. By default, some between the first and the last
    #[arg(long, value_name = "N")]
    pub(crate) step: Vec<usize>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Where to save: a name in runs/, or a path; by default the preset's name and a number
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_save", "resume"])]
    pub(crate) out: Option<String>,
    /// Save nothing
    #[arg(long, alias = "no_save")]
    pub(crate) no_save: bool,
    /// Go on with a saved run, to the same bits as if it had not stopped
    #[arg(long, value_name = "RUN", conflicts_with_all = ["no_save", "preset", "config"])]
    pub(crate) resume: Option<String>,
    /// Save a checkpoint every N steps (and always at the end), and not by the clock
    #[arg(long, alias = "save_every", value_name = "N", value_parser = at_least_1)]
    pub(crate) save_every: Option<usize>,
    /// Save a checkpoint every N seconds, or so seldom that it takes a twentieth of the time [default: 5]
    #[arg(long, alias = "save_seconds", value_name = "N", conflicts_with = "save_every", value_parser = seconds)]
    pub(crate) save_seconds: Option<f64>,
    /// Stop after step N and save, without samples; --resume goes on
    #[arg(long, alias = "stop_after", value_name = "N", value_parser = at_least_1)]
    pub(crate) stop_after: Option<usize>,
    /// Threads that share a step (under mpirun, in each rank), a power of two; 0: as many as it is worth. The results are
    /// the same with any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) workers: usize,
    /// JSON lines on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// On a terminal, a line that changes instead of the live view
    #[arg(long, alias = "no_tui")]
    pub(crate) no_tui: bool,
    /// Write no events for TensorBoard
    #[arg(long, alias = "no_tensorboard")]
    pub(crate) no_tensorboard: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The run: a name in runs/, or the path of its folder or of a checkpoint in it
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Which of its checkpoints: latest, or best (the lowest loss on what is held back)
    #[arg(long, value_name = "latest|best", value_parser = ["latest", "best"])]
    pub(crate) checkpoint: Option<String>,
    /// What each sample begins with
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(crate) prompt: String,
    /// End a sample before this text
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(crate) stop: String,
    /// Show each token's probability, and the likeliest others
    #[arg(long, alias = "show_probs")]
    pub(crate) show_probs: bool,
    /// Say of each sample whether it is copied from the text that was learnt, near (one letter away), or new
    #[arg(long)]
    pub(crate) compare: bool,
    /// JSON lines on standard output
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The run: a name in runs/, or the path of its folder or of a checkpoint in it
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Which of its checkpoints: latest, or best (the lowest loss on what is held back)
    #[arg(long, value_name = "latest|best", value_parser = ["latest", "best"])]
    pub(crate) checkpoint: Option<String>,
    /// The text: UTF-8, documents or a stream as the run has learnt; - is standard input
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) data: String,
    /// Leave out documents with characters that the model does not know, and count them
    #[arg(long, alias = "skip_unknown")]
    pub(crate) skip_unknown: bool,
    /// How many documents to show of those that it knows best, and worst
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) show: usize,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// Where they are
    #[arg(value_name = "FOLDER", default_value = microgpt_runs::run::RUNS)]
    pub(crate) folder: String,
    /// JSON lines on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Remove runs and all that was saved of them; asks first
    Rm(RmArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names in runs/, or paths of their folders
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Make it wrong on purpose, to see what the proof says; `microgpt list` has the ways
    #[arg(long, value_name = "FAULT")]
    pub(crate) plant: Option<String>,
    /// Every two values of any two settings together, in small models; other settings do not matter
    #[arg(long, conflicts_with = "plant")]
    pub(crate) all: bool,
    /// JSON lines on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FormulaArgs {
    /// A formula of x, such as 'x * sigmoid(1.702*x)', or a name of the list
    #[arg(value_name = "FORMULA", allow_hyphen_values = true)]
    pub(crate) formula: String,
    /// JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

fn presets_help() -> String {
    let [default, others @ ..] = PRESETS else { return String::new() };
    let others: Vec<&str> = others.iter().map(|preset| preset.name).collect();
    format!("Settings with a name: {} (the default), {}", default.name, others.join(", "))
}

/// Where settings come from.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    #[arg(long, value_name = "NAME", help = presets_help())]
    preset: Option<String>,
    /// Settings from a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// The text to learn from, a document per line (or see --data-mode): files, folders, or - for standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<String>,
    #[command(flatten)]
    knobs: KnobFlags,
}

impl SettingsArgs {
    /// All sides together: preset < file < environment < flags.
    pub(crate) fn resolve(&self) -> Result<Settings, microgpt::Error> {
        Settings::resolve(&self.assignments()?)
    }

    /// The same with words that are not flags: files to read.
    pub(crate) fn resolve_with(&self, files: &[String]) -> Result<Settings, microgpt::Error> {
        let mut sides = self.assignments()?;
        if !files.is_empty() {
            sides.push(assignment("data", &files.join("\0")));
        }
        Settings::resolve(&sides)
    }

    /// What all sides say, the later ones stronger.
    pub(crate) fn assignments(&self) -> Result<Vec<Assignment>, microgpt::Error> {
        let mut sides = match &self.config {
            Some(path) => settings::read_file(path)?,
            None => Vec::new(),
        };
        let (env, unknown) = settings::read_env(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        sides.extend(env);
        sides.extend(self.flags());
        for name in unknown {
            crate::notice(&format!("{name}: no such setting; ignored"));
        }
        Ok(sides)
    }

    /// The same, with another preset if none is asked for.
    pub(crate) fn resolve_from(&self, preset: &str) -> Result<Settings, microgpt::Error> {
        let mut sides = vec![assignment("preset", preset)];
        if let Some(path) = &self.config {
            sides.extend(settings::read_file(path)?);
        }
        sides.extend(self.flags());
        Settings::resolve(&sides)
    }

    /// The flags alone.
    pub(crate) fn flags(&self) -> Vec<Assignment> {
        let mut flags = self.knobs.0.clone();
        flags.extend(self.preset.iter().map(|name| assignment("preset", name)));
        if !self.data.is_empty() {
            // One setting: paths have no byte 0 in them.
            flags.push(assignment("data", &self.data.join("\0")));
        }
        flags
    }
}

fn assignment(name: &str, value: &str) -> Assignment {
    let place = format!("--{}", name.replace('_', "-"));
    Assignment { place, name: name.to_string(), value: value.to_string() }
}

/// A flag for each knob, or for each of those that matter when a model is trained already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags<const TRAINED: bool>(pub(crate) Vec<Assignment>);

/// A flag for each knob.
pub(crate) type KnobFlags = Flags<false>;
/// A flag for each knob of sampling, and the seed.
pub(crate) type SamplingFlags = Flags<true>;

fn knobs(trained: bool) -> impl Iterator<Item = microgpt::config::Knob> {
    Config::knobs()
        .into_iter()
        .filter(move |knob| !trained || knob.group == "sampling" || knob.name == "seed")
}

impl<const TRAINED: bool> Args for Flags<TRAINED> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let defaults = Config::default();
        command.args(knobs(TRAINED).map(|knob| {
            let kebab = knob.name.replace('_', "-");
            let arg =
                Arg::new(knob.name).long(kebab.clone()).value_name(knob.values).allow_hyphen_values(true);
            let arg = if kebab == knob.name { arg } else { arg.alias(knob.name) };
            let arg = if TRAINED && knob.name == "samples" { arg.visible_alias("count") } else { arg };
            // `--greedy` is `--greedy true`.
            let arg = if defaults.get(knob.name).is_some_and(|text| ["true", "false"].contains(&&text[..])) {
                arg.num_args(0..=1).default_missing_value("true").allow_hyphen_values(false)
            } else {
                arg
            };
            if TRAINED {
                let default =
                    if knob.name == "seed" { "go on where training ended" } else { "that of the run" };
                arg.help(format!("{} [default: {default}]", knob.help)).help_heading("Sampling")
            } else {
                let mut heading = knob.group.to_string();
                heading[..1].make_ascii_uppercase();
                let default = defaults.get(knob.name).unwrap_or_default();
                arg.help(format!("{} [default: {default}]", knob.help)).help_heading(heading)
            }
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<const TRAINED: bool> clap::FromArgMatches for Flags<TRAINED> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given =
            |knob: microgpt::config::Knob| Some(assignment(knob.name, matches.get_one::<String>(knob.name)?));
        Ok(Flags(knobs(TRAINED).filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err("expected a number of more than 0".to_string()),
    }
}

fn at_least_1(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("expected a whole number of at least 1".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent_and_none_is_missing() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let train = command.find_subcommand("train").unwrap();
        for knob in Config::knobs() {
            assert!(train.get_arguments().any(|arg| arg.get_id() == knob.name), "{}", knob.name);
        }
    }

    #[test]
    fn flags_may_be_written_with_either_dash() {
        for flags in [["--n-layer", "2", "--lr", "-1e-3"], ["--n_layer", "2", "--lr", "-1e-3"]] {
            let cli = Cli::try_parse_from(["microgpt", "train"].iter().chain(&flags)).unwrap();
            let Some(Command::Train(train)) = cli.command else { panic!("train") };
            assert_eq!(train.settings.flags(), [assignment("n_layer", "2"), assignment("lr", "-1e-3")]);
        }
    }
}
