//! `look`: windows of tensors and matrices, and what each token has to do with them.

use crate::json::{Fields, Json, needed, number, numbers};
use crate::message::Fault;
use crate::names::{self, about, per};
use crate::session::{Session, lock};
use crate::view::{Look, View};
use microgpt::op::{Id, Kind, Op, Shape};
use microgpt::tensor::Engine;
use serde_json::json;
use std::ops::Range;

/// So many numbers come in one window.
const MOST: usize = 65_536;

/// What is wanted of a tensor.
struct Want {
    name: String,
    rows: Option<Range<usize>>,
    cols: Option<Range<usize>>,
    grad: bool,
}

impl Want {
    fn read(value: Json) -> Result<Want, Fault> {
        let mut fields = Fields::of(value, "want")?;
        let want = Want {
            name: needed(fields.text("name")?, "name")?,
            rows: range(&mut fields, "rows")?,
            cols: range(&mut fields, "cols")?,
            grad: fields.truth("grad")?.unwrap_or(false),
        };
        fields.end()?;
        Ok(want)
    }
}

/// `"rows": [from, to]`
///
/// # Errors
/// Something else.
pub fn range(fields: &mut Fields, name: &'static str) -> Result<Option<Range<usize>>, Fault> {
    match fields.wholes(name)?.as_deref() {
        None => Ok(None),
        Some([from, to]) if from <= to => Ok(Some(*from..*to)),
        Some(_) => Err(Fault::wrong(format!("{name}: expected [from, to], found something else"))),
    }
}

/// Windows of one view.
///
/// # Errors
/// A view or a name that is none.
pub fn look(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let wants = fields.list("want")?.into_iter().map(Want::read).collect::<Result<Vec<_>, _>>()?;
    fields.end()?;
    let before = (!view.edits.is_empty()).then(|| session.look(&view.unedited())).transpose()?;
    let looked = session.look(&view)?;
    let lens = wants.iter().any(|want| want.name == "lens" || want.name.ends_with(".lens"));
    let grad = wants.iter().any(|want| want.grad);
    let prepare = |look: &mut Look| {
        if lens {
            look.read_out(&session.model);
        }
        if grad {
            look.grade();
        }
    };
    // One lock at a time: two requests may each want the other's.
    let (mut befores, mut before_json) = (Vec::new(), Json::Null);
    if let Some(before) = before {
        let mut before = lock(&before);
        prepare(&mut before);
        for want in &wants {
            befores.push(windows(session, &before, want)?);
        }
        before_json = json!({"loss": number(before.engine.number(before.loss, 0, 0)), "tokens": tokens(session, &before)});
    }
    let mut look = lock(&looked);
    prepare(&mut look);
    let mut all = Vec::new();
    for (i, want) in wants.iter().enumerate() {
        let mut windows = windows(session, &look, want)?;
        if let Some(befores) = befores.get(i) {
            windows
                .iter_mut()
                .zip(befores)
                .for_each(|(window, before)| window["before"] = before["values"].clone());
        }
        all.extend(windows);
    }
    let heads = lock(&session.state).config.n_head;
    let tensors: Vec<Json> = look
        .nodes
        .iter()
        .filter_map(|node| Some((node.label?.to_string(), node.shape)))
        .map(|(name, shape)| json!({"name": name, "rows": shape.rows, "cols": shape.cols, "per": per(&look, heads, &name, shape)}))
        .collect();
    let matrices: Vec<Json> = session
        .layout()
        .matrices()
        .iter()
        .map(|m| json!({"name": m.name, "rows": m.shape.rows, "cols": m.shape.cols}))
        .collect();
    Ok(json!({
        "step": view.step, "text": look.text, "cut": look.cut, "parts": look.parts,
        "tokens": tokens(session, &look), "loss": number(look.engine.number(look.loss, 0, 0)),
        "tensors": tensors, "matrices": matrices, "windows": all, "before": before_json,
    }))
}

/// The windows that one want asks for: of the lens, as many as there are layers.
fn windows(session: &Session, look: &Look, want: &Want) -> Result<Vec<Json>, Fault> {
    let names: Vec<String> = match &want.name[..] {
        "lens" => look.lens.iter().map(|(name, _)| name.clone()).collect(),
        name => vec![name.to_string()],
    };
    names.iter().map(|name| window(session, look, name, want)).collect()
}

fn window(session: &Session, look: &Look, name: &str, want: &Want) -> Result<Json, Fault> {
    let source = Source::find(session, look, name)?;
    let Window { rows, cols } = Window::of(source.shape, want.rows.clone(), want.cols.clone());
    let (values, grads) = source.read(look, &rows, &cols, want.grad);
    let (least, most) = source.bounds(look);
    Ok(json!({
        "name": name, "shape": [source.shape.rows, source.shape.cols],
        "rows": [rows.start, rows.end], "cols": [cols.start, cols.end],
        "values": values, "grads": grads, "before": null, "least": number(least), "most": number(most),
    }))
}

/// Which numbers of a table come.
pub struct Window {
    /// Its rows.
    pub rows: Range<usize>,
    /// Its columns.
    pub cols: Range<usize>,
}

impl Window {
    /// What is asked for, as far as it is there and not too much.
    pub fn of(shape: Shape, rows: Option<Range<usize>>, cols: Option<Range<usize>>) -> Window {
        let clamp = |range: Option<Range<usize>>, len: usize| {
            let range = range.unwrap_or(0..len);
            range.start.min(len)..range.end.min(len)
        };
        let (mut rows, mut cols) = (clamp(rows, shape.rows), clamp(cols, shape.cols));
        cols.end = cols.end.min(cols.start + MOST);
        rows.end = rows.end.min(rows.start + MOST / cols.len().max(1));
        Window { rows, cols }
    }
}

