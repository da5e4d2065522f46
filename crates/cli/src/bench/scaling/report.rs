//! What the model says, and what was measured, as tables or as JSON.

use super::MOST_RANKS;
use super::model::{Network, Step, Work};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Of one shape.
pub(super) struct Table {
    pub(super) shape: &'static str,
    /// Threads of a rank.
    pub(super) workers: usize,
    pub(super) work: Work,
    pub(super) network: Network,
    pub(super) measured: Option<Measured>,
}

/// What ranks took here; times in seconds.
pub(super) struct Measured {
    pub(super) ranks: usize,
    /// Of them on this host, and the processors that they share.
    pub(super) beside: usize,
    pub(super) processors: usize,
    pub(super) rounds: usize,
    /// What lies between two of them.
    pub(super) network: Network,
    /// All at once, each a training of its own: a step of theirs. No exchange can be faster.
    pub(super) apart: f64,
    /// The same, if in each step all had waited for the one that took longest.
    pub(super) in_step: f64,
    /// The exchange of gradients and parameters by itself, and the sum.
    pub(super) exchange: f64,
    /// A step of all of them.
    pub(super) together: f64,
    /// How many times the tokens a second of one alone they make: by themselves, the same in step, and all together. Medians
    /// of the rounds' own ratios, for the machine may have other things to do in some.
    pub(super) times: [f64; 3],
}

impl Measured {
    /// How many of them share a processor.
    fn crowd(&self, workers: usize) -> f64 {
        ((self.beside * workers) as f64 / self.processors as f64).max(1.0)
    }
}

pub(super) struct Report {
    json: bool,
    tables: Vec<Table>,
}

impl Report {
    pub(super) fn new(json: bool) -> Report {
        Report { json, tables: Vec::new() }
    }

    /// Prints a table as soon as it is known.
    pub(super) fn add(&mut self, table: Table) -> io::Result<()> {
        if !self.json {
            table.write(&mut io::stdout().lock())?;
        }
        self.tables.push(table);
        Ok(())
    }

    pub(super) fn end(&self) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        let shapes: Vec<Value> = self.tables.iter().map(Table::to_json).collect();
        writeln!(io::stdout().lock(), "{}", json!({ "scaling": shapes }))
    }
}

impl Table {
    /// 1, 2, 4 ... ranks: a batch for each, and one shared by all.
    fn rows(&self) -> impl Iterator<Item = (usize, Step, Option<Step>)> {
        let steps = |ranks| {
            (ranks, self.work.weak(ranks, &self.network, 1.0), self.work.strong(ranks, &self.network))
        };
        (0..=MOST_RANKS.ilog2()).map(move |power| steps(1 << power))
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Table { shape, workers, work, network, measured } = self;
        writeln!(
            out,
            "{shape}: {} parameters, fast engine; a rank is {workers} thread{}, has {} sequences ({:.0} tokens) a step and takes \
             {:.2} ms, of which {:.2} ms to update",
            work.num_params,
            if *workers == 1 { "" } else { "s" },
            work.sequences,
            work.tokens,
            1e3 * work.step,
            1e3 * work.update,
        )?;
        writeln!(
            out,
            "between two ranks: {:.1} us, each further message {:.1} us, {:.1} Gbit/s ({}); each rank has processors and a network of its own",
            1e6 * network.latency,
            1e6 * network.gap,
            network.bytes_per_second * 8.0 / 1e9,
            if measured.is_some() { "measured, unless given" } else { "--latency-us, --gbit" },
        )?;
        writeln!(out, "\n{:37}{:>31}", "a batch for each rank", "the batch of one, shared")?;
        writeln!(
            out,
            "{:>6} {:>11} {:>12} {:>11} {:>9} {:>11} {:>9}",
            "ranks", "ms/step", "tokens/s", "efficiency", "exchange", "ms/step", "speed-up"
        )?;
        for (ranks, weak, strong) in self.rows() {
            let strong = strong
                .map(|step| format!(" {:>11.2} {:>9.2}", 1e3 * step.seconds(), work.step / step.seconds()));
            writeln!(
                out,
                "{ranks:>6} {:>11.2} {:>12.0} {:>10.1}% {:>8.1}%{}",
                1e3 * weak.seconds(),
                weak.tokens_per_second(),
                100.0 * self.efficiency(ranks, &weak),
                100.0 * weak.exchange / weak.seconds(),
                strong.unwrap_or_default()
            )?;
        }
        measured.as_ref().map_or(Ok(()), |measured| self.write_held(measured, out))
    }

