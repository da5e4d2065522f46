//! What if: a weight is another, a head or a neuron is silent, a number is that of another text.

use crate::json::{Fields, Json, needed};
use crate::message::Fault;
use crate::session::{Session, lock};
use crate::view::{Look, Subject, View};
use microgpt::engine::scalar::Hold;
use microgpt::op::Shape;
use microgpt::tensor::Engine;
use std::sync::Mutex;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// A number of a matrix.
    Weight {
        /// The matrix.
        name: String,
        /// Where in it.
        row: usize,
        /// Where in it.
        col: usize,
        /// What it is now.
        value: f64,
    },
    /// What a head has found is 0.
    Head {
        /// Of which layer.
        layer: usize,
        /// Which.
        head: usize,
    },
    /// A unit of an MLP is 0.
    Neuron {
        /// Of which layer.
        layer: usize,
        /// Which.
        neuron: usize,
    },
    /// A number of a tensor, or a row of it.
    Value {
        /// The tensor.
        name: String,
        /// Where in it.
        row: usize,
        /// Where in it; none: the whole row.
        col: Option<usize>,
        /// What it is now.
        value: f64,
    },
    /// A row of a tensor, as another text has it.
    From {
        /// The tensor.
        name: String,
        /// Which row.
        row: usize,
        /// The other text.
        text: String,
        /// Which row there.
        from_row: usize,
    },
}

impl Edit {
    /// As it is written in a request.
    ///
    /// # Errors
    /// What is none.
    pub fn read(value: Json) -> Result<Edit, Fault> {
        let mut fields = Fields::of(value, "edits")?;
        let kind = needed(fields.text("kind")?, "kind")?;
        let mut name = || -> Result<String, Fault> { needed(fields.text("name")?, "name") };
        let edit = match &kind[..] {
            "weight" => Edit::Weight {
                name: name()?,
                row: needed(fields.whole("row")?, "row")?,
                col: needed(fields.whole("col")?, "col")?,
                value: needed(fields.number("value")?, "value")?,
            },
            "head" => Edit::Head {
                layer: needed(fields.whole("layer")?, "layer")?,
                head: needed(fields.whole("head")?, "head")?,
            },
            "neuron" => Edit::Neuron {
                layer: needed(fields.whole("layer")?, "layer")?,
                neuron: needed(fields.whole("neuron")?, "neuron")?,
            },
            "value" => Edit::Value {
                name: name()?,
                row: needed(fields.whole("row")?, "row")?,
                col: fields.whole("col")?,
                value: needed(fields.number("value")?, "value")?,
            },
            "from" => Edit::From {
                name: name()?,
                row: needed(fields.whole("row")?, "row")?,
                text: fields.text("text")?.unwrap_or_default(),
                from_row: needed(fields.whole("from_row")?, "from_row")?,
            },
            other => {
                return Err(Fault::wrong(format!(
                    "kind: expected weight, head, neuron, value or from, found {other:?}"
                )));
            }
        };
        fields.end()?;
        Ok(edit)
    }
}

/// Changes the parameters, and says what is to be held. `base` is the same view unchanged.
///
/// # Errors
/// A place that is not there.
pub fn apply(
    session: &Session,
    view: &View,
    params: &mut [f64],
    base: &Mutex<Look>,
) -> Result<Vec<Hold>, Fault> {
    let config = lock(&session.state).config.clone();
    let mut holds = Vec::new();
    let shape_of = |name: &str| {
        let shape = lock(base).find(name).map(|node| node.shape);
        shape.ok_or_else(|| Fault::missing(format!("name: expected a tensor, found {name:?}")))
    };
    for edit in &view.edits {
        match edit {
            Edit::Weight { name, row, col, value } => {
                let matrix = session.layout().find(name);
                let matrix = matrix
                    .ok_or_else(|| Fault::missing(format!("name: expected a matrix, found {name:?}")))?;
                inside(matrix.shape, *row, *col)?;
                params[matrix.offset + row * matrix.shape.cols + col] = *value;
            }
            Edit::Head { layer, head } => {
                let name = format!("layer{layer}.attn_found");
                let shape = shape_of(&name)?;
                if *head >= config.n_head {
                    return Err(Fault::missing(format!(
                        "head: expected less than {}, found {head}",
                        config.n_head
                    )));
                }
                let d = shape.cols / config.n_head;
                holds.extend(all(&name, 0..shape.rows, head * d..(head + 1) * d, |_, _| 0.0));
            }
            Edit::Neuron { layer, neuron } => {
                let name = format!("layer{layer}.mlp_active");
                let shape = shape_of(&name)?;
                inside(shape, 0, *neuron)?;
                holds.extend(all(&name, 0..shape.rows, *neuron..neuron + 1, |_, _| 0.0));
            }
            Edit::Value { name, row, col, value } => {
                let shape = shape_of(name)?;
                inside(shape, *row, col.unwrap_or(0))?;
                let cols = col.map_or(0..shape.cols, |col| col..col + 1);
                holds.extend(all(name, *row..row + 1, cols, |_, _| *value));
            }
            Edit::From { name, row, text, from_row } => {
                let shape = shape_of(name)?;
                inside(shape, *row, 0)?;
                let subject = Subject::Text(text.clone());
                let other = View { step: view.step, subject, next: None, edits: Vec::new() };
                let donor = match other == view.unedited() {
                    true => None,
                    false => Some(session.look(&other)?),
                };
                // One lock at a time: two requests may each want the other's.
                let donor = donor.as_deref().unwrap_or(base);
                let numbers = row_of(&lock(donor), name, *from_row, shape.cols)?;
                holds.extend(all(name, *row..row + 1, 0..shape.cols, |_, col| numbers[col]));
            }
        }
    }
    Ok(holds)
}

fn all<'a>(
    name: &'a str,
    rows: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
    value: impl Fn(usize, usize) -> f64 + 'a,
) -> impl Iterator<Item = Hold> + 'a {
    let places = rows.flat_map(move |row| cols.clone().map(move |col| (row, col)));
    places.map(move |(row, col)| Hold { name: name.to_string(), row, col, value: value(row, col) })
}

/// A row of another look, as wide as it is to be here. (Of attention, what is out of sight stays so.)
fn row_of(look: &Look, name: &str, row: usize, cols: usize) -> Result<Vec<f64>, Fault> {
    let node =
        look.find(name).ok_or_else(|| Fault::missing(format!("name: the other text has no {name:?}")))?;
    inside(node.shape, row, 0).map_err(|fault| Fault { text: format!("from_{}", fault.text), ..fault })?;
    let mut numbers = Vec::new();
    look.engine.read_row(node.id, row, &mut numbers);
    let empty = if name.ends_with("attn_scores") { f64::NEG_INFINITY } else { 0.0 };
    numbers.resize(cols, empty);
    Ok(numbers)
}

/// Is there such a place?
///
/// # Errors
/// There is none.
pub fn inside(shape: Shape, row: usize, col: usize) -> Result<(), Fault> {
    if row >= shape.rows {
        return Err(Fault::missing(format!("row: expected less than {}, found {row}", shape.rows)));
    }
    if col >= shape.cols {
        return Err(Fault::missing(format!("col: expected less than {}, found {col}", shape.cols)));
    }
    Ok(())
}
