//! What a training step does to the weights. `measures`: how strongly each matrix was pulled in a step, and how far it moved.
//! `moved`: the life of one weight, and what made it what it is.

use crate::json::{Fields, Json, needed, number};
use crate::message::Fault;
use crate::names::{Place, find};
use crate::session::{Session, lock};
use crate::view::{Look, Subject, View};
use microgpt::batch::{Batch, Segment};
use microgpt::engine::scalar::Scalar;
use microgpt::inspect;
use microgpt::tensor::{Engine, Learner};
use serde_json::json;

/// How each matrix moved in a step: the length of its gradient, of the whole batch, before anything is clipped; and the
/// length of what it was changed by, as a part of its own. What training tells of its newest step, of any.
///
/// # Errors
/// A step that was not made.
pub fn measures(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let step = fields.whole("step")?.unwrap_or_else(|| session.last());
    fields.end()?;
    let last = session.last();
    if step < 1 || step > last {
        return Err(Fault::missing(format!("step: expected one from 1 to {last}, found {step}")));
    }
    let layout = session.layout();
    let mut grads = vec![0.0; layout.len()];
    each_part(session, step - 1, |look| {
        grads.iter_mut().zip(look.engine.slices().1).for_each(|(sum, g)| *sum += *g);
        Ok(())
    })?;
    let [before, after] = [session.weights(step - 1)?, session.weights(step)?];
    let length = |squares: f64| squares.sqrt();
    let ratio = |moved: f64, long: f64| if moved == 0.0 { 0.0 } else { length(moved / long) };
    let mut squares = [0.0; 3];
    let matrices: Vec<Json> = layout
        .matrices()
        .iter()
        .zip(inspect::gradient_norms(layout, &grads))
        .map(|(matrix, (name, gradient))| {
            let moved = matrix.range().map(|i| (after.get(i) - before.get(i)).powi(2)).sum::<f64>();
            let long = matrix.range().map(|i| after.get(i).powi(2)).sum::<f64>();
            squares.iter_mut().zip([gradient * gradient, moved, long]).for_each(|(sum, x)| *sum += x);
            json!({"name": name, "gradient": number(gradient), "update_ratio": number(ratio(moved, long))})
        })
        .collect();
    let [gradient, moved, long] = squares;
    Ok(json!({
        "step": step, "gradient": number(length(gradient)), "update_ratio": number(ratio(moved, long)), "matrices": matrices,
    }))
}

/// What training learns from after step `step`, forward and backward, part by part as it does.
fn each_part(
    session: &Session,
    step: usize,
    mut see: impl FnMut(&mut Look) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut part = 0;
    loop {
        let view = View { step, subject: Subject::Batch(part), next: None, edits: Vec::new() };
        let looked = session.look(&view)?;
        let mut look = lock(&looked);
        look.grade();
        see(&mut look)?;
        part += 1;
        if part >= look.parts {
            return Ok(());
        }
    }
}

/// A weight's life: its values, and the steps and documents that moved it most.
///
/// # Errors
/// A place that is none.
pub fn moved(session: &Session, mut fields: Fields) -> Result<Json, Fault> {
    let name = needed(fields.text("name")?, "name")?;
    let (row, col) = (needed(fields.whole("row")?, "row")?, needed(fields.whole("col")?, "col")?);
    let most = fields.whole("most")?.unwrap_or(10).min(50);
    fields.end()?;
    let matrix = session.layout().find(&name);
    let matrix = matrix.ok_or_else(|| Fault::missing(format!("name: expected a matrix, found {name:?}")))?;
    crate::edit::inside(matrix.shape, row, col)?;
    let place = matrix.offset + row * matrix.shape.cols + col;
    let path: Vec<(usize, f64)> = {
        let state = lock(&session.state);
        let steps: Vec<usize> = state.history.steps().collect();
        steps.into_iter().filter_map(|step| Some((step, state.history.get(step)?.get(place)))).collect()
    };
    let mut jumps: Vec<[(usize, f64); 2]> = path.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    let by = |jump: &[(usize, f64); 2]| (jump[1].1 - jump[0].1).abs();
    jumps.sort_by(|a, b| by(b).total_cmp(&by(a)));
    jumps.truncate(most);
    let mut told = Vec::new();
    for (i, [(since, from), (step, to)]) in jumps.into_iter().enumerate() {
        let mut jump = json!({"step": step, "from": number(from), "to": number(to), "by": number(to - from), "grad": null, "documents": []});
        if step - since > 1 {
            jump["since"] = since.into();
        } else if session.replay.is_ok() && i < 10 {
            let (grad, documents) = shares(session, since, &name, row, col)?;
            (jump["grad"], jump["documents"]) = (number(grad), documents.into());
        }
        told.push(jump);
    }
    let (steps, values): (Vec<usize>, Vec<f64>) = path.into_iter().unzip();
    Ok(json!({
        "name": name, "row": row, "col": col,
        "path": {"step": steps, "value": crate::json::numbers(values)}, "moved": told,
    }))
}

/// The gradient of a weight in the step after `step`, and the part of each document.
fn shares(
    session: &Session,
    step: usize,
    name: &str,
    row: usize,
    col: usize,
) -> Result<(f64, Vec<Json>), Fault> {
    let batch_size = lock(&session.state).config.batch_size;
    let (mut total, mut documents) = (0.0, Vec::new());
    each_part(session, step, |look| {
        let place = find(session, look, name, row, col)?;
        let wide = look.engine.nodes()[place.tensor.0 as usize].shape.cols;
        let grad = look.engine.grads(place.tensor)[place.row * wide + place.col];
        total += grad;
        let texts = crate::view::texts(session, &look.batch);
        for (segment, text) in look.batch.segments.clone().iter().zip(texts) {
            // One document alone is the whole gradient; of several, each goes through by itself.
            let own = if look.batch.segments.len() == 1 {
                grad
            } else {
                alone(session, look, step, segment, place, wide)
            };
            documents.push((step * batch_size + segment.number, text, own));
        }
        Ok(())
    })?;
    documents.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
    documents.truncate(20);
    let json = |(at, text, grad): (usize, String, f64)| json!({"at": at, "text": text, "grad": number(grad)});
    Ok((total, documents.into_iter().map(json).collect()))
}

/// The gradient of a parameter if only this document counts, its loss divided as in the whole batch.
fn alone(session: &Session, look: &Look, step: usize, segment: &Segment, place: Place, wide: usize) -> f64 {
    let rows = segment.start..segment.start + segment.len;
    let mut batch = Batch::default();
    batch.tokens.extend_from_slice(&look.batch.tokens[rows.clone()]);
    batch.positions.extend_from_slice(&look.batch.positions[rows.clone()]);
    batch.targets.extend_from_slice(&look.batch.targets[rows]);
    batch.segments.push(Segment { start: 0, ..*segment });
    batch.loss_rows = look.batch.loss_rows;
    let mut engine = Scalar::new(look.engine.params().to_vec());
    engine.begin(&batch);
    engine.leave_to(microgpt::rng::mix(session.settings.config.seed, step as u64));
    let [_, objective] = session.model.loss(&engine, &batch).map(|tensor| tensor.id());
    engine.backward(objective);
    engine.grads(place.tensor)[place.row * wide + place.col]
}
