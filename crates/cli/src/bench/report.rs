//! What was measured, as a table or as JSON.

use super::measure::{AT_ONCE, Machine, Result};
use serde_json::{Value, json};
use std::io::{self, Write};

pub(crate) struct Report {
    machine: Machine,
    json: bool,
    results: Vec<Result>,
}

impl Report {
    pub(crate) fn new(machine: Machine, json: bool) -> Report {
        Report { machine, json, results: Vec::new() }
    }

    pub(crate) fn begin(&self) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let Machine { level, processors, peak, peak_of_workers } = &self.machine;
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{processors} processors, instructions {level}; multiply-adds in registers: {peak:.0} GFLOP/s on one core"
        )?;
        if peak_of_workers != peak {
            writeln!(out, "  {peak_of_workers:.0} by all workers together")?;
        }
        writeln!(
            out,
            "\n{:16} {:6} {:>7} {:>12} {:>12} {:>10} {:>9} {:>8} {:>10} {:>10}",
            "shape",
            "engine",
            "workers",
            "us/step",
            "us/document",
            "tokens/s",
            "GFLOP/s",
            "of peak",
            "decoded/s",
            format!("{AT_ONCE} at once")
        )
    }

    /// A row of the table as soon as it is known.
    pub(crate) fn add(&mut self, result: Result) -> io::Result<()> {
        if !self.json {
            let r = &result;
            let gflops = r.flops_per_step / r.us_per_step / 1e3;
            writeln!(
                io::stdout().lock(),
                "{:16} {:6} {:>7} {:>12.2} {:>12.2} {:>10.0} {:>9.2} {:>7.1}% {:>10.0} {:>10}",
                r.shape,
                r.engine,
                r.workers,
                r.us_per_step,
                r.us_per_step / r.documents_per_step,
                r.tokens_per_step / r.us_per_step * 1e6,
                gflops,
                100.0 * gflops / self.peak(r),
                r.decoded_per_second,
                r.decoded_at_once_per_second.map_or(String::new(), |n| format!("{n:.0}")),
            )?;
        }
        self.results.push(result);
        Ok(())
    }

    pub(crate) fn end(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", self.to_json());
        }
        for r in &self.results {
            let total: f64 = r.parts.iter().map(|part| part.forward + part.backward).sum();
            writeln!(
                out,
                "\nWhere the time goes: {}, {} engine (us a step, clock included)",
                r.shape, r.engine
            )?;
            for part in &r.parts {
                let (forward, backward) = (part.forward, part.backward);
                let share = 100.0 * (forward + backward) / total;
                let backward =
                    if backward > 0.0 { format!("{backward:>12.2}") } else { format!("{:>12}", "") };
                writeln!(out, "  {:22} {forward:>12.2} {backward} {share:>6.1}%", part.name)?;
            }
        }
        Ok(())
    }

    /// What its workers could do at most.
    fn peak(&self, r: &Result) -> f64 {
        if r.workers > 1 { self.machine.peak_of_workers } else { self.machine.peak }
    }

    fn to_json(&self) -> Value {
        let Machine { level, processors, peak, peak_of_workers } = &self.machine;
        let results: Vec<Value> = self.results.iter().map(|r| self.row(r)).collect();
        json!({
            "machine": {
                "processors": processors, "instructions": level, "peak_gflops": peak,
                "peak_gflops_of_workers": peak_of_workers,
            },
            "results": results,
        })
    }

    fn row(&self, r: &Result) -> Value {
        let gflops = r.flops_per_step / r.us_per_step / 1e3;
        let parts: Vec<Value> = r
            .parts
            .iter()
            .map(|part| json!({"name": part.name, "forward_us": part.forward, "backward_us": part.backward}))
            .collect();
        json!({
            "shape": r.shape, "engine": r.engine, "workers": r.workers,
            "n_layer": r.config.n_layer, "n_head": r.config.n_head, "n_embd": r.config.n_embd,
            "block_size": r.config.block_size, "batch_size": r.config.batch_size, "num_params": r.num_params,
            "us_per_step": r.us_per_step, "us_per_step_best": r.us_per_step_best,
            "us_per_document": r.us_per_step / r.documents_per_step,
            "tokens_per_second": r.tokens_per_step / r.us_per_step * 1e6,
            "flops_per_step": r.flops_per_step, "gflops": gflops,
            "share_of_peak": gflops / self.peak(r),
            "decoded_per_second": r.decoded_per_second, "decoded_at_once_per_second": r.decoded_at_once_per_second,
            "parts": parts,
        })
    }
}
