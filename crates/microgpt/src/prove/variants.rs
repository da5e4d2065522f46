//! Every variant with every other: sets of settings such that each two values of two settings meet in one of them.
//!
//! All combinations would be millions. Most mistakes need one setting or two that meet; so each pair is tried, with the
//! other settings as it happens (Mandl, "Orthogonal Latin Squares", 1985, for compilers). The list is made from
//! [`Config::knobs`]: a new variant or setting is in it as soon as it is in its list.
//!
//! Most settings are of the transformer and say nothing to its ancestors. So two settings count as met only where the model
//! is that of the base, and each ancestor meets every value of every setting.

use super::{Proof, Report, prove};
use crate::config::{Config, Knob};
use crate::corpus::Corpus;
use crate::documents::Documents;
use crate::error::Error;

/// What the size of a model and of a step is: the same in all, and small.
const FIXED: [&str; 11] = [
    "n_layer",
    "n_head",
    "n_embd",
    "block_size",
    "init_std",
    "steps",
    "batch_size",
    "lr",
    "eps",
    "seed",
    "micro_batches",
];

/// What is tried of a setting that is a number, besides its default: the first of these that can be.
const NUMBERS: [&str; 7] = ["2", "3", "1", "0.5", "0.25", "2.0", "4"];

/// Where another number says more: of two, both are often off, and a norm of nothing but zeros is no more than rounding.
const INSTEAD: [(&str, &str); 1] = [("mlp_hidden", "12")];

/// Two layers, and heads of four channels, over documents cut at five tokens.
pub fn small() -> Config {
    Config { n_layer: 2, n_head: 2, n_embd: 8, block_size: 5, ..Config::default() }
}

/// A setting and what is tried of it, the default first.
#[derive(Debug, Clone)]
struct Factor {
    name: &'static str,
    values: Vec<String>,
}

impl Factor {
    /// None for a setting that is not to vary.
    fn of(knob: &Knob, base: &Config) -> Option<Factor> {
        if ["data", "records", "sampling"].contains(&knob.group) || FIXED.contains(&knob.name) {
            return None;
        }
        let default = base.get(knob.name)?;
        // The value as it is read back, and whether it can stand with the defaults of the others.
        let tried = |value: &&str| {
            let mut config = base.clone();
            config.set(knob.name, value).ok()?;
            let value = config.get(knob.name).filter(|value| *value != default)?;
            Some((value, config.validate().is_ok()))
        };
        let mut values: Vec<String> = match knob.values.as_str() {
            "true|false" => ["true", "false"].map(String::from).to_vec(),
            _ if !knob.choices.is_empty() => knob.choices.iter().map(|(name, _)| name.to_string()).collect(),
            _ => {
                let instead = INSTEAD.iter().filter(|(name, _)| *name == knob.name).map(|(_, value)| value);
                let numbers: Vec<(String, bool)> = instead.chain(&NUMBERS).filter_map(tried).collect();
                let valid = numbers.iter().find(|(_, valid)| *valid);
                // One that can stand only with another setting may be met by it.
                valid.or(numbers.first()).map(|(value, _)| value.clone()).into_iter().collect()
            }
        };
        values.retain(|value| *value != default);
        values.insert(0, default);
        Some(Factor { name: knob.name, values })
    }
}

/// Settings of one trial, and what is unlike the default.
#[derive(Debug, Clone)]
pub struct Variant {
    /// All settings.
    pub config: Config,
    /// Those that are not the default's: `norm=layernorm bias=true`.
    pub changes: String,
}

/// Which value of each factor; none: not decided, the default for the time being.
type Row = Vec<Option<usize>>;

struct Search {
    base: Config,
    factors: Vec<Factor>,
    /// Where the values of each factor begin in the table of pairs.
    starts: Vec<usize>,
    /// Pairs of values that have met, or cannot: a square table.
    done: Vec<bool>,
    width: usize,
    /// Which factor is the model.
    model: Option<usize>,
}

