//! A step, operation by operation: first forward, then backward, then the update of each matrix. Each has a number, so
//! that one can go back as well as forward.

use crate::condition::Condition;
use crate::json::{Fields, Json, needed, number};
use crate::look::{Source, Window, range};
use crate::message::Fault;
use crate::names::{op_name, title};
use crate::session::{Session, lock};
use crate::source;
use crate::view::{Look, Subject, View};
use microgpt::inspect;
use microgpt::op::{Id, Op, Shape};
use microgpt::tensor::{Engine, Learner, Node};
use microgpt::train::Step;
use serde_json::json;
use std::ops::Range;

/// Where the phases of a step begin and end.
#[derive(Debug, Clone, Copy)]
struct Plan {
    forward: usize,
    backward: usize,
    update: usize,
}

/// Which operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Forward(Id),
    Backward(Id),
    /// Of this matrix.
    Update(usize),
}

impl At {
    fn phase(self) -> &'static str {
        match self {
            At::Forward(_) => "forward",
            At::Backward(_) => "backward",
            At::Update(_) => "update",
        }
    }
}

impl Plan {
    fn of(session: &Session, view: &View, look: &Look) -> Plan {
        let trains = matches!(view.subject, Subject::Batch(_));
        Plan {
            forward: look.nodes.len(),
            backward: look.objective.0 as usize + 1,
            update: if trains { session.layout().matrices().len() } else { 0 },
        }
    }

    fn total(self) -> usize {
        self.forward + self.backward + self.update
    }

    fn at(self, at: usize) -> Result<At, Fault> {
        if at < self.forward {
            Ok(At::Forward(Id(at as u32)))
        } else if at < self.forward + self.backward {
            Ok(At::Backward(Id((self.forward + self.backward - 1 - at) as u32)))
        } else if at < self.total() {
            Ok(At::Update(at - self.forward - self.backward))
        } else {
            Err(Fault::missing(format!("at: expected less than {}, found {at}", self.total())))
        }
    }
}

/// A look whose backward pass has come so far.
pub struct Stepper {
    view: View,
    look: Look,
    /// The tensor that hands its gradient on next.
    next: Option<Id>,
}

impl Stepper {
    fn new(session: &Session, view: &View) -> Result<Stepper, Fault> {
        let mut look = Look::compute(session, view)?;
        look.engine.begin_backward(look.objective);
        Ok(Stepper { view: view.clone(), next: Some(look.objective), look })
    }

    /// Hands on until it is this tensor's turn; from the beginning, if that is over.
    fn come_to(&mut self, tensor: Id) {
        if self.next.is_none_or(|next| next < tensor) {
            self.look.engine.begin_backward(self.look.objective);
            // That of the parameters has been added to.
            self.look.engine.slices().1.fill(0.0);
            self.next = Some(self.look.objective);
        }
        while self.next.is_some_and(|next| next > tensor) {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        if let Some(id) = self.next {
            self.look.engine.hand_on(id);
            self.next = id.0.checked_sub(1).map(Id);
        }
    }
}

/// The list of operations.
///
/// # Errors
/// A view that is none.
pub fn ops(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let (from, count) =
        (fields.whole("from")?.unwrap_or(0), fields.whole("count")?.unwrap_or(10_000).min(10_000));
    fields.end()?;
    let look = session.look(&view)?;
    let look = lock(&look);
    let plan = Plan::of(session, &view, &look);
    let range = from.min(plan.total())..from.saturating_add(count).min(plan.total());
    let ops = range.map(|at| op_json(session, &look, at, plan.at(at)?)).collect::<Result<Vec<_>, Fault>>()?;
    Ok(json!({
        "step": view.step, "total": plan.total(), "forward": plan.forward, "backward": plan.backward,
        "update": plan.update, "parts": look.parts, "from": from, "ops": ops,
    }))
}

fn op_json(session: &Session, look: &Look, number: usize, at: At) -> Result<Json, Fault> {
    let (At::Forward(id) | At::Backward(id)) = at else {
        let At::Update(matrix) = at else { unreachable!("the other one") };
        let matrix = &session.layout().matrices()[matrix];
        let rule = session.settings.config.optimizer.to_string();
        return Ok(json!({
            "at": number, "phase": "update", "op": rule, "tensor": null, "name": matrix.name, "label": matrix.name,
            "layer": layer_of(&matrix.name), "shape": [matrix.shape.rows, matrix.shape.cols], "inputs": [],
            "source": source::line("crates/microgpt/src/train.rs", "self.optimiser.step(", Some("param.data -=")),
        }));
    };
    let node = &look.nodes[id.0 as usize];
    let name = node.label.map(|label| label.to_string());
    let mut line = source::of(session, look, id);
    if let (At::Backward(_), Json::Object(line)) = (at, &mut line) {
        let engine = "crates/microgpt/src/engine/scalar/backward.rs";
        line.insert(
            "backward".into(),
            source::line(engine, &backward_arm(node.op), Some("grads[a.0 as usize] +=")),
        );
    }
    Ok(json!({
        "at": number, "phase": at.phase(), "op": op_name(node.op), "tensor": id.0, "name": name,
        "label": title(session, node), "layer": layer_at(look, id), "shape": [node.shape.rows, node.shape.cols],
        "inputs": inspect::operands(node.op).iter().map(|id| id.0).collect::<Vec<_>>(), "source": line,
    }))
}

/// How the arm of an operation begins in the engine's source.
fn backward_arm(op: Op) -> String {
    let debug = format!("{op:?}");
    let name: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
    match op {
        // The arm before it plants a mistake.
        Op::Pow { .. } => "Op::Pow { x, exponent }".to_string(),
        _ => format!("Op::{name}"),
    }
}

fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("layer")?.split_once('.')?.0.parse().ok()
}

