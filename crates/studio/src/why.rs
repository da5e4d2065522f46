//! `why`: how a number came to be, what was made of it, and which line of source computed it. `graph`: the same, several
//! steps back.

use crate::json::{Fields, Json, number};
use crate::message::Fault;
use crate::names::{Place, op_name, place_json, place_of, title};
use crate::session::{Session, lock};
use crate::source;
use crate::view::{Look, View};
use microgpt::inspect::{self, Operand, User, Why};
use microgpt::op::Op;
use microgpt::tensor::{Engine, Node};
use serde_json::json;
use std::collections::HashMap;

/// Why one number is what it is.
///
/// # Errors
/// A view or a place that is none.
pub fn why(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let most = fields.whole("most")?.unwrap_or(64).clamp(1, 10_000);
    let looked = session.look(&view)?;
    let place = {
        let mut look = lock(&looked);
        if fields_want_lens(&fields) {
            look.read_out(&session.model);
        }
        look.grade();
        Place::take(&mut fields, session, &look)?
    };
    fields.end()?;
    let mut before = Json::Null;
    if !view.edits.is_empty() {
        let unedited = session.look(&view.unedited())?;
        let mut unedited = lock(&unedited);
        unedited.grade();
        let there = place_json(session, &unedited, place);
        before = json!({"value": there["value"], "grad": there["grad"]});
    }
    let look = lock(&looked);
    let mut answer = explain(session, &look, place, most);
    answer["before"] = before;
    Ok(answer)
}

fn fields_want_lens(fields: &Fields) -> bool {
    let name = fields.peek("place").and_then(|place| place.get("name")?.as_str());
    name.is_some_and(|name| name.ends_with(".lens"))
}

fn explain(session: &Session, look: &Look, place: Place, most: usize) -> Json {
    let Place { tensor, row, col } = place;
    let nodes = look.engine.nodes();
    let node = &nodes[tensor.0 as usize];
    let held = look.engine.is_held(tensor, row, col);
    let Why { value, grad, formula, operands } = inspect::why(&look.engine, &look.batch, tensor, row, col);
    let operands = if held { Vec::new() } else { operands };
    let last = look.loss.max(look.objective);
    let users: Vec<User> = inspect::users(&look.engine, &look.batch, tensor, row, col, last);
    let mut grads = Grads { look, kept: HashMap::new() };
    let numbers = if held { format!("held at {value:?}") } else { numbers(node.op, &operands, value) };
    let parts: Vec<f64> = users.iter().map(|user| user.local * user.grad).collect();
    let (inputs_total, users_total) = (operands.len(), users.len());
    let chosen = largest(&operands, most, |operand| operand.local.abs() * operand.value.abs());
    let pairs = is_products(node.op);
    let inputs: Vec<Json> = chosen
        .into_iter()
        .map(|i| {
            let Operand { tensor, row, col, local, .. } = operands[i];
            let mut input = grads.json(session, &nodes, Place { tensor, row, col });
            input["local"] = number(local);
            input["flows"] = number(local * grad);
            let paired = pairs && i < operands.len() / 2 * 2;
            input["pair"] = if paired { (i ^ 1).into() } else { Json::Null };
            input["at"] = i.into();
            input
        })
        .collect();
    let users: Vec<Json> = largest(&users, most, |user| (user.local * user.grad).abs())
        .into_iter()
        .map(|i| {
            let User { tensor, row, col, local, grad, .. } = users[i];
            let mut json = grads.json(session, &nodes, Place { tensor, row, col });
            json["local"] = number(local);
            json["flows"] = number(local * grad);
            json
        })
        .collect();
    let gradient = match (tensor == look.objective, &parts[..]) {
        (true, _) => "1: it is what gradients are of".to_string(),
        (false, []) => "0: nothing was made of it that the loss depends on".to_string(),
        (false, parts) => format!("{} = {}", sum(parts), short(grad)),
    };
    json!({
        "place": place_of(session, look, node, place, &look.engine.grads(tensor)),
        "op": op_name(node.op), "formula": if held { "held by an edit" } else { formula }, "numbers": numbers,
        "title": title(session, node), "source": source::of(session, look, tensor),
        "inputs": inputs, "inputs_total": inputs_total, "users": users, "users_total": users_total,
        "gradient": gradient, "edited": held, "before": null,
    })
}

/// The gradients of tensors, each read once.
struct Grads<'a> {
    look: &'a Look,
    kept: HashMap<u32, Vec<f64>>,
}

impl Grads<'_> {
    fn json(&mut self, session: &Session, nodes: &[Node], place: Place) -> Json {
        let look = self.look;
        let grads = self.kept.entry(place.tensor.0).or_insert_with(|| look.engine.grads(place.tensor));
        place_of(session, look, &nodes[place.tensor.0 as usize], place, grads)
    }
}

/// Which of them come: all, or the largest, in their own order.
fn largest<T>(all: &[T], most: usize, size: impl Fn(&T) -> f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    if all.len() > most {
        order.sort_by(|&a, &b| size(&all[b]).total_cmp(&size(&all[a])));
        order.truncate(most);
        order.sort_unstable();
    }
    order
}

