//! Where a token stands: rotary and sinusoidal positions, and ALiBi's slopes, from tables that are made once.

use super::{Place, Stored, Tape};
use crate::position::{alibi_slope, angle, sinusoid};
use crate::sight::Sight;
use crate::tensor::{Id, Op};
use microgpt_kernels::{attention, feature, rotary};

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// A row for each position: the cosines of a head's angles, then their sines, with this base.
    Turns(f64),
    /// A row for each position.
    Sinusoids,
    /// One row: what a score loses for each step, head by head.
    Slopes,
}

impl What {
    fn number(self, row: usize, col: usize, cols: usize) -> f64 {
        let position = row as u32;
        match self {
            What::Turns(base) if col < cols / 2 => angle(position, col, cols, base).cos(),
            What::Turns(base) => angle(position, col - cols / 2, cols, base).sin(),
            What::Sinusoids => sinusoid(position, col, cols),
            What::Slopes => alibi_slope(col, cols),
        }
    }
}

/// A few tables, found by looking; each grows when a later position comes.
#[derive(Debug, Default)]
pub(super) struct Tables {
    all: Vec<(What, usize, Vec<f32>)>,
}

impl Tables {
    /// The table of that with at least `rows` rows of `cols` numbers.
    fn get(&mut self, what: What, rows: usize, cols: usize) -> &[f32] {
        let found = self.all.iter().position(|&(other, width, _)| other == what && width == cols);
        let i = found.unwrap_or_else(|| {
            self.all.push((what, cols, Vec::new()));
            self.all.len() - 1
        });
        let numbers = &mut self.all[i].2;
        let there = numbers.len() / cols;
        if there < rows {
            // Amply, so that a longer document now and then does not mean a new table each time.
            let rows = rows.next_power_of_two();
            let new =
                (there..rows).flat_map(|row| (0..cols).map(move |col| what.number(row, col, cols) as f32));
            numbers.extend(new);
        }
        numbers
    }

    /// How the kernels call it.
    pub(super) fn variant(&mut self, sight: Sight) -> attention::Variant<'_> {
        let slopes = if sight.alibi { self.get(What::Slopes, 1, sight.heads()) } else { &[] };
        attention::Variant {
            group: sight.group(),
            window: if sight.window == 0 { usize::MAX } else { sight.window as usize },
            cap: if sight.softcap == 0.0 { f32::INFINITY } else { sight.softcap as f32 },
            slopes,
        }
    }
}

fn place(stored: &Stored) -> attention::Place {
    attention::Place { offset: stored.start, stride: stored.stride }
}

impl Tape {
    /// How many positions the batch knows.
    fn positions(&self) -> usize {
        self.batch.positions.iter().max().map_or(0, |&last| last as usize + 1)
    }

    pub(super) fn sinusoids(&mut self, y: &Stored) {
        let (rows, cols) = (self.positions(), y.shape.cols);
        let table = self.tables.get(What::Sinusoids, rows, cols);
        let out = self.values[y.all()].chunks_exact_mut(cols);
        for (out, &position) in out.zip(&self.batch.positions) {
            out.copy_from_slice(&table[position as usize * cols..][..cols]);
        }
    }

    pub(super) fn rotate(&mut self, y: &Stored) {
        let Op::Rotate { x, heads, base } = y.op else { unreachable!("{:?}", y.op) };
        let (x, rows, heads) = (self.get(x), self.positions(), heads as usize);
        assert_eq!(x.place, Place::Step, "rotate: a tensor of this step");
        let d = y.shape.cols / heads;
        let turns = self.tables.get(What::Turns(base), rows, d);
        let (before, out) = self.values.split_at_mut(y.start);
        let x = attention::Rows { data: before, offset: x.start, stride: x.stride };
        let to = attention::Place { offset: 0, stride: y.stride };
        rotary::turn(out, to, x, turns, &self.batch.positions, heads, d);
    }

    pub(super) fn rotate_back(&mut self, y: &Stored) {
        let Op::Rotate { x, heads, base } = y.op else { unreachable!("{:?}", y.op) };
        self.ready(x);
        let ((around, x), rows, heads) = (self.slopes_around(x), self.positions(), heads as usize);
        let d = y.shape.cols / heads;
        let turns = self.tables.get(What::Turns(base), rows, d);
        let [dx, dy] = self.slopes.each([around, y.slopes()]);
        let dy = attention::Rows { data: dy, offset: 0, stride: y.stride };
        rotary::turn_back(dx, place(&x), dy, turns, &self.batch.positions, heads, d);
    }

    /// ALiBi's slope of a head, if there are any.
    pub(super) fn slope(&self, sight: Sight, head: usize) -> f32 {
        if sight.alibi { alibi_slope(head, sight.heads()) as f32 } else { 0.0 }
    }

    pub(super) fn feature(&mut self, y: &Stored, x: Id) {
        let (before, out, _) = self.split(y);
        feature::forward(out, before.rows(x), y.shape.cols);
    }

    pub(super) fn feature_back(&mut self, y: &Stored, x: Id) {
        self.ready(x);
        let ((around, x), cols) = (self.slopes_around(x), y.shape.cols);
        let [dx, dy] = self.slopes.each([around, y.slopes()]);
        feature::backward(dx, place(&x), dy, &self.values[y.all()], cols);
    }
}
