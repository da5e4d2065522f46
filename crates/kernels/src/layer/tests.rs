use super::*;
use crate::level::{Level, at_each};
use crate::test::{assert_close, numbers};

fn documents(lengths: &[usize]) -> Vec<Segment> {
    let mut start = 0;
    let segment = |&q_len: &usize| {
        start += q_len;
        Segment { q_start: start - q_len, q_len, kv_start: start - q_len, past: 0 }
    };
    lengths.iter().map(segment).collect()
}

/// Layers that this level has the kernel for, and weights.
fn layers() -> Vec<(Layer, Vec<f32>)> {
    let lanes = level::current().lanes();
    let mut all = Vec::new();
    for channels in [lanes, 2 * lanes] {
        for (heads, hidden, activation) in [
            (4, 4 * channels, Activation::Relu),
            (1, 2 * lanes, Activation::Gelu),
            (channels, 6 * lanes, Activation::SquaredRelu),
            (2, 4 * channels, Activation::Silu),
        ] {
            let layer = Layer { channels, heads, hidden, activation };
            let scale = 1.5 / (channels as f32).sqrt();
            let weights = numbers(layer.weights_len(), 7).iter().map(|w| w * scale).collect();
            all.push((layer, weights));
        }
    }
    all
}

#[test]
fn a_layer_is_its_definition() {
    at_each(|level| {
        for (layer, weights) in layers() {
            for lengths in [&[1][..], &[7], &[16, 1, 3, 16, 15, 2], &[1, 1, 1, 0, 2], &[]] {
                let segments = documents(lengths);
                if !layer.fits(&segments) {
                    continue; // a head that is wider than a register
                }
                let what = format!("{level:?} {layer:?} {lengths:?}");
                let rows: usize = lengths.iter().sum();
                let c = layer.channels;
                let (x, dout) = (numbers(rows * c, 1), numbers(rows * c, 2));
                let wanted = naive::forward(&layer, &x, &weights, &segments);
                let (dx2, dw2) = naive::backward(&layer, &dout, &x, &wanted, &weights, &segments);

                let (mut out, mut kept) = (vec![0.0; rows * c], vec![0.0; layer.kept_len(rows, &segments)]);
                let mut packed = vec![0.0; weights.len()];
                pack(&layer, &mut packed, &weights);
                forward(&layer, &mut out, &mut kept, &x, &packed, &segments, None);
                assert_close(&out, &wanted.out, 1e-5, &what);

                let mut scratch = vec![f32::NAN; layer.scratch_len()];
                for accumulate in [false, true] {
                    let (mut dx, mut dw) = (numbers(rows * c, 3), vec![1.0; weights.len()]);
                    let mut dx2 = dx2.clone();
                    if accumulate {
                        dx2.iter_mut().zip(&dx).for_each(|(new, old)| *new += old);
                    }
                    let dw2: Vec<f32> = dw2.iter().map(|w| w + 1.0).collect();
                    backward(
                        &layer,
                        &mut dx,
                        accumulate,
                        &mut dw,
                        &dout,
                        &weights,
                        &kept,
                        &segments,
                        &mut scratch,
                    );
                    assert_close(&dx, &dx2, 2e-5, &format!("dx, {what}"));
                    assert_close(&dw, &dw2, 2e-5, &format!("dw, {what}"));
                }
            }
        }
    });
}

/// Decoding, token by token and in blocks, of two documents at once, sees what the whole pass sees.
#[test]
fn a_memory_changes_nothing() {
    at_each(|level| {
        for (layer, weights) in layers() {
            let (c, t) = (layer.channels, 11);
            let whole = documents(&[t, t]);
            if !layer.fits(&whole) {
                continue;
            }
            let x = numbers(2 * t * c, 1);
            let wanted = naive::forward(&layer, &x, &weights, &whole).out;
            let mut packed = vec![0.0; weights.len()];
            pack(&layer, &mut packed, &weights);
            for step in [1, 2, 5] {
                let mut memory = vec![0.0; 4 * 16 * c];
                let mut found = vec![0.0; 2 * t * c];
                for past in (0..t).step_by(step) {
                    let len = step.min(t - past);
                    let segments =
                        [0, 1].map(|i| Segment { q_start: i * len, q_len: len, kv_start: i * 16, past });
                    let now: Vec<f32> =
                        [0, 1].iter().flat_map(|i| &x[(i * t + past) * c..][..len * c]).copied().collect();
                    let (mut out, mut kept) =
                        (vec![0.0; 2 * len * c], vec![0.0; layer.kept_len(2 * len, &segments)]);
                    let tables = [0, 32 * c].map(|offset| Place { offset, stride: c });
                    let memory = Memory { data: &mut memory, k: tables[0], v: tables[1] };
                    forward(&layer, &mut out, &mut kept, &now, &packed, &segments, Some(memory));
                    for i in 0..2 {
                        found[(i * t + past) * c..][..len * c]
                            .copy_from_slice(&out[i * len * c..][..len * c]);
                    }
                }
                assert_close(&found, &wanted, 1e-5, &format!("{level:?} {layer:?}, {step} at a time"));
            }
        }
    });
}

