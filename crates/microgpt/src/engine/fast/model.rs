//! The whole model as one operation: decoding, a token of each sample at a time.

use super::layer::kernel;
use super::{Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::attention::Place;
use microgpt_kernels::layer::{Memory, decode};
use microgpt_kernels::sample;

/// The kernel's name for the model that `op` is, if its activation has one.
pub(super) fn decoder(op: Op) -> Option<decode::Model> {
    let Op::Model { positions, outputs, layers, channels, .. } = op else {
        unreachable!("{op:?} is no model")
    };
    let [positions, outputs, layers, channels] = [positions, outputs, layers, channels].map(|n| n as usize);
    kernel(op, channels).map(|layer| decode::Model { layer, layers, outputs, positions })
}

impl Tape {
    pub(super) fn model(&mut self, y: &Stored) {
        let Op::Model { tables: [tokens, places, head], layers_at, .. } = y.op else {
            unreachable!("{:?}", y.op)
        };
        let model = decoder(y.op).expect("a model that has a kernel");
        let (c, layers) = (model.layer.channels, model.layers * model.layer.weights_len());
        let params = &self.params;
        let matrix = |offset: u32, len: usize| &params[offset as usize..offset as usize + len];
        let tables = [matrix(tokens, model.outputs * c), matrix(places, model.positions * c)];
        let packed = self.packed.get(layers_at as usize, model.packed_len(), |packed| {
            decode::pack(&model, packed, tables, matrix(layers_at, layers), matrix(head, model.outputs * c));
        });
        let stride = self.memory_cols;
        assert_eq!(stride, c, "decode: memories of rows of the model");
        let [k, v] = [0, 1].map(|slot| Place { offset: slot * self.memory_rows * stride, stride });
        let scratch = y.kept..y.kept + model.scratch_len();
        // All the room of the logits: the kernel writes whole registers.
        let (out, kept) = self.values[y.start..scratch.end].split_at_mut(y.kept - y.start);
        decode::forward(
            &model,
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
        let y = self.get(id);
        let model = decoder(y.op).expect("a model that has a kernel");
        let (out, kept) = self.values.split_at_mut(y.kept);
        decode::settle(&model, &mut out[y.all()], y.shape.rows, &mut kept[..model.scratch_len()]);
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