    fn efficiency(&self, ranks: usize, step: &Step) -> f64 {
        step.tokens_per_second() / ranks as f64 / (self.work.tokens / self.work.step)
    }

    fn write_held(&self, m: &Measured, out: &mut impl Write) -> io::Result<()> {
        let crowd = m.crowd(self.workers);
        let step = self.work.weak(m.ranks, &m.network, crowd);
        let exchange = self.work.gradients_and_parameters(m.ranks, &m.network) + self.work.sum;
        writeln!(
            out,
            "\nHeld against {} ranks, {} of them on this host of {} processors ({} rounds, medians)\n\n{:40} {:>9} {:>9} {:>9}",
            m.ranks, m.beside, m.processors, m.rounds, "ms/step", "model", "measured", "tokens/s"
        )?;
        let mut row = |what: &str, model: f64, measured: f64, times: Option<f64>| {
            let times = times.map(|times| format!(" {times:>9.2}"));
            writeln!(
                out,
                "{what:40} {:>9.2} {:>9.2}{}",
                1e3 * model,
                1e3 * measured,
                times.unwrap_or_default()
            )
        };
        let [apart, in_step, together] = m.times.map(Some);
        row("one alone", self.work.step, self.work.step, Some(1.0))?;
        row("each by itself, all at once", crowd * self.work.step, m.apart, apart)?;
        row("the same, waiting for the slowest", crowd * self.work.step, m.in_step, in_step)?;
        row("gradients, their sum, parameters", exchange, m.exchange, None)?;
        row("all together", step.seconds(), m.together, together)
    }

    fn to_json(&self) -> Value {
        let Table { shape, workers, work, network, measured } = self;
        let rows: Vec<Value> = self
            .rows()
            .map(|(ranks, weak, strong)| {
                json!({
                    "ranks": ranks, "ms_per_step": 1e3 * weak.seconds(), "tokens_per_second": weak.tokens_per_second(),
                    "efficiency": self.efficiency(ranks, &weak), "exchange": weak.exchange / weak.seconds(),
                    "batch_of_one": strong.map(|step| json!({
                        "ms_per_step": 1e3 * step.seconds(), "speed_up": work.step / step.seconds(),
                    })),
                })
            })
            .collect();
        let between = |network: &Network| json!({ "latency_us": 1e6 * network.latency, "message_us": 1e6 * network.gap, "gbit": network.bytes_per_second * 8.0 / 1e9 });
        let measured = measured.as_ref().map(|m| {
            let model = work.weak(m.ranks, &m.network, m.crowd(*workers));
            json!({
                "ranks": m.ranks, "ranks_on_this_host": m.beside, "processors": m.processors, "network": between(&m.network),
                "ms_per_step_alone": 1e3 * work.step, "ms_per_step_each_by_itself": 1e3 * m.apart,
                "ms_of_exchange": 1e3 * m.exchange, "ms_per_step": 1e3 * m.together,
                "ms_per_step_waiting": 1e3 * m.in_step,
                "times_one_each_by_itself": m.times[0], "times_one_waiting": m.times[1], "times_one": m.times[2],
                "model_ms_per_step": 1e3 * model.seconds(),
            })
        });
        json!({
            "shape": shape, "workers": workers, "num_params": work.num_params, "sequences_per_rank": work.sequences,
            "tokens_per_rank": work.tokens, "ms_per_step": 1e3 * work.step, "ms_of_update": 1e3 * work.update,
            "network": between(network), "ranks": rows, "measured": measured,
        })
    }
}
