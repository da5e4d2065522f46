//! What numbers and tensors are called, and where a name leads.

use crate::edit::inside;
use crate::json::{Fields, Json, number};
use crate::message::Fault;
use crate::session::Session;
use crate::view::Look;
use microgpt::op::{Id, Op, Shape};
use microgpt::tensor::{Engine, Node};
use serde_json::json;

/// One number of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of which tensor.
    pub tensor: Id,
    /// Where in it.
    pub row: usize,
    /// Where in it.
    pub col: usize,
}

impl Place {
    /// The field `place` of a request.
    ///
    /// # Errors
    /// No such tensor or matrix, or no such number of it.
    pub fn take(fields: &mut Fields, session: &Session, look: &Look) -> Result<Place, Fault> {
        let place = fields.object("place")?;
        let mut place = place.ok_or_else(|| Fault::wrong("place: expected a value, found none"))?;
        let (name, tensor) = (place.text("name")?, place.whole("tensor")?);
        let (row, col) = (place.whole("row")?.unwrap_or(0), place.whole("col")?.unwrap_or(0));
        // What an answer has said may be sent back as it is.
        ["value", "grad", "label", "local", "flows", "pair", "at", "id", "depth", "op", "formula"]
            .into_iter()
            .for_each(|name| _ = place.take(name));
        place.end()?;
        match (name, tensor) {
            (Some(name), _) => find(session, look, &name, row, col),
            (None, Some(tensor)) => {
                let nodes = look.engine.nodes();
                let node = nodes.get(tensor);
                let node = node.ok_or_else(|| {
                    Fault::missing(format!("tensor: expected less than {}, found {tensor}", nodes.len()))
                })?;
                inside(node.shape, row, col)?;
                Ok(Place { tensor: node.id, row, col })
            }
            (None, None) => {
                Err(Fault::wrong("place: expected a name or the number of a tensor, found neither"))
            }
        }
    }
}

/// The number at `row` and `col` of the tensor or matrix of that name.
///
/// # Errors
/// There is none.
pub fn find(session: &Session, look: &Look, name: &str, row: usize, col: usize) -> Result<Place, Fault> {
    if let Some((tensor, shape)) = tensor(look, name) {
        inside(shape, row, col)?;
        return Ok(Place { tensor, row, col });
    }
    let matrix = session.layout().find(name);
    let matrix =
        matrix.ok_or_else(|| Fault::missing(format!("name: expected a tensor or matrix, found {name:?}")))?;
    inside(matrix.shape, row, col)?;
    let place = matrix.offset + row * matrix.shape.cols + col;
    let holds = |node: &&Node| match node.op {
        Op::Param { offset } => (offset..offset + node.shape.len()).contains(&place),
        _ => false,
    };
    let node = look.nodes.iter().find(holds);
    let node = node.ok_or_else(|| Fault::missing(format!("name: {name:?} is not used here")))?;
    let Op::Param { offset } = node.op else { unreachable!("it is one") };
    Ok(Place {
        tensor: node.id,
        row: (place - offset) / node.shape.cols,
        col: (place - offset) % node.shape.cols,
    })
}

/// A tensor by its name, also one that is computed only to be looked at.
pub fn tensor(look: &Look, name: &str) -> Option<(Id, Shape)> {
    if let Some(node) = look.find(name) {
        return Some((node.id, node.shape));
    }
    let id = match name {
        "probabilities" => look.probabilities,
        _ => look.lens.iter().find(|(lens, _)| lens == name)?.1,
    };
    let vocabulary = look.engine.nodes()[id.0 as usize].shape;
    Some((id, vocabulary))
}

/// What a tensor is called; a parameter by its matrix, or matrices.
pub fn title(session: &Session, node: &Node) -> String {
    if let Some(label) = node.label {
        return label.to_string();
    }
    match node.op {
        Op::Param { offset } => {
            let range = offset..offset + node.shape.len();
            let inside = session.layout().matrices().iter().filter(|m| range.contains(&m.offset));
            inside.map(|m| m.name.clone()).collect::<Vec<_>>().join(" + ")
        }
        op => format!("#{} {}", node.id.0, op_name(op)),
    }
}

