//! The whole model as one operation: decoding, a token of each sample at a time.

use super::layer::kernel;
use super::{Stored, Tape};
use crate::tensor::Op;
use microgpt_kernels::attention::Place;
use microgpt_kernels::layer::{Memory, decode};

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
    }
}
