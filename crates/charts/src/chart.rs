//! y over x: lines and dots.

use crate::scale::{Scale, short};
use crate::{COLORS, LETTER, LINE, WIDTH, close, escape, open, shorten, wrap};
use std::fmt::Write;

/// A picture of series over one pair of axes.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What stands below it, in small letters.
    pub note: String,
    /// Left to right.
    pub x: Axis,
    /// Bottom to top.
    pub y: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
    /// Straight lines across at some y, each with a word.
    pub levels: Vec<(f64, String)>,
}

/// What an axis shows.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// With its unit.
    pub label: String,
    /// By the logarithm?
    pub log: bool,
}

impl Axis {
    /// An axis of equal steps.
    pub fn plain(label: &str) -> Axis {
        Axis { label: label.to_string(), log: false }
    }

    /// An axis of equal factors.
    pub fn log(label: &str) -> Axis {
        Axis { label: label.to_string(), log: true }
    }
}

/// Points that belong together.
#[derive(Debug, Clone)]
pub struct Series {
    /// For the legend; without one it is not in it.
    pub name: String,
    /// How they are drawn.
    pub mark: Mark,
    /// Which colour, of [`COLORS`].
    pub color: usize,
    /// In the order in which a line goes through them.
    pub points: Vec<Point>,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line through them.
    Line,
    /// A line of dashes, for what is no measurement.
    Dashes,
    /// A dot each, with its error.
    Dots,
    /// Dots and a line.
    Both,
}

/// A point.
#[derive(Debug, Clone, Default)]
pub struct Point {
    /// Where it stands.
    pub x: f64,
    /// Where it stands.
    pub y: f64,
    /// Half the length of its bar.
    pub error: Option<f64>,
    /// What else there is to say of it.
    pub label: String,
}

impl Point {
    /// A point without more.
    pub fn at(x: f64, y: f64) -> Point {
        Point { x, y, ..Point::default() }
    }
}

const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const INNER: f64 = 260.0;

impl Chart {
    /// The picture. `alone` is a file of its own; otherwise it stands in a [page](crate::page).
    pub fn svg(&self, alone: bool) -> String {
        let legend = self.legend();
        let notes = if self.note.is_empty() { Vec::new() } else { wrap(&self.note, LINE) };
        let top = 34.0 + 19.0 * legend.len() as f64;
        let bottom = top + INNER;
        let height = bottom + 46.0 + 17.0 * notes.len() as f64;
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Scale::over(points().map(|p| p.x), self.x.log, LEFT, WIDTH - RIGHT);
        let ys = points().flat_map(|p| [p.y - p.error.unwrap_or(0.0), p.y + p.error.unwrap_or(0.0)]);
        let y = Scale::over(ys.chain(self.levels.iter().map(|(y, _)| *y)), self.y.log, bottom, top);

        let mut svg = open(height, alone, &self.title);
        let _ = write!(svg, "<text class=\"title\" x=\"12\" y=\"22\">{}</text>", escape(&self.title));
        for (row, entries) in legend.iter().enumerate() {
            let line = 43.0 + 19.0 * row as f64;
            for (at, series) in entries {
                let Series { name, color, mark, .. } = series;
                let color = color % COLORS;
                let _ = match mark {
                    Mark::Dots => write!(
                        svg,
                        "<circle cx=\"{}\" cy=\"{}\" r=\"4\" fill=\"var(--c{color})\"/>",
                        at + 8.0,
                        line - 4.5
                    ),
                    _ => write!(
                        svg,
                        "<path class=\"l{}\" stroke=\"var(--c{color})\" d=\"M{at} {}h16\"/>",
                        if *mark == Mark::Dashes { " dash" } else { "" },
                        line - 4.5
                    ),
                };
                let _ = write!(
                    svg,
                    "<text class=\"soft\" x=\"{}\" y=\"{line}\">{}</text>",
                    at + 21.0,
                    escape(&shorten(name, 60))
                );
            }
        }
        for (value, text) in y.ticks(5) {
            let at = y.place(value);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{}\"/>", WIDTH - RIGHT);
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 7.0,
                at + 4.5
            );
        }
        for (value, text) in x.ticks(6) {
            let at = x.place(value);
            let _ = write!(svg, "<path class=\"axis\" d=\"M{at:.1} {bottom}v4\"/>");
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                bottom + 18.0
            );
        }
        let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {bottom}H{}\"/>", WIDTH - RIGHT);
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"soft\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 36.0,
            escape(&self.x.label)
        );
        let _ = write!(
            svg,
            "<text class=\"soft\" transform=\"translate(13 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            top + INNER / 2.0,
            escape(&self.y.label)
        );
        for (value, word) in &self.levels {
            let at = y.place(*value);
            let _ = write!(svg, "<path class=\"axis dash\" d=\"M{LEFT} {at:.1}H{}\"/>", WIDTH - RIGHT);
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT - 4.0,
                at - 5.0,
                escape(word)
            );
        }
        for series in &self.series {
            draw(&mut svg, series, &x, &y);
        }
        svg + &close(&notes, bottom + 58.0)
    }

    /// Which series stands where in which row of the legend.
    fn legend(&self) -> Vec<Vec<(f64, &Series)>> {
        let mut rows: Vec<Vec<(f64, &Series)>> = Vec::new();
        let mut at = f64::INFINITY;
        let named: Vec<&Series> = self.series.iter().filter(|series| !series.name.is_empty()).collect();
        // One series needs no legend beside the title.
        for series in named.iter().filter(|_| self.series.len() > 1) {
            let width = 21.0 + LETTER * series.name.chars().count().min(60) as f64 + 16.0;
            if at + width > WIDTH {
                rows.push(Vec::new());
                at = 12.0;
            }
            rows.last_mut().expect("one was pushed").push((at, series));
            at += width;
        }
        rows
    }
}

