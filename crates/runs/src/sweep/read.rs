//! A sweep's file, read. Errors name the file, the line and the setting.

use super::{Axis, Case, Draw, Random, SECONDS, Sweep, Tune};
use crate::settings::{Assignment, assignment};
use microgpt::{Config, Error};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

struct File<'a> {
    text: &'a str,
    name: &'a str,
}

/// The most runs that are planned; who writes more of them has most likely slipped.
const MOST: usize = 100_000;

pub(super) fn sweep(text: &str, file: &str) -> Result<Sweep, Error> {
    let file = File { text, name: file };
    let table = DeTable::parse(text).map_err(|error| {
        let line = file.line(error.span().map_or(0, |span| span.start));
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Error::config(format!("{}:{line}: expected TOML, found a mistake: {message}", file.name))
    })?;
    let mut sweep = Sweep {
        file: file.name.to_string(),
        base: Vec::new(),
        cases: Vec::new(),
        grid: Vec::new(),
        random: None,
        tune: None,
        seeds: Vec::new(),
    };
    for (name, value) in in_order(table.get_ref()) {
        match (&**name.get_ref(), value.get_ref()) {
            ("sweep", DeValue::Table(table)) => file.head(table, &mut sweep)?,
            ("grid", DeValue::Table(table)) => sweep.grid = file.axes(table)?,
            ("random", DeValue::Table(table)) => sweep.random = Some(file.random(name, table)?),
            ("tune", DeValue::Table(table)) => sweep.tune = Some(file.tune(name, table)?),
            ("case", DeValue::Array(cases)) => {
                for case in cases.iter() {
                    let table = case.get_ref().as_table();
                    let table =
                        table.ok_or_else(|| file.wrong(name, "[[case]] and settings below it", "another"))?;
                    sweep.cases.push(file.case(case, table)?);
                }
            }
            (known @ ("sweep" | "grid" | "random" | "tune"), _) => {
                return Err(file.wrong(name, &format!("[{known}] and lines below it"), "a value"));
            }
            ("case", _) => return Err(file.wrong(name, "[[case]], in two brackets", "another")),
            (other, DeValue::Table(_)) => {
                let expected = "[sweep], [grid], [random], [tune] or [[case]]";
                return Err(file.wrong(name, expected, &format!("[{other}]")));
            }
            _ => sweep.base.push(file.setting(name, value)?),
        }
    }
    let mut names: Vec<&str> = sweep.cases.iter().map(|case| &*case.name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::config(format!(
            "{}: case {}: expected one of that name, found two",
            file.name, twice[0]
        )));
    }
    if sweep.cases.is_empty() {
        sweep.cases.push(Case::default());
    }
    let values = |axes: &[Axis]| axes.iter().fold(1usize, |n, axis| n.saturating_mul(axis.values.len()));
    let all = sweep.cases.iter().map(|case| values(&case.axes)).fold(0, usize::saturating_add);
    let all = [values(&sweep.grid), sweep.random.as_ref().map_or(1, |r| r.runs), sweep.seeds.len().max(1)]
        .into_iter()
        .chain(sweep.tune.iter().map(|tune| values(&tune.axes)))
        .fold(all, usize::saturating_mul);
    if all > MOST {
        return Err(Error::config(format!("{}: expected at most 100,000 runs, found {all}", file.name)));
    }
    Ok(sweep)
}

fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t Name<'a>, &'t Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// The time that such an assignment gives.
pub(super) fn seconds(assignment: &Assignment) -> Result<f64, Error> {
    match assignment.value.parse() {
        Ok(seconds) if seconds > 0.0 && seconds < 1e9 => Ok(seconds),
        _ => {
            let Assignment { place, value, .. } = assignment;
            Err(Error::config(format!("{place}: expected a number of seconds above 0, found {value}")))
        }
    }
}