/// The name of a number's tensor or matrix, if it has one, and where it is in that.
pub fn name_of(
    session: &Session,
    look: &Look,
    node: &Node,
    row: usize,
    col: usize,
) -> (Option<String>, usize, usize) {
    if let Op::Param { offset } = node.op {
        let place = session.layout().locate(offset + row * node.shape.cols + col);
        return place.map_or((None, row, col), |(matrix, row, col)| (Some(matrix.name.clone()), row, col));
    }
    let lens = || look.lens.iter().find(|(_, id)| *id == node.id).map(|(name, _)| name.clone());
    let extra = (node.id == look.probabilities).then(|| "probabilities".to_string());
    // After the loss, names of the model come a second time.
    let own = node.label.filter(|_| node.id <= look.loss).map(|label| label.to_string());
    (own.or(extra).or_else(lens), row, col)
}

/// A number as answers tell it.
pub fn place_json(session: &Session, look: &Look, place: Place) -> Json {
    let node = &look.engine.nodes()[place.tensor.0 as usize];
    place_of(session, look, node, place, &look.engine.grads(place.tensor))
}

/// The same where node and gradients are at hand.
pub fn place_of(session: &Session, look: &Look, node: &Node, place: Place, grads: &[f64]) -> Json {
    let Place { tensor, row, col } = place;
    let (name, own_row, own_col) = name_of(session, look, node, row, col);
    let title = name.clone().unwrap_or_else(|| title(session, node));
    let grad = grads.get(row * node.shape.cols + col).copied().unwrap_or(0.0);
    json!({
        "tensor": tensor.0, "name": name, "label": format!("{title}[{own_row}, {own_col}]"),
        "row": own_row, "col": own_col,
        "value": number(look.engine.number(tensor, row, col)), "grad": number(grad),
    })
}

/// `LinearOnto` -> `linear_onto`
pub fn op_name(op: Op) -> String {
    let debug = format!("{op:?}");
    let mut name = String::new();
    for c in debug.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// What a row of a tensor is: a token, a head of a token, or neither.
pub fn per(look: &Look, heads: usize, name: &str, shape: Shape) -> &'static str {
    let rows = look.batch.rows();
    if name.contains("attn_scores")
        || name.contains("attn_weights")
        || (shape.rows == rows * heads && heads > 1)
    {
        "head"
    } else if shape.rows == rows && name != "loss" && name != "objective" {
        "token"
    } else {
        "one"
    }
}

/// What a tensor of that short name is.
pub fn about(short: &str) -> &'static str {
    match short {
        "token" => "what each token is: its row of wte",
        "position" => "where it stands: its row of wpe, or sines",
        "embedded" => "token and position together: the stream before the first layer",
        "window" => "the tokens of the context, side by side",
        "attn_norm" => "the stream, normed: what attention works on",
        "q" => "queries: what each token asks for",
        "k" => "keys: what each token offers",
        "v" => "values: what each token gives to those who ask",
        "attn_q_norm" => "queries, normed in each head",
        "attn_k_norm" => "keys, normed in each head",
        "attn_scores" => "how well each query fits each key, in each head",
        "attn_weights" => "whom each token looks at, in each head; a row sums to 1",
        "attn_found" => "what each token has found: values by their weights",
        "attn_norm_out" => "what attention adds, normed",
        "stream_mid" => "the stream after attention has added to it",
        "mlp_norm" => "the stream, normed: what the MLP works on",
        "mlp_hidden" => "the MLP's units before the activation",
        "mlp_gate" => "the MLP's gate",
        "mlp_active" => "the MLP's units after the activation",
        "mlp_norm_out" => "what the MLP adds, normed",
        "stream" => "the stream after the layer",
        "final_norm" => "the last stream, normed",
        "cell_input" => "what comes into the cell at each token",
        "state" => "the cell's state after each token",
        "seen" => "how often each token came after this one",
        "logits" => "a score of each token that may come next",
        "losses" => "how surprised the model is by each next token, in nats",
        "loss" => "their mean: what training makes smaller",
        "objective" => "what counting descends on",
        "probabilities" => "softmax of the logits: how likely each token is to come next",
        _ => "",
    }
}