/// The layer that an operation belongs to: that of the first tensor with a name that comes of it.
fn layer_at(look: &Look, id: Id) -> Option<usize> {
    let op = look.nodes[id.0 as usize].op;
    if let Op::Param { .. } = op {
        let user = look.nodes.iter().find(|node| inspect::operands(node.op).contains(&id))?;
        return layer_at(look, user.id);
    }
    look.nodes[id.0 as usize..].iter().find_map(|node| node.label)?.layer
}

/// The state after one operation.
///
/// # Errors
/// A view or a number that is none.
pub fn op(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let at = needed(fields.whole("at")?, "at")?;
    let (rows, cols) = (range(&mut fields, "rows")?, range(&mut fields, "cols")?);
    fields.end()?;
    let looked = session.look(&view)?;
    let (plan, op) = {
        let look = lock(&looked);
        let plan = Plan::of(session, &view, &look);
        (plan, op_json(session, &look, at, plan.at(at)?)?)
    };
    let mut answer = json!({"at": at, "total": plan.total(), "phase": op["phase"], "op": op, "tensor": null, "inputs": [], "gradient_norms": null, "update": null});
    match plan.at(at)? {
        At::Forward(id) => {
            let look = lock(&looked);
            answer["tensor"] = table(session, &look, id, rows, cols, false);
            let inputs = inspect::operands(look.nodes[id.0 as usize].op);
            answer["inputs"] =
                inputs.iter().map(|&id| table(session, &look, id, None, None, false)).collect();
        }
        At::Backward(id) => {
            let mut slot = lock(&session.stepper);
            if slot.as_ref().is_none_or(|stepper| stepper.view != view) {
                *slot = Some(Stepper::new(session, &view)?);
            }
            let Some(stepper) = slot.as_mut() else { return Err(Fault::conflict("no stepper")) };
            stepper.come_to(id);
            let inputs = inspect::operands(stepper.look.nodes[id.0 as usize].op);
            let before: Vec<Json> =
                inputs.iter().map(|&id| table(session, &stepper.look, id, None, None, true)).collect();
            stepper.hand_on();
            let look = &stepper.look;
            answer["tensor"] = table(session, look, id, rows, cols, true);
            let after = inputs.iter().zip(before).map(|(&id, before)| {
                let mut table = table(session, look, id, None, None, true);
                table["grads_before"] = before["grads"].clone();
                table
            });
            answer["inputs"] = after.collect();
            let norms = inspect::gradient_norms(session.layout(), stepper.look.engine.slices().1);
            answer["gradient_norms"] =
                norms.into_iter().map(|(name, norm)| json!({"name": name, "norm": number(norm)})).collect();
        }
        At::Update(matrix) => answer["update"] = update(session, &view, matrix, rows, cols)?,
    }
    Ok(answer)
}

