//! Numbers as pictures: charts as SVG, for light and dark, and a page of them that opens offline.
//!
//! - [`scale`]: numbers -> places, and where ticks stand
//! - [`chart`]: y over x, lines and dots
//! - [`rows`]: a value for each of many things, one under the other
//! - [`page`]: an HTML file that needs nothing else
//!
//! ```
//! use microgpt_charts::{Axis, Chart, Mark, Point, Series};
//! let points = (1..=9).map(|x| Point::at(x as f64, 1.0 / x as f64)).collect();
//! let chart = Chart {
//!     title: "1/x".into(),
//!     x: Axis::log("x"),
//!     y: Axis::plain("y"),
//!     series: vec![Series { name: "1/x".into(), mark: Mark::Line, color: 0, points }],
//!     ..Chart::default()
//! };
//! assert!(chart.svg(true).starts_with("<svg "));
//! ```

pub mod scale;
pub mod chart;
pub mod rows;
pub mod page;

pub use chart::{Axis, Chart, Mark, Point, Series};
pub use rows::{Row, Rows};

/// How wide a picture is, in its own units; it is shown as wide as there is room.
pub(crate) const WIDTH: f64 = 560.0;
/// How wide a letter is, about.
pub(crate) const LETTER: f64 = 7.3;
/// So many letters are in a line of small ones.
pub(crate) const LINE: usize = 74;

/// How many colours there are; a series has one by its number.
pub const COLORS: usize = 8;

/// What decides how pictures look, on light and on dark paper. A page has it once, a picture alone within itself.
pub(crate) const STYLE: &str = "\
svg.mg{--paper:#fff;--ink:#1c2024;--soft:#62666d;--line:#e3e5e9;--c0:#2f6fde;--c1:#d9730d;--c2:#0f9d75;--c3:#b83fb0;\
--c4:#8a6d00;--c5:#6157d8;--c6:#c9325b;--c7:#3f7f94}\
@media(prefers-color-scheme:dark){svg.mg{--paper:#16181c;--ink:#e8eaed;--soft:#9aa0a8;--line:#30343b;--c0:#6ea8fe;\
--c1:#ffa94d;--c2:#4cd4a6;--c3:#e58fe2;--c4:#d9c14a;--c5:#aaa4ff;--c6:#ff8fa8;--c7:#8fc9dd}}\
svg.mg text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--ink)}\
svg.mg .soft{fill:var(--soft)}svg.mg .title{font-size:15px;font-weight:600}svg.mg .head{font-weight:600}\
svg.mg .grid{stroke:var(--line);fill:none}svg.mg .axis{stroke:var(--soft);fill:none}\
svg.mg .l{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}svg.mg .dash{stroke-dasharray:5 4}\
svg.mg .bar{stroke-width:1.5;fill:none}";

/// Opens a picture of that height.
pub(crate) fn open(height: f64, alone: bool, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"mg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    );
    if alone {
        svg += &format!(
            "<style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height:.0}\" rx=\"8\" fill=\"var(--paper)\"/>"
        );
    }
    svg
}

/// The notes under a picture, a line each from `top` on, and its end.
pub(crate) fn close(notes: &[String], top: f64) -> String {
    let mut svg = String::new();
    for (i, line) in notes.iter().enumerate() {
        let at = top + 17.0 * i as f64;
        svg += &format!("<text class=\"soft\" x=\"12\" y=\"{at}\">{}</text>", escape(line));
    }
    svg + "</svg>\n"
}

/// Text as it stands in SVG and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text of at most so many letters.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Text in lines of at most so many letters.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > most {
            lines.push(word.to_string());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}
