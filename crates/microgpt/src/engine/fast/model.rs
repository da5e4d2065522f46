//! The whole model as one operation: decoding, a token of each sample at a time.

use super::layer::kernel;
use super::{Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::attention::Place;
use microgpt_kernels::layer::{Memory, decode};
use microgpt_kernels::sample;

/// The kernel's plan for the model that `op` is, if it serves.
fn plan(op: Op) -> Option<decode::Plan> {
    let Op::Model { positions, outputs, layers, channels, .. } = op else {
        unreachable!("{op:?} is no model")
    };
    let [positions, outputs, layers, channels] = [positions, outputs, layers, channels].map(|n| n as usize);
    kernel(op, channels).and_then(|layer| decode::Model { layer, layers, outputs, positions }.plan())
}

impl Tape {
    /// The kernel's plan for the model that `op` is, made once: decoding asks for it token by token.
    #[inline]
    pub(super) fn plan(&mut self, op: Op) -> Option<&decode::Plan> {
        if !self.plan.as_ref().is_some_and(|(of, plan)| *of == op && plan.holds()) {
            self.plan = plan(op).map(|plan| (op, plan));
        }
        self.plan.as_ref().map(|(_, plan)| plan)
    }

    pub(super) fn model(&mut self, y: &Stored) {
        let Op::Model { tables: [tokens, places, head], layers_at, .. } = y.op else {
            unreachable!("{:?}", y.op)
        };
        let Some((_, plan)) = &self.plan else { unreachable!("a model that has a kernel") };
        let model = plan.model();
        let (c, layers) = (model.layer.channels, model.layers * model.layer.weights_len());
        let params = &self.params;
        let matrix = |offset: u32, len: usize| &params[offset as usize..offset as usize + len];
        let tables = [matrix(tokens, model.outputs * c), matrix(places, model.positions * c)];
        let packed = self.packed.get(layers_at as usize, plan.packed_len(), |packed| {
            decode::pack(plan, packed, tables, matrix(layers_at, layers), matrix(head, model.outputs * c));
        });
        let stride = self.memory_cols;
        let [k, v] = [0, 1].map(|slot| Place { offset: slot * self.memory_rows * stride, stride });
        // All the room of the logits: the kernel writes whole registers.
        let (out, kept) = self.values[y.start..y.kept + plan.scratch_len()].split_at_mut(y.kept - y.start);
        decode::forward(
            plan,
            out,
            tables,
            packed,
            [&self.batch.tokens, &self.batch.positions],
            &self.segments,
            Memory { data: &mut self.memory, k, v },
            kept,
        );
        self.turned = (decode::turned(self.segments.len()) > 0).then(|| Id(self.tensors.len() as u32 - 1));
    }

    /// Puts the logits that decoding has left turned around where they are looked for.
    #[inline]
    pub(super) fn settle(&mut self) {
        let Some(id) = self.turned.take() else { return };
        let Some((_, plan)) = &self.plan else { unreachable!("a model that has a kernel") };
        let y = self.tensors[id.0 as usize];
        let (out, kept) = self.values.split_at_mut(y.kept);
        decode::settle(plan, &mut out[y.all()], y.shape.rows, &mut kept[..plan.scratch_len()]);
    }

    /// Tokens drawn from these logits as they are, if they are turned around and a token is drawn from each row; false if
    /// they are no numbers.
    pub(super) fn draw_turned(
        &self,
        id: Id,
        rows: &[usize],
        temperature: f64,
        us: &[f64],
        found: &mut [u32],
    ) -> Option<bool> {
        let y = self.get(id);
        let (columns, turned) = (y.shape.cols, decode::turned(y.shape.rows));
        let each = rows.len() == y.shape.rows && rows.iter().enumerate().all(|(i, &row)| row == i);
        if self.turned != Some(id) || !each || columns > sample::MOST_TURNED {
            return None;
        }
        let (scale, (logits, rest)) =
            (temperature.recip() as f32, self.values[y.all()].split_at(turned * columns));
        let (found, found_rest) = found.split_at_mut(turned);
        let (us, us_rest) = us.split_at(turned);
        Some(
            sample::draw_turned(logits, columns, scale, us, found)
                && sample::draw(rest, columns, &rows[..us_rest.len()], scale, us_rest, found_rest),
        )
    }
}
