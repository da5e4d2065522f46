//! Two runs, or two steps of one: where they differ, and the first number that parted.

use crate::json::{Fields, Json, needed, number};
use crate::message::Fault;
use crate::names::{name_of, title};
use crate::session::{Session, lock};
use crate::studio::Studio;
use crate::view::{Look, View};
use crate::weights::Weights;
use microgpt::Config;
use microgpt::layout::Layout;
use microgpt::op::Shape;
use microgpt::tensor::Engine;
use serde_json::json;
use std::sync::Arc;

/// One of the two.
struct Side {
    session: Arc<Session>,
    view: View,
    weights: Weights,
    config: Config,
}

impl Side {
    fn read(studio: &Studio, fields: Option<Fields>, name: &str, text: &str) -> Result<Side, Fault> {
        let mut fields =
            fields.ok_or_else(|| Fault::wrong(format!("{name}: expected a run and a step, found none")))?;
        let session = studio.session(&needed(fields.text("run")?, "run")?)?;
        if fields.peek("text").is_some() {
            return Err(Fault::wrong("text: no such field here; it is one for both"));
        }
        let mut view = View::take(&mut fields, &session)?;
        fields.end()?;
        view.subject = crate::view::Subject::Text(text.to_string());
        let weights = session.weights(view.step)?;
        let config = lock(&session.state).config.clone();
        Ok(Side { session, view, weights, config })
    }

    fn json(&self, loss: f64) -> Json {
        json!({"run": self.session.id, "step": self.view.step, "loss": number(loss)})
    }
}

/// Compares them.
///
/// # Errors
/// A run or a step that is none, a text that one of them does not know.
pub fn compare(studio: &Studio, mut fields: Fields) -> Result<Json, Fault> {
    let text = fields.text("text")?.unwrap_or_default();
    let sides = [fields.object("a")?, fields.object("b")?];
    fields.end()?;
    let [a, b] = sides;
    let a = Side::read(studio, a, "a", &text)?;
    let b = Side::read(studio, b, "b", &text)?;
    let settings: Vec<Json> = Config::knobs()
        .into_iter()
        .map(|knob| (knob.name, a.config.get(knob.name), b.config.get(knob.name)))
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| json!({"name": name, "a": a, "b": b}))
        .collect();
    let (look_a, look_b) = (a.session.look(&a.view)?, b.session.look(&b.view)?);
    let same = Arc::ptr_eq(&look_a, &look_b);
    // The numbers of one are copied, so that not both are locked at once.
    let (tables_a, loss_a) = tables(&a.session, &lock(&look_a));
    let (tables_b, loss_b) =
        if same { (tables_a.clone(), loss_a) } else { tables(&b.session, &lock(&look_b)) };
    let tensors = both(&tables_a, &tables_b, |table| table.named);
    let first = first(&a.session, &lock(&look_a), &tables_a, &tables_b);
    Ok(json!({
        "text": text, "settings": settings, "a": a.json(loss_a), "b": b.json(loss_b),
        "matrices": both(&matrices(&a), &matrices(&b), |_| true), "tensors": tensors,
        "first": first, "parted": parted(&a.session, &b.session),
    }))
}

/// A tensor's numbers, or a matrix's.
#[derive(Clone)]
struct Table {
    name: String,
    named: bool,
    shape: Shape,
    numbers: Vec<f64>,
}

fn tables(session: &Session, look: &Look) -> (Vec<Table>, f64) {
    let table = |node: &microgpt::tensor::Node| Table {
        name: title(session, node),
        named: node.label.is_some(),
        shape: node.shape,
        numbers: look.engine.values(node.id),
    };
    (look.nodes.iter().map(table).collect(), look.engine.number(look.loss, 0, 0))
}

fn matrices(side: &Side) -> Vec<Table> {
    let layout: &Layout = side.session.layout();
    let table = |matrix: &microgpt::layout::Matrix| Table {
        name: matrix.name.clone(),
        named: true,
        shape: matrix.shape,
        numbers: matrix.range().map(|i| side.weights.get(i)).collect(),
    };
    layout.matrices().iter().map(table).collect()
}