/// A table of numbers: a tensor, or a matrix within a tensor of parameters.
pub struct Source {
    tensor: Id,
    /// Where it begins in that.
    first: (usize, usize),
    /// How large it is.
    pub shape: Shape,
}

impl Source {
    /// The tensor or matrix of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(session: &Session, look: &Look, name: &str) -> Result<Source, Fault> {
        if let Some((tensor, shape)) = names::tensor(look, name) {
            return Ok(Source { tensor, first: (0, 0), shape });
        }
        let place = names::find(session, look, name, 0, 0)?;
        let matrix = session.layout().find(name).map_or(Shape::new(1, 1), |matrix| matrix.shape);
        Ok(Source { tensor: place.tensor, first: (place.row, place.col), shape: matrix })
    }

    /// A tensor.
    pub fn whole(tensor: Id, shape: Shape) -> Source {
        Source { tensor, first: (0, 0), shape }
    }

    /// The numbers of a window, row by row, and their gradients if they are wanted.
    pub fn read(&self, look: &Look, rows: &Range<usize>, cols: &Range<usize>, grad: bool) -> (Json, Json) {
        let ((first_row, first_col), mut row_of) = (self.first, Vec::new());
        let values: Vec<Json> = rows
            .clone()
            .map(|row| {
                row_of.clear();
                look.engine.read_row(self.tensor, first_row + row, &mut row_of);
                numbers(row_of[first_col + cols.start..first_col + cols.end].iter().copied())
            })
            .collect();
        if !grad {
            return (values.into(), Json::Null);
        }
        let grads = look.engine.grads(self.tensor);
        let wide = look.engine.nodes()[self.tensor.0 as usize].shape.cols;
        let row = |row: usize| {
            let start = (first_row + row) * wide + first_col;
            numbers(grads[start + cols.start..start + cols.end].iter().copied())
        };
        (values.into(), rows.clone().map(row).collect::<Vec<_>>().into())
    }

    /// The least and the most of all its finite numbers.
    fn bounds(&self, look: &Look) -> (f64, f64) {
        let (mut least, mut most, mut row_of) = (f64::INFINITY, f64::NEG_INFINITY, Vec::new());
        for row in 0..self.shape.rows {
            row_of.clear();
            look.engine.read_row(self.tensor, self.first.0 + row, &mut row_of);
            for &x in row_of[self.first.1..self.first.1 + self.shape.cols].iter().filter(|x| x.is_finite()) {
                (least, most) = (least.min(x), most.max(x));
            }
        }
        if least > most { (0.0, 0.0) } else { (least, most) }
    }
}

/// Each row's token, and what the model thinks comes next.
pub fn tokens(session: &Session, look: &Look) -> Vec<Json> {
    let (tokenizer, batch) = (&session.tokenizer, &look.batch);
    let losses = look.find("losses").map(|node| look.engine.values(node.id)).unwrap_or_default();
    let mut segment = 0;
    let mut row_of = Vec::new();
    (0..batch.rows())
        .map(|row| {
            while batch.segments.get(segment).is_some_and(|s| row >= s.start + s.len) {
                segment += 1;
            }
            row_of.clear();
            look.engine.read_row(look.probabilities, row, &mut row_of);
            let (token, target) = (batch.tokens[row], batch.targets[row]);
            let best = (0..row_of.len()).fold(0, |best, i| if row_of[i] > row_of[best] { i } else { best });
            json!({
                "row": row, "token": token, "name": tokenizer.name(token), "position": batch.positions[row],
                "target": target, "target_name": tokenizer.name(target), "segment": segment,
                "loss": losses.get(row).map(|&loss| number(loss)),
                "probability": number(row_of.get(target as usize).copied().unwrap_or(0.0)),
                "likeliest": best, "likeliest_name": tokenizer.name(best as u32),
            })
        })
        .collect()
}

/// The picture of the model: its matrices, and the tensors that a text makes.
///
/// # Errors
/// As a look.
pub fn model(session: &Session) -> Result<Json, Fault> {
    let view = View::take(&mut Fields::read(b"")?, session)?;
    let look = session.look(&view)?;
    let look = lock(&look);
    let heads = lock(&session.state).config.n_head;
    let split = |name: &str| match name.split_once('.') {
        Some((layer, short)) => {
            (layer.strip_prefix("layer").and_then(|n| n.parse::<usize>().ok()), short.to_string())
        }
        None => (None, name.to_string()),
    };
    let matrices: Vec<Json> = session
        .layout()
        .matrices()
        .iter()
        .map(|m| {
            let (layer, short) = split(&m.name);
            json!({"name": m.name, "rows": m.shape.rows, "cols": m.shape.cols, "kind": kind(m.kind), "layer": layer, "short": short})
        })
        .collect();
    let mut tensors: Vec<Json> = Vec::new();
    for node in look.nodes.iter().filter(|node| !matches!(node.op, Op::Param { .. })) {
        let Some(label) = node.label else { continue };
        let name = label.to_string();
        tensors.push(json!({
            "name": name, "layer": label.layer, "short": label.name, "about": about(label.name),
            "per": per(&look, heads, &name, node.shape), "cols": node.shape.cols,
        }));
    }
    tensors.push(json!({
        "name": "probabilities", "layer": null, "short": "probabilities", "about": about("probabilities"),
        "per": "token", "cols": session.tokenizer.vocab_size(),
    }));
    Ok(json!({"matrices": matrices, "tensors": tensors}))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Embedding => "embedding",
        Kind::Weight => "weight",
        Kind::Gain => "gain",
        Kind::Bias => "bias",
        Kind::Count => "count",
    }
}