/// A window of a tensor, with its gradients as they are now.
fn table(
    session: &Session,
    look: &Look,
    id: Id,
    rows: Option<Range<usize>>,
    cols: Option<Range<usize>>,
    grad: bool,
) -> Json {
    let node: &Node = &look.nodes[id.0 as usize];
    // What is not asked for is shown as far as it fits on a page.
    let few = |range: Option<Range<usize>>, len: usize| Some(range.unwrap_or(0..len.min(64)));
    let window = Window::of(node.shape, few(rows, node.shape.rows), few(cols, node.shape.cols));
    let (values, grads) = Source::whole(id, node.shape).read(look, &window.rows, &window.cols, grad);
    json!({
        "tensor": id.0, "name": node.label.map(|label| label.to_string()), "label": title(session, node),
        "shape": [node.shape.rows, node.shape.cols],
        "rows": [window.rows.start, window.rows.end], "cols": [window.cols.start, window.cols.end],
        "values": values, "grads": grads,
    })
}

/// What the update makes of a matrix.
fn update(
    session: &Session,
    view: &View,
    matrix: usize,
    rows: Option<Range<usize>>,
    cols: Option<Range<usize>>,
) -> Result<Json, Fault> {
    let matrix = &session.layout().matrices()[matrix];
    let few = |range: Option<Range<usize>>, len: usize| Some(range.unwrap_or(0..len.min(64)));
    let Window { rows, cols } =
        Window::of(matrix.shape, few(rows, matrix.shape.rows), few(cols, matrix.shape.cols));
    let (before, after) = (session.weights(view.step)?, session.weights_after(view.step)?);
    let wide = matrix.shape.cols;
    let pick = |get: &dyn Fn(usize) -> f64| -> Json {
        let row =
            |row: usize| crate::json::numbers(cols.clone().map(|col| get(matrix.offset + row * wide + col)));
        rows.clone().map(row).collect::<Vec<_>>().into()
    };
    let mut grads = vec![0.0; session.layout().len()];
    let mut part = 0;
    loop {
        let looked = session.look(&View { subject: Subject::Batch(part), edits: Vec::new(), ..view.clone() });
        // Of few documents, the last parts may be empty.
        if let Ok(looked) = looked {
            let mut look = lock(&looked);
            look.grade();
            grads.iter_mut().zip(look.engine.slices().1.iter()).for_each(|(sum, grad)| *sum += grad);
            part += 1;
            if part < look.parts {
                continue;
            }
        }
        break;
    }
    let config = lock(&session.state).config.clone();
    Ok(json!({
        "name": matrix.name, "shape": [matrix.shape.rows, wide], "rows": [rows.start, rows.end], "cols": [cols.start, cols.end],
        "before": pick(&|i| before.get(i)), "after": pick(&|i| after.get(i)), "grads": pick(&|i| grads[i]),
        "lr": number(config.rate(view.step)), "rule": config.optimizer.to_string(),
    }))
}

/// What to stop at.
enum On {
    Op(String),
    Layer(usize),
    Name(String),
    Phase(String),
    Condition(Condition, String),
}

impl On {
    fn read(mut fields: Fields) -> Result<On, Fault> {
        let on = if let Some(op) = fields.text("op")? {
            On::Op(op)
        } else if let Some(layer) = fields.whole("layer")? {
            On::Layer(layer)
        } else if let Some(name) = fields.text("name")? {
            On::Name(name)
        } else if let Some(phase) = fields.text("phase")? {
            On::Phase(phase)
        } else if let Some(text) = fields.text("condition")? {
            let condition = Condition::parse(&text)
                .map_err(|mistake| Fault::wrong(format!("condition: {}", mistake.text)))?;
            On::Condition(condition, text)
        } else {
            return Err(Fault::wrong("on: expected op, layer, name, phase or condition, found none"));
        };
        fields.end()?;
        Ok(on)
    }
}