#[test]
#[should_panic(expected = "should begin at row 2")]
fn a_gap_between_documents_is_told() {
    at_each(|level| {
        for c in widths(level) {
            let layer = Layer { channels: c, heads: c, hidden: 2 * c, activation: Activation::Relu };
            let mut segments = documents(&[2, 2]);
            segments[1].q_start = 3;
            forward(&layer, &mut [], &mut [], &vec![0.0; 4 * c], &[], &segments, None);
        }
        assert!(
            level.fuses() || level != Level::best(),
            "should begin at row 2, but no level here has the kernel"
        );
    });
}

/// One register and two, where the level has such kernels.
fn widths(level: Level) -> Vec<usize> {
    let widths = [level.lanes(), 2 * level.lanes()];
    assert!(widths.iter().all(|&c| embed::fits(c) == level.fuses()));
    if level.fuses() { widths.into() } else { Vec::new() }
}

#[test]
fn embedding_is_its_definition() {
    at_each(|level| {
        for c in widths(level) {
            for t in [0, 1, 2, 17] {
                let what = format!("{level:?} [{t}, {c}]");
                let (tables, dy) = (numbers(12 * c, 1), numbers(t * c, 2));
                let tokens: Vec<u32> = (0..t).map(|r| (r * 5 % 7) as u32).collect();
                let places: Vec<u32> = (0..t).map(|r| (r % 5) as u32).collect();
                let (mut y, mut k) = (vec![0.0; t * c], vec![0.0; t]);
                let (mut y2, mut k2) = (y.clone(), k.clone());
                let (first, second) = tables.split_at(7 * c);
                embed::forward(&mut y, &mut k, first, second, &tokens, &places);
                embed::naive::forward(&mut y2, &mut k2, first, second, &tokens, &places);
                assert_close(&y, &y2, 1e-6, &what);
                assert_close(&k, &k2, 1e-6, &what);
                let (mut grads, mut grads2) = (numbers(12 * c, 3), numbers(12 * c, 3));
                embed::backward(&mut grads, [0..7 * c, 7 * c..12 * c], &dy, &y2, &k2, &tokens, &places);
                embed::naive::backward(&mut grads2, [0, 7 * c], &dy, &y2, &k2, &tokens, &places);
                assert_close(&grads, &grads2, 1e-5, &what);
            }
        }
    });
}

#[test]
#[should_panic(expected = "row 3 of")]
fn a_row_behind_the_table_is_told() {
    at_each(|level| {
        let c = level.lanes();
        if level.fuses() {
            embed::forward(&mut vec![0.0; c], &mut [0.0], &vec![0.0; 3 * c], &vec![0.0; c], &[3], &[0]);
        }
        assert!(level.fuses() || level != Level::best(), "row 3 of no table: no level here has the kernel");
    });
}

#[test]
fn a_head_is_its_definition() {
    use crate::matmul;
    at_each(|level| {
        for c in widths(level) {
            for (t, v) in [(0, 3), (1, 1), (1, 27), (7, 27), (5, 16), (18, 65), (2, 33), (3, 100)] {
                let head = head::Head { channels: c, outputs: v };
                let what = format!("{level:?} {head:?} {t}");
                let (x, w, dy) = (numbers(t * c, 1), numbers(v * c, 2), numbers(t * v, 3));
                let (mut y, mut y2, mut packed) =
                    (vec![0.0; t * v], vec![0.0; t * v], vec![f32::NAN; head.packed_len()]);
                head::pack(&head, &mut packed, &w);
                head::forward(&head, &mut y, &x, &packed);
                matmul::naive::linear(&mut y2, &x, &w, t, c, v, false);
                assert_close(&y, &y2, 1e-5, &what);
                for accumulate in [false, true] {
                    let (mut dx, mut dx2) = (numbers(t * c, 4), numbers(t * c, 4));
                    let (mut dw, mut dw2) = (numbers(v * c, 5), numbers(v * c, 5));
                    head::backward(&head, &mut dx, accumulate, &mut dw, &dy, &x, &w);
                    matmul::naive::linear_dx(&mut dx2, &dy, &w, t, c, v, accumulate);
                    matmul::naive::linear_dw(&mut dw2, &dy, &x, t, c, v, true);
                    assert_close(&dx, &dx2, 1e-5, &what);
                    assert_close(&dw, &dw2, 1e-5, &what);
                }
            }
        }
    });
}

