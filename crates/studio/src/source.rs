//! The lines of source that compute a number: those of the library, which the engine remembers, and that of
//! `microgpt.rs` that computes the same.

use crate::json::Json;
use crate::message::Fault;
use crate::session::Session;
use crate::view::Look;
use microgpt::inspect;
use microgpt::op::{Id, Op};
use microgpt::tensor::{Engine, Node};
use serde_json::json;

macro_rules! files {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("../../../", $path)))),+] };
}

/// The sources that are shown.
const FILES: &[(&str, &str)] = files![
    "microgpt.rs",
    "crates/microgpt/src/train.rs",
    "crates/microgpt/src/model/mod.rs",
    "crates/microgpt/src/model/gpt.rs",
    "crates/microgpt/src/model/layer.rs",
    "crates/microgpt/src/model/attention.rs",
    "crates/microgpt/src/model/mlp.rs",
    "crates/microgpt/src/model/branch.rs",
    "crates/microgpt/src/model/linear.rs",
    "crates/microgpt/src/model/norm.rs",
    "crates/microgpt/src/model/bigram.rs",
    "crates/microgpt/src/model/bigram_counts.rs",
    "crates/microgpt/src/model/context_mlp.rs",
    "crates/microgpt/src/model/recurrent.rs",
    "crates/microgpt/src/tensor.rs",
    "crates/microgpt/src/tensor/attention.rs",
    "crates/microgpt/src/tensor/position.rs",
    "crates/microgpt/src/norm/mod.rs",
    "crates/microgpt/src/norm/rmsnorm.rs",
    "crates/microgpt/src/norm/rmsnorm_gain.rs",
    "crates/microgpt/src/norm/layernorm.rs",
    "crates/microgpt/src/norm/dynamic_tanh.rs",
    "crates/microgpt/src/norm/none.rs",
    "crates/microgpt/src/engine/scalar/forward.rs",
    "crates/microgpt/src/engine/scalar/backward.rs",
    "crates/microgpt/src/optim/mod.rs",
    "crates/microgpt/src/optim/adam.rs",
];

/// The lines of one file, or the names of all.
///
/// # Errors
/// A file that is not shown.
pub fn source(file: Option<&str>) -> Result<Json, Fault> {
    let Some(file) = file else {
        return Ok(json!({"files": FILES.iter().map(|(name, _)| name).collect::<Vec<_>>()}));
    };
    let found = FILES.iter().find(|(name, _)| *name == file);
    let (name, text) =
        found.ok_or_else(|| Fault::missing("file: expected one of /api/v1/source, found another"))?;
    Ok(json!({"file": name, "lines": text.lines().collect::<Vec<_>>()}))
}

/// The fields of such a request's query.
///
/// # Errors
/// As [`source`].
pub fn answer(request: &crate::message::Request) -> Result<Json, Fault> {
    source(request.query("file").as_deref())
}

/// Line `line` (from 1) of a file that is shown.
fn line_of(file: &str, line: usize) -> Option<&'static str> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == file)?;
    text.lines().nth(line.checked_sub(1)?)
}

/// Where a piece of text stands in a file, first.
fn find(file: &str, piece: &str) -> Option<(usize, &'static str)> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == file)?;
    text.lines().enumerate().find(|(_, line)| line.contains(piece)).map(|(i, line)| (i + 1, line))
}

/// As answers tell the line that computed a tensor.
pub fn of(session: &Session, look: &Look, tensor: Id) -> Json {
    let Some(location) = look.engine.line_of(tensor) else { return Json::Null };
    let file = location.file().replace('\\', "/");
    // However the library was built, from where its sources begin.
    let file = file.rfind("crates/microgpt/src/").map_or(file.clone(), |start| file[start..].to_string());
    let line = location.line() as usize;
    let text = line_of(&file, line).map(str::trim);
    let microgpt = match session.settings.config.model {
        microgpt::family::Family::Gpt => counterpart(look, tensor),
        _ => None,
    };
    let microgpt = microgpt.and_then(|piece| find("microgpt.rs", piece));
    json!({
        "file": file, "line": line, "text": text,
        "microgpt": microgpt.map(|(line, text)| json!({"line": line, "text": text.trim()})),
    })
}