impl File<'_> {
    fn line(&self, byte: usize) -> usize {
        1 + self.text.bytes().take(byte).filter(|&b| b == b'\n').count()
    }

    fn place(&self, name: &Name<'_>) -> String {
        format!("{}:{}: {}", self.name, self.line(name.span().start), name.get_ref())
    }

    fn wrong(&self, name: &Name<'_>, expected: &str, found: &str) -> Error {
        Error::config(format!("{}: expected {expected}, found {found}", self.place(name)))
    }

    /// One value of a setting, or of the budget in time. The value itself is tried, so that its line is named.
    fn setting(&self, name: &Name<'_>, value: &Value<'_>) -> Result<Assignment, Error> {
        if name.get_ref() == SECONDS {
            let value = number(value).ok_or_else(|| self.wrong(name, "a number of seconds", kind(value)))?;
            let given =
                Assignment { place: self.place(name), name: SECONDS.into(), value: format!("{value:?}") };
            seconds(&given)?;
            return Ok(given);
        }
        let given = assignment(self.place(name), name.get_ref(), value.get_ref())?;
        if given.name == "preset" {
            crate::presets::Preset::find(&given.value).map_err(|error| error.at(&given.place))?;
        }
        crate::Settings::default().assign(&given)?;
        Ok(given)
    }

    /// A list of values of a setting.
    fn axis(&self, name: &Name<'_>, value: &Value<'_>) -> Result<Axis, Error> {
        let values = match value.get_ref() {
            DeValue::Array(values) if !values.is_empty() => values,
            _ => return Err(self.wrong(name, "a list of values, as in [1, 2]", kind(value))),
        };
        let values: Result<Vec<_>, _> = values.iter().map(|value| self.setting(name, value)).collect();
        Ok(Axis { name: name.get_ref().replace('-', "_"), values: values? })
    }

    fn axes(&self, table: &DeTable<'_>) -> Result<Vec<Axis>, Error> {
        in_order(table).into_iter().map(|(name, value)| self.axis(name, value)).collect()
    }

    fn head(&self, table: &DeTable<'_>, sweep: &mut Sweep) -> Result<(), Error> {
        for (name, value) in in_order(table) {
            match &**name.get_ref() {
                "seeds" => sweep.seeds = self.seeds(name, value)?,
                SECONDS => sweep.base.push(self.setting(name, value)?),
                _ => return Err(self.wrong(name, "seeds or seconds in [sweep]", "another word")),
            }
        }
        Ok(())
    }

    fn seeds(&self, name: &Name<'_>, value: &Value<'_>) -> Result<Vec<u64>, Error> {
        let expected = "how many seeds, or a list of them";
        let wrong = || self.wrong(name, expected, kind(value));
        let seeds = match value.get_ref() {
            DeValue::Integer(_) => {
                (1..=whole(value).filter(|n| *n <= MOST as u64).ok_or_else(wrong)?).collect()
            }
            DeValue::Array(seeds) => {
                seeds.iter().map(|seed| whole(seed).ok_or_else(wrong)).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        if seeds.is_empty() { Err(wrong()) } else { Ok(seeds) }
    }

    fn tune(&self, head: &Name<'_>, table: &DeTable<'_>) -> Result<Tune, Error> {
        let (mut seeds, mut axes) = (vec![101], Vec::new());
        for (name, value) in in_order(table) {
            if name.get_ref() == "seeds" {
                seeds = self.seeds(name, value)?;
            } else {
                axes.push(self.axis(name, value)?);
            }
        }
        if axes.is_empty() {
            return Err(self.wrong(head, "a setting to tune, as in lr = [0.01, 0.02]", "none"));
        }
        Ok(Tune { seeds, axes })
    }

    fn random(&self, head: &Name<'_>, table: &DeTable<'_>) -> Result<Random, Error> {
        let (mut runs, mut seed, mut draws) = (None, 1, Vec::new());
        for (name, value) in in_order(table) {
            match (&**name.get_ref(), value.get_ref()) {
                ("runs", _) => {
                    let count = whole(value).filter(|runs| (1..=MOST as u64).contains(runs));
                    runs = Some(
                        count.ok_or_else(|| self.wrong(name, "how many runs, at least 1", kind(value)))?,
                    );
                }
                ("seed", _) => {
                    seed = whole(value).ok_or_else(|| self.wrong(name, "a whole number", kind(value)))?;
                }
                (_, DeValue::Table(range)) => draws.push(self.range(name, range)?),
                _ => draws.push(Draw::OneOf(self.axis(name, value)?)),
            }
        }
        let runs = runs.ok_or_else(|| self.wrong(head, "runs = N, how many to draw", "none"))? as usize;
        Ok(Random { runs, seed, draws })
    }

    /// `{ min = 1e-3, max = 1e-1, log = true }`
    fn range(&self, name: &Name<'_>, table: &DeTable<'_>) -> Result<Draw, Error> {
        let (mut min, mut max, mut log) = (None, None, false);
        for (part, value) in in_order(table) {
            match &**part.get_ref() {
                "min" => min = number(value),
                "max" => max = number(value),
                "log" => {
                    log = value
                        .get_ref()
                        .as_bool()
                        .ok_or_else(|| self.wrong(part, "true or false", kind(value)))?;
                }
                _ => return Err(self.wrong(part, "min, max or log", "another word")),
            }
        }
        let (Some(min), Some(max)) = (min, max) else {
            return Err(self.wrong(name, "numbers for min and max", "a range without"));
        };
        if min >= max || (log && min <= 0.0) {
            let expected = if log { "min above 0 and below max" } else { "min below max" };
            return Err(self.wrong(name, expected, &format!("{min:?} and {max:?}")));
        }
        let setting = name.get_ref().replace('-', "_");
        let knob = Config::knobs().into_iter().find(|knob| knob.name == setting);
        let whole = match knob.as_ref().map(|knob| &*knob.values) {
            Some("N") => true,
            Some("X") => false,
            Some(_) => return Err(self.wrong(name, "a list of values, as in [1, 2]", "a range")),
            // Its error says which name is nearest.
            None => {
                return Err(self
                    .setting(name, &Spanned::new(0..0, DeValue::Boolean(true)))
                    .expect_err("no knob"));
            }
        };
        for bound in [min, max] {
            let value = if whole { format!("{bound:.0}") } else { format!("{bound:?}") };
            let place = self.place(name);
            crate::Settings::default().assign(&Assignment { place, name: setting.clone(), value })?;
        }
        Ok(Draw::Between { name: setting, place: self.place(name), min, max, log, whole })
    }

    fn case(&self, head: &Value<'_>, table: &DeTable<'_>) -> Result<Case, Error> {
        let mut case = Case::default();
        for (name, value) in in_order(table) {
            match (&**name.get_ref(), value.get_ref()) {
                ("name", DeValue::String(text)) if !text.is_empty() => case.name = text.to_string(),
                ("name", _) => return Err(self.wrong(name, "text in quotes", kind(value))),
                ("data", _) => case.settings.push(self.setting(name, value)?),
                (_, DeValue::Array(_)) => case.axes.push(self.axis(name, value)?),
                _ => case.settings.push(self.setting(name, value)?),
            }
        }
        if case.name.is_empty() {
            let line = self.line(head.span().start);
            return Err(Error::config(format!(
                "{}:{line}: [[case]]: expected a name, found none",
                self.name
            )));
        }
        Ok(case)
    }
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value.get_ref() {
        DeValue::Integer(n) => n.to_string().parse().ok(),
        DeValue::Float(x) => x.as_str().replace('_', "").parse().ok().filter(|x: &f64| x.is_finite()),
        _ => None,
    }
}

fn whole(value: &Value<'_>) -> Option<u64> {
    match value.get_ref() {
        DeValue::Integer(n) => n.to_string().parse().ok(),
        _ => None,
    }
}

/// How an error names a value of the wrong kind.
fn kind(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::Array(list) if list.is_empty() => "an empty list",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::String(_) => "a text",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Integer(_) | DeValue::Float(_) => "another number",
        DeValue::Datetime(_) => "a date",
    }
}
