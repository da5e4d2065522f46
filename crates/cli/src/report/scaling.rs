//! The loss over the size of the model, and over the arithmetic of its training, with the laws that go through them.

use microgpt_charts::scale::short;
use microgpt_charts::{Axis, Chart, Mark, Point, Series};
use microgpt_runs::compare::{Comparison, Group};
use microgpt_runs::fit::PowerLaw;
use microgpt_runs::outcome::Record;

/// From this factor between the smallest and the largest model on, the size is what a sweep is about.
const SPAN: f64 = 30.0;
/// Where more settings than these differ, it is about them.
const COLUMNS: usize = 4;

/// One group as a point: its size, its arithmetic, its loss.
struct Size<'a> {
    params: f64,
    flops: Option<f64>,
    budget: String,
    group: &'a Group,
}

/// The loss over the parameters, a line for each budget; and if there are several budgets, over the arithmetic. None if
/// the models are all of about one size.
pub(super) fn charts(records: &[Record], seen: &Comparison) -> Vec<Chart> {
    let budget = seen.columns.iter().position(|name| name == "seconds" || name == "steps");
    let size = |group| Size::of(group, budget, records);
    let mut sizes: Vec<Size<'_>> = seen.groups.iter().filter(|group| group.loss.n > 0).map(size).collect();
    sizes.sort_by(|a, b| a.params.total_cmp(&b.params));
    let mut numbers: Vec<f64> = sizes.iter().map(|size| size.params).collect();
    numbers.dedup();
    if seen.columns.len() > COLUMNS || numbers.len() < 4 || numbers[numbers.len() - 1] < SPAN * numbers[0] {
        return Vec::new();
    }
    let mut budgets: Vec<String> = Vec::new();
    for size in &sizes {
        if !budgets.contains(&size.budget) {
            budgets.push(size.budget.clone());
        }
    }
    budgets.sort_by(|a, b| number(a).total_cmp(&number(b)));
    // Many models of one size differ in something else.
    if 2 * numbers.len() * budgets.len() < sizes.len() {
        return Vec::new();
    }
    let mut charts = Vec::new();

    // Of several budgets, the law of the size is that of the largest.
    let mut series = Vec::new();
    for (color, budget) in budgets.iter().enumerate() {
        let of: Vec<&Size<'_>> = sizes.iter().filter(|size| size.budget == *budget).collect();
        let points = of.iter().map(|size| size.point(size.params)).collect();
        let column = seen.columns.iter().find(|name| *name == "seconds" || *name == "steps");
        let name =
            column.map(|column| format!("{budget} {column}")).unwrap_or_else(|| "measured".to_string());
        series.push(Series {
            name,
            mark: if budgets.len() > 1 { Mark::Both } else { Mark::Dots },
            color,
            points,
        });
    }
    let last = series.last().map(|series: &Series| series.points.clone()).unwrap_or_default();
    let (law, words) = if budgets.len() == 1 { fitted(&last, "N") } else { (None, String::new()) };
    series.extend(law);
    charts.push(Chart {
        title: "Loss over the size of the model".into(),
        note: words,
        x: Axis::log("parameters"),
        y: Axis::log("loss, nats per token"),
        series,
        levels: Vec::new(),
    });

    if budgets.len() > 1 && sizes.iter().all(|size| size.flops.is_some()) {
        let flops = |size: &&Size<'_>| size.flops.unwrap_or_default();
        let mut series = Vec::new();
        let mut frontier = Vec::new();
        for (color, budget) in budgets.iter().enumerate() {
            let of: Vec<&Size<'_>> = sizes.iter().filter(|size| size.budget == *budget).collect();
            let points = of.iter().map(|size| size.point(flops(size))).collect();
            series.push(Series { name: format!("{budget} s"), mark: Mark::Dots, color, points });
            if let Some(best) = of.iter().min_by(|a, b| a.group.loss.mean.total_cmp(&b.group.loss.mean)) {
                frontier.push(best.point(flops(best)));
            }
        }
        let (law, words) = fitted(&frontier, "C");
        series.push(Series {
            name: "best of each budget".into(),
            mark: Mark::Line,
            color: 7,
            points: frontier,
        });
        series.extend(law);
        charts.push(Chart {
            title: "Loss over the arithmetic of the training".into(),
            note: words,
            x: Axis::log("floating-point operations of the matrix products"),
            y: Axis::log("loss, nats per token"),
            series,
            levels: Vec::new(),
        });
    }
    charts
}

impl Size<'_> {
    fn of<'a>(group: &'a Group, budget: Option<usize>, records: &[Record]) -> Size<'a> {
        Size {
            params: group.mean(records, |r| Some(r.outcome.num_params as f64)).unwrap_or_default(),
            flops: group.mean(records, |r| r.outcome.flops),
            budget: budget.map(|column| group.values[column].clone()).unwrap_or_default(),
            group,
        }
    }

    fn point(&self, x: f64) -> Point {
        let label = format!("{} parameters, {} runs", short(self.params), self.group.members.len());
        Point { x, y: self.group.loss.mean, error: self.group.loss.interval(), label }
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

/// The law through these points as a line, and in words.
fn fitted(points: &[Point], letter: &str) -> (Option<Series>, String) {
    let pairs: Vec<(f64, f64)> = points.iter().map(|p| (p.x, p.y)).collect();
    let Some(law) = PowerLaw::fit(&pairs) else {
        return (
            None,
            format!(
                "No power law was fitted: the loss does not fall in {letter} all the way, or there are too few points."
            ),
        );
    };
    let (errors, exponent_error) = match law.errors {
        Some((floor, exponent)) => (format!(" ± {floor:.3}"), format!(" ± {exponent:.3}")),
        None => Default::default(),
    };
    let words = format!(
        "Fitted: loss = {:.3}{errors} + {} {letter}^-{:.3}{exponent_error}; root of the mean square left over: {:.4}. \
         Errors are standard errors by the jackknife.",
        law.floor,
        short(law.factor),
        law.exponent,
        law.rms
    );
    let (low, high) = pairs.iter().fold((f64::INFINITY, 0.0f64), |(a, b), p| (a.min(p.0), b.max(p.0)));
    let line =
        (0..=60).map(|i| low * (high / low).powf(i as f64 / 60.0)).map(|x| Point::at(x, law.at(x))).collect();
    (Some(Series { name: "fitted".into(), mark: Mark::Dashes, color: 6, points: line }), words)
}