/// The line of `microgpt.rs` that computes the same as this tensor, by a piece of it that stands nowhere else.
fn counterpart(look: &Look, tensor: Id) -> Option<&'static str> {
    let node = look.nodes.get(tensor.0 as usize)?;
    let name = |node: &Node| node.label.map_or("", |label| label.name);
    let input = |i: usize| inspect::operands(node.op).get(i).and_then(|id| look.nodes.get(id.0 as usize));
    let input_name = |i: usize| input(i).map_or("", name);
    // The first tensor with a name that is made of this one: what it is a part of.
    let end = look.nodes[tensor.0 as usize..].iter().find(|node| node.label.is_some());
    let end = end.map_or("", name);
    Some(match (node.op, name(node), end) {
        (Op::Gather { .. }, ..) => "rmsnorm(&add(&self.wte[token], &self.wpe[position]))",
        (Op::Add(..), _, "embedded") if input_name(0) == "token" => {
            "rmsnorm(&add(&self.wte[token], &self.wpe[position]))"
        }
        (Op::Dot(..) | Op::Affine { .. }, _, "embedded" | "attn_norm" | "mlp_norm")
            if matches!(node.op, Op::Dot(..)) =>
        {
            "let mean_square = dot(x, x)"
        }
        (Op::Affine { .. } | Op::Pow { .. }, _, "embedded" | "attn_norm" | "mlp_norm") => {
            "let scale = (mean_square"
        }
        (Op::Mul(..), "embedded" | "attn_norm" | "mlp_norm", _) => "x.iter().map(|&x| x * scale)",
        (Op::Linear { .. } | Op::Columns { .. }, _, "q") => "let query = linear(&n, wq)",
        (Op::Columns { .. }, _, "k") => "keys.push(linear(&n, wk))",
        (Op::Columns { .. }, _, "v") => "values.push(linear(&n, wv))",
        (Op::Scores { .. }, _, "attn_scores") | (Op::Affine { .. }, "attn_scores", _) => {
            "let score = |key: &Vector|"
        }
        (Op::OffMax(_) | Op::Exp(_), _, "attn_weights") => "let exps: Vector = logits.iter()",
        (Op::Sum(_), _, "attn_weights") => "let total: Value = exps.iter()",
        (Op::Div(..), "attn_weights", _) => "exps.iter().map(|&e| e / total)",
        (Op::Mix { .. }, "attn_found", _) => "found.extend(head.map(",
        (Op::Linear { .. }, _, "stream_mid") | (Op::Add(..), "stream_mid", _) => {
            "x = add(&linear(&found, wo), &x)"
        }
        (Op::Linear { .. }, "mlp_hidden", _) | (Op::Activate { .. }, "mlp_active", _) => {
            "let hidden: Vector = linear(&rmsnorm(&x), fc1)"
        }
        (Op::Linear { .. }, _, "stream") | (Op::Add(..), "stream", _) => "x = add(&linear(&hidden, fc2), &x)",
        (Op::Linear { .. }, "logits", _) => "linear(&x, &self.lm_head)",
        (Op::OffMax(_) | Op::Exp(_), _, "losses") => "let exps: Vector = logits.iter()",
        (Op::Sum(_), _, "losses") => "let total: Value = exps.iter()",
        (Op::Pick { .. } | Op::Div(..), _, "losses") => "let probs = softmax(&model.forward",
        (Op::Ln(_) | Op::Affine { .. }, _, "losses") => "losses.push(-probs[tokens[position + 1]].log())",
        (Op::Total(_) | Op::Affine { .. }, _, "loss") => "let loss = losses.into_iter().sum::<Value>()",
        _ => return None,
    })
}

/// A line of a source by a piece of it, for what no tensor stands for.
pub fn line(file: &str, piece: &str, microgpt: Option<&str>) -> Json {
    let (line, text) = find(file, piece).unwrap_or_default();
    let beside = microgpt.and_then(|piece| find("microgpt.rs", piece));
    json!({
        "file": file, "line": line, "text": text.trim(),
        "microgpt": beside.map(|(line, text)| json!({"line": line, "text": text.trim()})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece that stood twice could be the wrong line.
    #[test]
    fn every_piece_of_microgpt_stands_there_once() {
        let own = include_str!("source.rs");
        let start = own.find("Some(match (node.op").unwrap();
        let table = &own[start..start + own[start..].find("_ => return None").unwrap()];
        let pieces: Vec<&str> =
            table.split('"').skip(1).step_by(2).filter(|piece| piece.contains(['(', ' '])).collect();
        assert!(pieces.len() > 20, "{pieces:?}");
        for piece in pieces {
            let lines = FILES[0].1.lines().filter(|line| line.contains(piece)).count();
            assert_eq!(lines, 1, "{piece}");
        }
        let marks =
            [("crates/microgpt/src/train.rs", "self.optimiser.step("), ("microgpt.rs", "param.data -=")];
        assert!(marks.iter().all(|(file, piece)| find(file, piece).is_some()));
        assert!(source(Some("Cargo.toml")).is_err() && source(Some("../../Cargo.toml")).is_err());
    }
}