/// Documents of different lengths side by side, token by token: as the whole pass of each.
#[test]
fn a_token_at_a_time_is_the_definition() {
    at_each(|level| {
        let lanes = level.lanes();
        // The last is so strong that powers of its scores are no numbers until the largest is taken off.
        for (channels, hidden, activation, layers, outputs, strength, allowed) in [
            (lanes, 4 * lanes, Activation::Relu, 1, 27, 1.5, 1e-5),
            (2 * lanes, 2 * lanes, Activation::Gelu, 2, 7, 1.5, 1e-5),
            (lanes, 6 * lanes, Activation::SquaredRelu, 3, 100, 1.5, 1e-5),
            (16, 64, Activation::SquaredRelu, 1, 27, 1.5, 1e-5),
            (2 * lanes, 8 * lanes, Activation::Silu, 1, lanes, 1.5, 1e-5),
            (lanes, 4 * lanes, Activation::Relu, 1, 27, 20.0, 1e-3),
        ] {
            if !level.fuses() {
                continue;
            }
            let layer = Layer { channels, heads: channels / 4, hidden, activation };
            let model = decode::Model { layer, layers, outputs, positions: 18 };
            let (what, place) = (numbers(outputs * channels, 1), numbers(18 * channels, 2));
            let scale = strength / (channels as f32).sqrt();
            let weights: Vec<f32> =
                numbers(layers * layer.weights_len(), 3).iter().map(|w| w * scale).collect();
            let head = numbers(outputs * channels, 4);
            let plan = model.plan().unwrap();
            let mut packed = vec![f32::NAN; plan.packed_len()];
            decode::pack(&plan, &mut packed, [&what, &place], &weights, &head);
            for lengths in [&[16][..], &[1, 2], &[9, 16, 3, 12, 1], &[13; 19], &[16; 40], &[]] {
                let what_it_is = format!("{level:?} {model:?} {lengths:?}");
                let document = |i: usize| -> Vec<u32> {
                    (0..lengths[i]).map(|p| ((p * 7 + i * 3) % outputs) as u32).collect()
                };
                let wanted: Vec<_> = (0..lengths.len())
                    .map(|i| decode::naive::forward(&model, &what, &place, &weights, &head, &document(i)))
                    .collect();
                // What was not remembered must not count.
                let between = lengths.len() * 16 * channels;
                let mut memory = vec![f32::NAN; 2 * layers * between];
                let mut scratch = vec![f32::NAN; plan.scratch_len()];
                for past in 0..16 {
                    let on: Vec<usize> = (0..lengths.len()).filter(|&i| past < lengths[i]).collect();
                    let tokens: Vec<u32> = on.iter().map(|&i| document(i)[past]).collect();
                    let segments: Vec<Segment> = on
                        .iter()
                        .enumerate()
                        .map(|(r, &i)| Segment { q_start: r, q_len: 1, kv_start: i * 16, past })
                        .collect();
                    let [k, v] = [0, between].map(|offset| Place { offset, stride: channels });
                    for spare in [0, 5, 16] {
                        let mut logits = vec![f32::NAN; on.len() * outputs + spare];
                        let memory = Memory { data: &mut memory, k, v };
                        let rows = [&tokens[..], &vec![past as u32; on.len()]];
                        decode::forward(
                            &plan,
                            &mut logits,
                            [&what, &place],
                            &packed,
                            rows,
                            &segments,
                            memory,
                            &mut scratch,
                        );
                        decode::settle(&plan, &mut logits, on.len(), &mut scratch);
                        for (r, &i) in on.iter().enumerate() {
                            let found = &logits[r * outputs..(r + 1) * outputs];
                            let wanted = &wanted[i][past * outputs..(past + 1) * outputs];
                            assert_close(found, wanted, allowed, &what_it_is);
                        }
                    }
                }
            }
        }
    });
}