/// A series, and what a page shows of the point that is pointed at.
fn draw(svg: &mut String, series: &Series, x: &Scale, y: &Scale) {
    let color = series.color % COLORS;
    let shown =
        |p: &&Point| p.x.is_finite() && p.y.is_finite() && (!x.log || p.x > 0.0) && (!y.log || p.y > 0.0);
    let points: Vec<&Point> = series.points.iter().filter(shown).collect();
    let _ = write!(svg, "<g class=\"s\" data-n=\"{}\" data-p=\"", escape(&series.name));
    for p in &points {
        let label = escape(&p.label.replace(['|', ';'], " "));
        let error = p.error.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
        let (at_x, at_y) = (x.place(p.x), y.place(p.y));
        let _ = write!(svg, "{at_x:.1};{at_y:.1};{};{:.4}{error};{label}|", short(p.x), p.y);
    }
    svg.push_str("\">");
    if series.mark != Mark::Dots {
        let dash = if series.mark == Mark::Dashes { " dash" } else { "" };
        let _ = write!(svg, "<path class=\"l{dash}\" stroke=\"var(--c{color})\" d=\"");
        for (i, p) in points.iter().enumerate() {
            let _ = write!(svg, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, x.place(p.x), y.place(p.y));
        }
        svg.push_str("\"/>");
    }
    if matches!(series.mark, Mark::Dots | Mark::Both) {
        for p in &points {
            let (at_x, at_y) = (x.place(p.x), y.place(p.y));
            if let Some(error) = p.error {
                let (low, high) = (y.place(p.y - error), y.place(p.y + error));
                let _ = write!(
                    svg,
                    "<path class=\"bar\" stroke=\"var(--c{color})\" d=\"M{at_x:.1} {low:.1}V{high:.1}\"/>"
                );
            }
            let _ =
                write!(svg, "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3.6\" fill=\"var(--c{color})\"/>");
        }
    }
    svg.push_str("</g>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_points_its_words_and_nothing_that_is_no_number() {
        let series = |name: &str, mark| Series {
            name: name.into(),
            mark,
            color: 9,
            points: vec![
                Point { x: 1.0, y: 2.0, error: Some(0.5), label: "<a>".into() },
                Point::at(10.0, 3.0),
                Point::at(f64::NAN, 1.0),
            ],
        };
        let chart = Chart {
            title: "a & b".into(),
            note: "a word".into(),
            x: Axis::log("steps"),
            y: Axis::plain("loss"),
            series: vec![series("one", Mark::Line), series("two", Mark::Dots), series("law", Mark::Dashes)],
            levels: vec![(3.3, "guessing".into())],
        };
        let svg = chart.svg(true);
        for part in
            ["a &amp; b", "a word", ">steps<", ">loss<", ">guessing<", "&lt;a&gt;", "data-n=\"two\"", "± 0.5"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("var(--c1)"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2 + 1, "two dots, and one in the legend");
        assert!(svg.contains("<style>") && !chart.svg(false).contains("<style>"));
        assert!(Chart::default().svg(false).ends_with("</svg>\n"));
    }
}
