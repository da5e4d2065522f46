//! A value for each of many things, one under the other, with how well it is known.

use crate::scale::Scale;
use crate::{COLORS, LETTER, LINE, WIDTH, close, escape, open, shorten, wrap};
use std::fmt::Write;

/// The picture.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// What stands above it.
    pub title: String,
    /// What stands below it, in small letters.
    pub note: String,
    /// What the values are, with their unit.
    pub label: String,
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// Where a line stands that the values are held against.
    pub level: Option<f64>,
}

/// One thing.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// What it is; with an empty value it is a heading.
    pub name: String,
    /// Its value; none, if there is none.
    pub value: Option<f64>,
    /// Half the length of its bar.
    pub error: Option<f64>,
    /// Which colour.
    pub color: usize,
    /// What else there is to say of it.
    pub note: String,
}

const ROW: f64 = 20.0;

impl Rows {
    /// The picture. `alone` is a file of its own; otherwise it stands in a [page](crate::page).
    pub fn svg(&self, alone: bool) -> String {
        let longest = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).min(34);
        let left = 26.0 + LETTER * longest as f64;
        let right = WIDTH - 64.0;
        let notes = if self.note.is_empty() { Vec::new() } else { wrap(&self.note, LINE) };
        let top = 38.0;
        let bottom = top + ROW * self.rows.len() as f64 + 4.0;
        let height = bottom + 46.0 + 17.0 * notes.len() as f64;
        // A bar that is much longer than all others would press these together: it is cut. So is what lies far off.
        let mut values: Vec<f64> = self.rows.iter().filter_map(|row| row.value).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(1.0));
        let usual = values.get(values.len() * 9 / 10).copied().unwrap_or(most);
        let limit = if most - usual > 2.0 * (usual - least) { usual + 0.2 * (usual - least) } else { most };
        let span = (limit - least).max(1e-9);
        let near = self.rows.iter().filter_map(|row| Some((row.value?, row.error.unwrap_or(0.0).min(span))));
        let near = near.filter(|(value, _)| *value <= limit);
        let ends = near.flat_map(|(value, error)| [value - error, value + error]);
        let x = Scale::over(ends.chain(self.level), false, left, right);

        let mut svg = open(height, alone, &self.title);
        let _ = write!(svg, "<text class=\"title\" x=\"12\" y=\"22\">{}</text>", escape(&self.title));
        for (value, text) in x.ticks(5) {
            let at = x.place(value);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/>");
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                bottom + 17.0
            );
        }
        if let Some(level) = self.level {
            let _ = write!(svg, "<path class=\"axis\" d=\"M{:.1} {top}V{bottom}\"/>", x.place(level));
        }
        for (i, row) in self.rows.iter().enumerate() {
            let at = top + ROW * (i as f64 + 0.5);
            let name = escape(&shorten(&row.name, 34));
            let (Some(value), color) = (row.value, row.color % COLORS) else {
                let class = if row.note.is_empty() { "head" } else { "soft" };
                let text = format!("{name} {}", escape(&row.note));
                let _ = write!(svg, "<text class=\"{class}\" x=\"12\" y=\"{:.1}\">{text}</text>", at + 4.5);
                continue;
            };
            // What lies beyond the end stands there as an arrow.
            let beyond = value > x.max;
            let place = if beyond { right } else { x.place(value) };
            let error = row.error.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
            let _ = write!(
                svg,
                "<text x=\"20\" y=\"{:.1}\">{name}</text><g class=\"s\" data-n=\"{name}\" data-p=\"{place:.1};{at:.1};;{value:.4}{error};{}|\">",
                at + 4.5,
                escape(&row.note.replace(['|', ';'], " "))
            );
            if let Some(error) = row.error.filter(|_| !beyond) {
                let low = x.place((value - error).max(x.min));
                let high = x.place((value + error).min(x.max));
                let _ = write!(
                    svg,
                    "<path class=\"bar\" stroke=\"var(--c{color})\" d=\"M{low:.1} {at:.1}H{high:.1}\"/>"
                );
            }
            let _ = if beyond {
                let (start, top) = (place - 6.0, at - 4.5);
                write!(svg, "<path fill=\"var(--c{color})\" d=\"M{start:.1} {top:.1}l9 4.5l-9 4.5z\"/></g>")
            } else {
                write!(svg, "<circle cx=\"{place:.1}\" cy=\"{at:.1}\" r=\"4\" fill=\"var(--c{color})\"/></g>")
            };
            let sign = if self.level == Some(0.0) { format!("{value:+.4}") } else { format!("{value:.4}") };
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{sign}</text>",
                WIDTH - 10.0,
                at + 4.5
            );
        }
        let _ = write!(svg, "<path class=\"axis\" d=\"M{left:.1} {bottom}H{right}\"/>");
        let middle = (left + right) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"soft\" x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 36.0,
            escape(&self.label)
        );
        svg + &close(&notes, bottom + 58.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_values_and_bars_that_stay_within() {
        let row = |name: &str, value, error| Row { name: name.into(), value, error, ..Row::default() };
        let rows = Rows {
            title: "t".into(),
            label: "above".into(),
            rows: vec![
                row("heading", None, None),
                row("a", Some(0.5), Some(0.1)),
                row("b", Some(-0.25), Some(900.0)),
                Row { note: "diverged".into(), ..row("c", None, None) },
            ],
            level: Some(0.0),
            ..Rows::default()
        };
        let svg = rows.svg(true);
        assert!(
            svg.contains(">+0.5000<") && svg.contains(">-0.2500<") && svg.contains("c diverged"),
            "{svg}"
        );
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"bar\"").count()), (2, 2));
        let bar = svg.split("class=\"bar\"").nth(2).unwrap();
        let end: f64 = bar.split('H').nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(end <= WIDTH, "{end}");
        // What lies far off does not press the others together.
        let value = |i| Some(if i == 29 { 90.0 } else { f64::from(i) });
        let far = Rows { rows: (0..30).map(|i| row("x", value(i), None)).collect(), ..rows }.svg(true);
        assert_eq!((far.matches("<circle").count(), far.matches("l9 4.5").count()), (29, 1));
        assert!(Rows::default().svg(false).ends_with("</svg>\n"));
    }
}