/// Such sets that every two values that can stand together do so in one. The first is `base` itself.
///
/// They are the same at every call: each begins with the first pair that has not met, and takes for every other setting
/// the value that meets most others for the first time.
pub fn pairwise(base: &Config) -> Vec<Variant> {
    let factors: Vec<Factor> = Config::knobs().iter().filter_map(|knob| Factor::of(knob, base)).collect();
    let mut search = Search::new(base.clone(), factors);
    let mut found = vec![search.variant(&vec![Some(0); search.factors.len()])];
    while let Some((a, b)) = search.next_pair() {
        let mut row: Row = vec![None; search.factors.len()];
        if let Some(model) = search.model {
            row[model] = Some(0);
        }
        (row[a.0], row[b.0]) = (Some(a.1), Some(b.1));
        if search.config(&row).is_none() && !search.repair(&mut row) {
            search.meet(a, b);
            continue;
        }
        search.fill(&mut row);
        found.push(search.variant(&row));
    }
    found
}

/// The settings of `base`, each setting that can vary changed alone to each of its other values, where that can be.
pub fn singly(base: &Config) -> Vec<Variant> {
    let factors: Vec<Factor> = Config::knobs().iter().filter_map(|knob| Factor::of(knob, base)).collect();
    let changes =
        factors.iter().flat_map(|factor| factor.values[1..].iter().map(|value| (factor.name, value)));
    let variant = |(name, value): (&str, &String)| {
        let mut config = base.clone();
        config.set(name, value).ok()?;
        config.validate().is_ok().then(|| Variant { config, changes: format!("{name}={value}") })
    };
    changes.filter_map(variant).collect()
}

impl Search {
    fn new(base: Config, factors: Vec<Factor>) -> Search {
        let mut width = 0;
        let mut start = |factor: &Factor| {
            width += factor.values.len();
            width - factor.values.len()
        };
        let starts = factors.iter().map(&mut start).collect();
        let model = factors.iter().position(|factor| factor.name == "model");
        Search { base, factors, starts, done: vec![false; width * width], width, model }
    }

    /// Does a trial of this row show anything of two settings together?
    fn shows(&self, row: &Row, a: usize, b: usize) -> bool {
        let ancestor = self.model.is_some_and(|model| row[model].is_some_and(|value| value > 0));
        !ancestor || self.model == Some(a) || self.model == Some(b)
    }

    fn cell(&self, a: (usize, usize), b: (usize, usize)) -> usize {
        (self.starts[a.0] + a.1) * self.width + self.starts[b.0] + b.1
    }

    fn meet(&mut self, a: (usize, usize), b: (usize, usize)) {
        let cells = [self.cell(a, b), self.cell(b, a)];
        cells.into_iter().for_each(|cell| self.done[cell] = true);
    }

    fn values(&self, factor: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        (0..self.factors[factor].values.len()).map(move |value| (factor, value))
    }

    /// The first two values that have not met.
    fn next_pair(&self) -> Option<((usize, usize), (usize, usize))> {
        let count = self.factors.len();
        let factors = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
        let mut pairs =
            factors.flat_map(|(i, j)| self.values(i).flat_map(move |a| self.values(j).map(move |b| (a, b))));
        pairs.find(|&(a, b)| !self.done[self.cell(a, b)])
    }

    /// The settings of a row, if they can be.
    fn config(&self, row: &Row) -> Option<Config> {
        let mut config = self.base.clone();
        for (factor, value) in self.factors.iter().zip(row) {
            config.set(factor.name, &factor.values[value.unwrap_or(0)]).ok()?;
        }
        config.validate().is_ok().then_some(config)
    }

    /// Two values that cannot stand with the defaults of the others may with another value of a third.
    fn repair(&self, row: &mut Row) -> bool {
        for i in (0..row.len()).filter(|&i| row[i].is_none()).collect::<Vec<_>>() {
            for (_, value) in self.values(i) {
                row[i] = Some(value);
                if self.config(row).is_some() {
                    return true;
                }
            }
            row[i] = None;
        }
        false
    }