/// What is in both, side by side; and what is in one of them alone.
fn both(a: &[Table], b: &[Table], wanted: impl Fn(&Table) -> bool) -> Vec<Json> {
    let mut list: Vec<Json> = a
        .iter()
        .filter(|table| wanted(table))
        .map(|table| match b.iter().find(|other| other.name == table.name) {
            None => alone(table, "only in a"),
            Some(other) if other.shape != table.shape => alone(table, "another shape"),
            Some(other) => difference(table, other),
        })
        .collect();
    let only = b.iter().filter(|table| wanted(table) && !a.iter().any(|other| other.name == table.name));
    list.extend(only.map(|table| alone(table, "only in b")));
    list
}

fn alone(table: &Table, note: &str) -> Json {
    let shape = [table.shape.rows, table.shape.cols];
    json!({"name": table.name, "shape": shape, "same": false, "most": null, "norm": null, "at": null, "note": note})
}

fn difference(a: &Table, b: &Table) -> Json {
    let (mut at, mut most, mut squares) = (None, 0.0, 0.0);
    for (i, (x, y)) in a.numbers.iter().zip(&b.numbers).enumerate() {
        // Two that are infinite alike do not differ.
        let by = if x == y { 0.0 } else { (x - y).abs() };
        squares += by * by;
        if by > most || (at.is_none() && x.to_bits() != y.to_bits()) {
            (at, most) = (Some(i), by.max(most));
        }
    }
    let cols = a.shape.cols;
    let at = at.map(
        |i| json!({"row": i / cols, "col": i % cols, "a": number(a.numbers[i]), "b": number(b.numbers[i])}),
    );
    json!({
        "name": a.name, "shape": [a.shape.rows, cols], "same": at.is_none(), "most": number(most),
        "norm": number(squares.sqrt()), "at": at, "note": null,
    })
}

/// The first number that differs, in the order of computing; as far as both compute the same.
fn first(session: &Session, look: &Look, a: &[Table], b: &[Table]) -> Json {
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        if x.name != y.name || x.shape != y.shape {
            return json!({"label": x.name, "name": null, "row": null, "col": null, "a": null, "b": null, "note": "from here on they compute something else"});
        }
        let differs = x.numbers.iter().zip(&y.numbers).position(|(x, y)| x.to_bits() != y.to_bits());
        if let Some(place) = differs {
            let (row, col) = (place / x.shape.cols, place % x.shape.cols);
            let (name, own_row, own_col) = name_of(session, look, &look.nodes[i], row, col);
            let title = name.clone().unwrap_or_else(|| x.name.clone());
            return json!({
                "label": format!("{title}[{own_row}, {own_col}]"), "name": name, "row": own_row, "col": own_col,
                "a": number(x.numbers[place]), "b": number(y.numbers[place]), "note": null,
            });
        }
    }
    Json::Null
}

/// The first step, of those that are kept of both, at which a parameter differs.
fn parted(a: &Session, b: &Session) -> Json {
    if a.id == b.id || a.layout() != b.layout() {
        return Json::Null;
    }
    let steps: Vec<usize> = lock(&a.state).history.steps().collect();
    let pair = |step: usize| {
        let (a, b) = (lock(&a.state).history.get(step), lock(&b.state).history.get(step));
        Some((a?, b?))
    };
    let differs = |step: usize| {
        let (x, y) = pair(step)?;
        Some((step, x.parted(&y)?, x, y))
    };
    let found = steps.into_iter().find_map(differs);
    found.map_or(Json::Null, |(step, place, x, y)| {
        let (name, row, col) = match a.layout().locate(place) {
            Some((matrix, row, col)) => (matrix.name.clone(), row, col),
            None => return Json::Null,
        };
        json!({"step": step, "name": name, "row": row, "col": col, "a": number(x.get(place)), "b": number(y.get(place))})
    })
}
