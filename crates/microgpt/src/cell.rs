//! Recurrent cells: one state for all that was read, changed a little by every token.
//!
//! A channel's new state h' follows from what comes in (x, of `W x + b`), from what is heard of all channels' states of
//! the row before (a, of `U h + c`), and from its own state of the row before, h.
//!
//! ```text
//! rnn   h' = tanh(x + a)
//! gru   r  = sigmoid(x_r + a_r)            how much of the past a new state takes in
//!       z  = sigmoid(x_z + a_z)            how much of the old state stays
//!       n  = tanh(x_n + r a_n)
//!       h' = (1 - z) n + z h
//! ```
//!
//! Elman, "Finding Structure in Time" (1990); Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for
//! Statistical Machine Translation" (2014), in the form that PyTorch has, where r is applied after the product.

/// Which cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A new state every time.
    Rnn,
    /// A state that can stay.
    Gru,
}

/// What one channel's new state follows from: a number for each gate (r, z, n; an RNN has but the first).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    /// What comes in.
    pub x: [f64; 3],
    /// What is heard of the states before.
    pub a: [f64; 3],
    /// Its own state before.
    pub h: f64,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Cell {
    /// G: how many numbers come in for each channel.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
        }
    }

    /// h'.
    pub fn state(self, Channel { x, a, h }: Channel) -> f64 {
        match self {
            Cell::Rnn => (x[0] + a[0]).tanh(),
            Cell::Gru => {
                let (r, z) = (sigmoid(x[0] + a[0]), sigmoid(x[1] + a[1]));
                (1.0 - z) * (x[2] + r * a[2]).tanh() + z * h
            }
        }
    }

    /// How fast h' changes with each of them; with h, where it is not heard.
    pub fn slopes(self, Channel { x, a, h }: Channel) -> Channel {
        match self {
            Cell::Rnn => {
                let y = (x[0] + a[0]).tanh();
                let slope = [1.0 - y * y, 0.0, 0.0];
                Channel { x: slope, a: slope, h: 0.0 }
            }
            Cell::Gru => {
                let (r, z) = (sigmoid(x[0] + a[0]), sigmoid(x[1] + a[1]));
                let n = (x[2] + r * a[2]).tanh();
                let of_n = (1.0 - z) * (1.0 - n * n);
                let (of_r, of_z) = (of_n * a[2] * r * (1.0 - r), (h - n) * z * (1.0 - z));
                Channel { x: [of_r, of_z, of_n], a: [of_r, of_z, of_n * r], h: z }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_state() {
        let at = Channel { x: [0.3, -0.7, 1.1], a: [-0.2, 0.4, 0.9], h: 0.6 };
        for cell in [Cell::Rnn, Cell::Gru] {
            let slopes = cell.slopes(at);
            let numeric = |change: &dyn Fn(&mut Channel, f64)| {
                let moved = |by| {
                    let mut moved = at;
                    change(&mut moved, by);
                    cell.state(moved)
                };
                (moved(1e-6) - moved(-1e-6)) / 2e-6
            };
            for gate in 0..3 {
                assert!(
                    (slopes.x[gate] - numeric(&|at, by| at.x[gate] += by)).abs() < 1e-9,
                    "{cell:?} {gate}"
                );
                assert!(
                    (slopes.a[gate] - numeric(&|at, by| at.a[gate] += by)).abs() < 1e-9,
                    "{cell:?} {gate}"
                );
            }
            assert!((slopes.h - numeric(&|at, by| at.h += by)).abs() < 1e-9, "{cell:?}");
        }
    }
}