/// Are its operands pairs of factors, one after the other?
fn is_products(op: Op) -> bool {
    matches!(
        op,
        Op::Mul(..)
            | Op::Linear { .. }
            | Op::Dot(..)
            | Op::Scores { .. }
            | Op::Mix { .. }
            | Op::LinearOnto { .. }
            | Op::LinearBias { .. }
    )
}

/// The formula with its numbers put in.
fn numbers(op: Op, operands: &[Operand], y: f64) -> String {
    let x = |i: usize| operands.get(i).map_or(f64::NAN, |operand| operand.value);
    let text = match op {
        Op::Param { .. } => return short(y),
        _ if operands.is_empty() => return short(y),
        op if is_products(op) => {
            let pairs = operands
                .chunks_exact(2)
                .map(|pair| format!("{} * {}", short(pair[0].value), short(pair[1].value)));
            let rest = operands.chunks_exact(2).remainder().iter().map(|operand| short(operand.value));
            join(pairs.chain(rest).collect(), operands.len().div_ceil(2))
        }
        Op::Add(..) => sum(&[x(0), x(1)]),
        Op::Div(..) => format!("{} / {}", short(x(0)), short(x(1))),
        Op::Affine { scale, shift, .. } => {
            join(vec![format!("{} * {}", short(x(0)), short(scale)), short(shift)], 2)
        }
        Op::Pow { exponent, .. } => format!("{} ^ {}", short(x(0)), short(exponent)),
        Op::Exp(_) => format!("exp({})", short(x(0))),
        Op::Ln(_) => format!("ln({})", short(x(0))),
        Op::Tanh(_) => format!("tanh({})", short(x(0))),
        Op::Activate { f, .. } => format!("{} with x = {}", f.formula().text(), short(x(0))),
        Op::Gate { f, .. } => format!("{} with x = {}, g = {}", f.formula().text(), short(x(0)), short(x(1))),
        Op::OffMax(_) => format!("{} - {}", short(x(0)), short(x(0) - y)),
        Op::Sum(_) | Op::Total(_) => sum(&operands.iter().map(|operand| operand.value).collect::<Vec<_>>()),
        Op::Rotate { .. } => {
            let part = |operand: &Operand| format!("{} * {}", short(operand.value), short(operand.local));
            join(operands.iter().map(part).collect(), operands.len())
        }
        _ => operands.iter().take(6).map(|operand| short(operand.value)).collect::<Vec<_>>().join(", "),
    };
    format!("{text} = {}", short(y))
}

fn sum(parts: &[f64]) -> String {
    join(parts.iter().map(|&x| short(x)).collect(), parts.len())
}

/// The first few, and how many more. What is below zero is taken off.
fn join(parts: Vec<String>, all: usize) -> String {
    const SHOWN: usize = 6;
    let shown = parts.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(" + ").replace(" + -", " - ");
    if all > SHOWN { format!("{shown} + ... ({} more)", all - SHOWN) } else { shown }
}

/// Four digits that say something.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    if (1e-3..1e4).contains(&x.abs()) {
        let digits = (3 - x.abs().log10().floor() as i32).max(0) as usize;
        let text = format!("{x:.digits$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text
        };
    }
    format!("{x:.3e}")
}

/// The scalar graph behind a number.
///
/// # Errors
/// A view or a place that is none.
pub fn graph(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let depth = fields.whole("depth")?.unwrap_or(3).min(64);
    let most = fields.whole("most")?.unwrap_or(200).clamp(1, 5000);
    let looked = session.look(&view)?;
    let mut look = lock(&looked);
    look.grade();
    let root = Place::take(&mut fields, session, &look)?;
    fields.end()?;
    let tensors = look.engine.nodes();
    let mut grads = Grads { look: &look, kept: HashMap::new() };
    let (mut numbers, mut places, mut edges, mut cut) =
        (HashMap::from([(key(root), 0)]), vec![(root, 0)], Vec::new(), 0);
    let mut nodes: Vec<Json> = Vec::new();
    let mut i = 0;
    while i < places.len() {
        let (place, deep) = places[i];
        let why = inspect::why(&look.engine, &look.batch, place.tensor, place.row, place.col);
        let mut node = grads.json(session, &tensors, place);
        let tensor = &tensors[place.tensor.0 as usize];
        (node["id"], node["depth"]) = (i.into(), deep.into());
        (node["op"], node["formula"]) = (op_name(tensor.op).into(), why.formula.into());
        nodes.push(node);
        i += 1;
        if deep == depth || look.engine.is_held(place.tensor, place.row, place.col) {
            cut += usize::from(deep == depth) * why.operands.len();
            continue;
        }
        for operand in why.operands {
            let input = Place { tensor: operand.tensor, row: operand.row, col: operand.col };
            let known = numbers.get(&key(input)).copied();
            let id = match known {
                Some(id) => id,
                None if places.len() >= most => {
                    cut += 1;
                    continue;
                }
                None => {
                    numbers.insert(key(input), places.len());
                    places.push((input, deep + 1));
                    places.len() - 1
                }
            };
            let flows = operand.local * why.grad;
            edges.push(
                json!({"from": id, "to": i - 1, "local": number(operand.local), "flows": number(flows)}),
            );
        }
    }
    Ok(json!({"nodes": nodes, "edges": edges, "cut": cut}))
}

fn key(place: Place) -> (u32, usize, usize) {
    (place.tensor.0, place.row, place.col)
}