/// The next operation that something holds for, or the one before.
///
/// # Errors
/// A view or a condition that is none.
pub fn stop(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let view = View::take(&mut fields, session)?;
    let at = fields.whole("at")?;
    let back = fields.truth("back")?.unwrap_or(false);
    let on = fields.object("on")?;
    let on = On::read(on.ok_or_else(|| Fault::wrong("on: expected a value, found none"))?)?;
    fields.end()?;
    let looked = session.look(&view)?;
    let (plan, hits, why) = match on {
        On::Condition(condition, text) => {
            let plan = Plan::of(session, &view, &lock(&looked));
            (plan, begins(session, &view, plan, &condition)?, text)
        }
        on => {
            let look = lock(&looked);
            let plan = Plan::of(session, &view, &look);
            let all = (0..plan.total())
                .map(|at| op_json(session, &look, at, plan.at(at)?))
                .collect::<Result<Vec<_>, _>>()?;
            let is = |op: &Json| match &on {
                On::Op(name) => op["op"] == name[..],
                On::Layer(layer) => op["layer"] == *layer,
                On::Name(name) => {
                    op["name"] == name[..]
                        || op["label"]
                            .as_str()
                            .is_some_and(|label| label.split(" + ").any(|part| part == name))
                }
                On::Phase(phase) => op["phase"] == phase[..],
                On::Condition(..) => false,
            };
            let hits: Vec<usize> = (0..all.len()).filter(|&at| is(&all[at])).collect();
            let hits = match on {
                // A phase and a layer are stopped at where they begin.
                On::Phase(_) | On::Layer(_) => {
                    hits.iter().copied().filter(|&at| at == 0 || !is(&all[at - 1])).collect()
                }
                _ => hits,
            };
            let why = match on {
                On::Op(name) | On::Name(name) | On::Phase(name) => name,
                On::Layer(layer) => format!("layer {layer}"),
                On::Condition(_, text) => text,
            };
            (plan, hits, why)
        }
    };
    let at = at.map(|at| at.min(plan.total()));
    let found = match (back, at) {
        (false, None) => hits.first(),
        (false, Some(at)) => hits.iter().find(|&&hit| hit > at),
        (true, at) => hits.iter().rev().find(|&&hit| hit < at.unwrap_or(usize::MAX)),
    };
    Ok(json!({"at": found, "why": found.map(|_| why), "total": plan.total()}))
}

/// After which operations a condition begins to hold.
fn begins(session: &Session, view: &View, plan: Plan, condition: &Condition) -> Result<Vec<usize>, Fault> {
    let mut stepper = Stepper::new(session, view)?;
    for name in condition.names() {
        if stepper.look.find(name).is_none() && session.layout().find(name).is_none() {
            return Err(Fault::missing(format!("condition: expected a tensor or matrix, found {name:?}")));
        }
    }
    let loss = stepper.look.engine.number(stepper.look.loss, 0, 0);
    let step = Step { step: view.step, loss, lr: lock(&session.state).config.rate(view.step) };
    let (mut hits, mut held) = (Vec::new(), false);
    for at in 0..plan.forward + plan.backward {
        let (done, graded) = match plan.at(at)? {
            At::Forward(id) => (id, false),
            At::Backward(id) => {
                stepper.come_to(id);
                stepper.hand_on();
                (Id(u32::MAX), true)
            }
            At::Update(_) => break,
        };
        let look = &mut stepper.look;
        let mut lookup = |name: &str, grad: bool| {
            if grad && !graded {
                return None;
            }
            if let Some(matrix) = session.layout().find(name) {
                let (params, grads) = look.engine.slices();
                let numbers = &if grad { grads } else { params }[matrix.range()];
                return Some((matrix.shape, numbers.to_vec()));
            }
            let node = look.find(name).filter(|node| node.id <= done)?;
            let (id, shape): (Id, Shape) = (node.id, node.shape);
            Some((shape, if grad { look.engine.grads(id) } else { look.engine.values(id) }))
        };
        let holds = condition.holds_so_far(&mut lookup, &step, &mut None)?;
        if holds && !held {
            hits.push(at);
        }
        held = holds;
    }
    Ok(hits)
}