    /// Decides what is open. What has been decided can stand with the defaults of the rest, and goes on to.
    fn fill(&mut self, row: &mut Row) {
        for i in 0..row.len() {
            if row[i].is_some() {
                continue;
            }
            let mut best = (0, 0);
            for (_, value) in self.values(i) {
                let decided = row.iter().enumerate().filter_map(|(j, other)| Some((j, (*other)?)));
                let shown = decided.filter(|&(j, _)| self.shows(row, i, j));
                let new = shown.filter(|&other| !self.done[self.cell((i, value), other)]).count();
                if new > best.0 {
                    row[i] = Some(value);
                    if self.config(row).is_some() {
                        best = (new, value);
                    }
                }
            }
            row[i] = Some(best.1);
        }
    }

    /// The trial of a row: all its pairs have met.
    fn variant(&mut self, row: &Row) -> Variant {
        let decided: Vec<(usize, usize)> = row.iter().enumerate().map(|(i, v)| (i, v.unwrap_or(0))).collect();
        for (i, &a) in decided.iter().enumerate() {
            for &b in &decided[i + 1..] {
                if self.shows(row, a.0, b.0) {
                    self.meet(a, b);
                }
            }
        }
        let changes: Vec<String> = decided
            .iter()
            .filter(|(_, value)| *value > 0)
            .map(|&(i, value)| format!("{}={}", self.factors[i].name, self.factors[i].values[value]))
            .collect();
        let config = self.config(row).expect("a row that was tried");
        Variant { config, changes: changes.join(" ") }
    }
}

/// Proves a variant: all that [`prove`] shows, and the fast engine once more with as many channels as its largest
/// kernels want.
///
/// # Errors
/// Settings that cannot be.
pub fn prove_variant(variant: &Variant) -> Result<Report, Error> {
    let mut corpus = Corpus::new(Documents::from_lines("abacus\ncab\nb\nscuba".into())?);
    let mut report = prove(&variant.config, &mut corpus, None, &mut |_, _| {})?;
    let wide = Config { n_embd: 16, n_head: 4, ..variant.config.clone() };
    if wide.validate().is_ok() {
        report.checks.extend(Proof::new(&wide, &mut corpus, None)?.engines());
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_values_meet_unless_they_cannot() {
        let base = small();
        let variants = pairwise(&base);
        assert_eq!(variants[0].config, base);
        let factors: Vec<Factor> =
            Config::knobs().iter().filter_map(|knob| Factor::of(knob, &base)).collect();
        assert!(factors.len() > 10 && factors.iter().all(|factor| factor.values.len() > 1), "{factors:?}");
        let with = |config: &Config, name: &str, value: &str| config.get(name).as_deref() == Some(value);
        let (mut pairs, mut missing) = (0, Vec::new());
        for (i, a) in factors.iter().enumerate() {
            for b in &factors[i + 1..] {
                for (x, y) in a.values.iter().flat_map(|x| b.values.iter().map(move |y| (x, y))) {
                    pairs += 1;
                    let shown =
                        |v: &Variant| [a.name, b.name].contains(&"model") || v.config.model == base.model;
                    let met =
                        |v: &Variant| with(&v.config, a.name, x) && with(&v.config, b.name, y) && shown(v);
                    if !variants.iter().any(met) {
                        missing.push(format!("{}={x} {}={y}", a.name, b.name));
                    }
                }
            }
        }
        // Those that cannot, with whatever else.
        assert!(missing.contains(&"norm=none qk_norm=true".to_string()), "{missing:?}");
        for pair in &missing {
            let mut config = base.clone();
            for (name, value) in pair.split(' ').filter_map(|setting| setting.split_once('=')) {
                config.set(name, value).unwrap();
            }
            assert!(config.validate().is_err(), "{pair} never meet");
        }
        assert!(pairs > 10 * variants.len(), "{} trials for {pairs} pairs", variants.len());
        assert!(variants.iter().all(|variant| variant.config.validate().is_ok()));
    }

    /// A sample; `microgpt prove --all` proves them all.
    #[test]
    fn some_variants_are_proved() {
        let variants = pairwise(&small());
        for variant in variants.iter().step_by(variants.len() / 6) {
            let report = prove_variant(variant).unwrap();
            let wrong: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", variant.changes);
        }
    }
}
