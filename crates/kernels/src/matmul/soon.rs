//! What the next block of a product reads, asked for while the tiles of this one work: a few lines a tile, since many at
//! once would keep the tile from its own.

use super::blocked::View;
use super::tile::GROUP;
use crate::vector::Vector;

/// Rows of cache lines that are still to be asked for.
pub(super) struct Soon {
    rows: usize,
    /// Lines of a row, and where it begins.
    lines: usize,
    row: *const f32,
    stride: usize,
    /// The next line of the row.
    line: usize,
    per_tile: usize,
}

impl Soon {
    /// Nothing.
    pub(super) fn nothing() -> Soon {
        Soon { rows: 0, lines: 0, row: std::ptr::null(), stride: 0, line: 0, per_tile: 0 }
    }

    /// `rows` rows of `numbers` numbers, `stride` apart, while `tiles` tiles work. Nothing is read: they may be nowhere.
    fn of(at: *const f32, rows: usize, numbers: usize, stride: usize, tiles: usize) -> Soon {
        let lines = numbers.div_ceil(GROUP);
        Soon { rows, lines, row: at, stride, line: 0, per_tile: (rows * lines).div_ceil(tiles.max(1)) }
    }

    /// What is turned around after these columns of B: the next ones, those of the next block of k, or what stands behind B;
    /// of a model's weights that is often what the next product reads.
    pub(super) fn turned(b: View, [p0, kc, k]: [usize; 3], [n0, nc, n]: [usize; 3], tiles: usize) -> Soon {
        let next = match () {
            _ if n0 + nc < n => b.offset(p0, n0 + nc),
            _ if p0 + kc < k => b.offset(p0 + kc, 0),
            _ => b.offset(0, n),
        };
        Soon::of(next.at, nc, kc, b.cs, tiles)
    }

    /// Asks for as much as falls to a tile.
    #[inline(always)]
    pub(super) fn ask<V: Vector>(&mut self) {
        for _ in 0..self.per_tile {
            let Some(line) = self.next() else { return };
            V::prefetch_far(line);
        }
    }
}

impl Iterator for Soon {
    type Item = *const f32;

    #[inline(always)]
    fn next(&mut self) -> Option<*const f32> {
        if self.rows == 0 {
            return None;
        }
        let at = self.row.wrapping_add(self.line * GROUP);
        self.line += 1;
        if self.line == self.lines {
            (self.rows, self.line, self.row) = (self.rows - 1, 0, self.row.wrapping_add(self.stride));
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_asked_for_once() {
        let numbers = [0.0_f32; 512];
        let all = Soon::of(numbers.as_ptr(), 4, 40, 100, 5);
        assert_eq!((all.per_tile, Soon::nothing().count()), (3, 0));
        let at: Vec<usize> = all.map(|line| (line.addr() - numbers.as_ptr().addr()) / 4).collect();
        assert_eq!(at, [0, 16, 32, 100, 116, 132, 200, 216, 232, 300, 316, 332]);
    }

    #[test]
    fn what_is_turned_next_is_what_comes_next() {
        let numbers = [0.0_f32; 6 * 40];
        let b = View { at: numbers.as_ptr(), rs: 1, cs: 40 };
        let first = |p, n| {
            let at = Soon::turned(b, p, n, 1).next().unwrap();
            (at.addr() - numbers.as_ptr().addr()) / 4
        };
        assert_eq!(first([0, 16, 32], [0, 2, 4]), 2 * 40);
        assert_eq!(first([0, 16, 32], [2, 2, 4]), 16);
        assert_eq!(first([16, 16, 32], [2, 2, 4]), 4 * 40);
    }
}
