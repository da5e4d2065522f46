//! The complete algorithm of a GPT, trained and sampled: one file of plain Rust, without a dependency.
//!
//!     rustc -O microgpt.rs && ./microgpt
//!
//! It reads names, one a line, learns which letter follows which, and makes up new ones. Read it from top to
//! bottom: text -> tokens -> numbers with gradients -> the model -> training -> sampling. Whatever else there
//! is in this project makes the same thing visible, changeable, or fast.
//! The algorithm is that of Andrej Karpathy's microgpt.py (February 2026, revision 10); so is every number.

use std::iter::{once, repeat_with, zip, FromIterator, Sum};
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::{cell::RefCell, collections::BTreeSet, f64::consts::PI, hint::black_box, io::ErrorKind::NotFound};

const N_LAYER: usize = 1; // how many times the tokens look around and think
const N_EMBD: usize = 16; // channels: how many numbers describe a token
const N_HEAD: usize = 4; // each head looks for something of its own
const HEAD_DIM: usize = N_EMBD / N_HEAD;
const BLOCK_SIZE: usize = 8; // how many tokens the model sees at once
const STEPS: usize = 500;
const LEARNING_RATE: f64 = 1e-2;
const BETA1: f64 = 0.9; // Adam: how slowly its mean of the gradients changes,
const BETA2: f64 = 0.95; // and its mean of their squares
const EPS: f64 = 1e-8;
const TEMPERATURE: f64 = 0.5; // below 1, what is likely becomes likelier still

// ---- Text. A document is a line. A token is a character's place in the alphabet; one more token, BOS, stands
// at both ends of every document, so that the model learns how a name begins and when it is over.

fn documents(text: &str) -> Vec<&str> {
    let blank = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c); // as Python sees it
    text.split(['\n', '\r']).map(|line| line.trim_matches(blank)).filter(|doc| !doc.is_empty()).collect()
}

// ---- Autograd: numbers that remember where they came from. Each operation writes a node on the tape: its
// result, its operands, and how fast the result changes with each of them. From that alone follows how fast
// the loss changes with every number before it, and that is all that learning needs.

#[derive(Clone, Copy)]
struct Value(u32); // a place on the tape

struct Node {
    data: f64,
    operands: [Value; 2],
    local: [f64; 2], // d data / d operand
}

const NONE: Value = Value(0); // no operand: node 0 stands in, with derivative 0

thread_local! { static TAPE: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) } }

/// Writes a node: `f` gives the result and the local derivatives.
fn node(a: Value, b: Value, f: impl FnOnce(f64, f64) -> (f64, [f64; 2])) -> Value {
    TAPE.with_borrow_mut(|tape| {
        let data = |value: Value| tape.get(value.0 as usize).map_or(0.0, |node| node.data);
        let (data, local) = f(data(a), data(b));
        tape.push(Node { data, operands: [a, b], local });
        Value(tape.len() as u32 - 1)
    })
}

/// The C library's pow. Were the compiler to see a constant 2, it would write x * x: other bits, now and then.
fn pow(x: f64, exponent: f64) -> f64 {
    x.powf(black_box(exponent))
}

impl Value {
    fn new(data: f64) -> Value { node(NONE, NONE, |_, _| (data, [0.0; 2])) }
    fn data(self) -> f64 { TAPE.with_borrow(|tape| tape[self.0 as usize].data) }
    fn pow(self, n: f64) -> Value { node(self, NONE, |x, _| (pow(x, n), [n * pow(x, n - 1.0), 0.0])) }
    fn exp(self) -> Value { node(self, NONE, |x, _| (x.exp(), [x.exp(), 0.0])) }
    fn log(self) -> Value { node(self, NONE, |x, _| (x.ln(), [1.0 / x, 0.0])) }
    fn relu(self) -> Value { node(self, NONE, |x, _| if x > 0.0 { (x, [1.0, 0.0]) } else { (0.0, [0.0; 2]) }) }

    /// How fast this number changes with each on the tape, by the chain rule: d operand += local * d result.
    fn backward(self) -> Vec<f64> {
        TAPE.with_borrow(|tape| {
            // A node can pass its gradient on once it is whole, after everything that used the node. Such an
            // order is a depth-first walk, reversed; the walk keeps a stack of its own, for graphs are deep.
            let (mut order, mut stack, mut at) = (Vec::with_capacity(tape.len()), vec![], Some(self));
            let mut seen = vec![false; tape.len()];
            seen[NONE.0 as usize] = true;
            while let Some(value) = at {
                let new = |operand: &&Value| !seen[operand.0 as usize];
                at = tape[value.0 as usize].operands.iter().find(new).copied();
                if let Some(operand) = at {
                    seen[operand.0 as usize] = true;
                    stack.push(value);
                } else {
                    order.push(value);
                    at = stack.pop();
                }
            }
            let mut grads = vec![0.0; tape.len()];
            grads[self.0 as usize] = 1.0;
            for value in order.iter().rev() {
                let Node { operands: [a, b], local, .. } = tape[value.0 as usize];
                grads[a.0 as usize] += local[0] * grads[value.0 as usize];
                grads[b.0 as usize] += local[1] * grads[value.0 as usize];
            }
            grads
        })
    }
}

impl Add for Value { type Output = Value; fn add(self, b: Value) -> Value { node(self, b, |a, b| (a + b, [1.0; 2])) } }
impl Mul for Value { type Output = Value; fn mul(self, b: Value) -> Value { node(self, b, |a, b| (a * b, [b, a])) } }
impl Mul<f64> for Value { type Output = Value; fn mul(self, b: f64) -> Value { self * Value::new(b) } }
impl Neg for Value { type Output = Value; fn neg(self) -> Value { self * -1.0 } }
impl Sub for Value { type Output = Value; fn sub(self, b: Value) -> Value { self + -b } }
impl Div for Value { type Output = Value; fn div(self, b: Value) -> Value { self * b.pow(-1.0) } }
impl Sum for Value {
    fn sum<I: Iterator<Item = Value>>(values: I) -> Value { values.fold(Value::new(0.0), |sum, v| sum + v) }
}

// ---- The model: from a token and those before it to a score, the logit, of each token that may come next.

type Vector = Vec<Value>;
type Matrix = Vec<Vector>; // a row for each output

fn add(a: &[Value], b: &[Value]) -> Vector { zip(a, b).map(|(&a, &b)| a + b).collect() }
fn dot(a: &[Value], b: &[Value]) -> Value { zip(a, b).map(|(&a, &b)| a * b).sum() }
fn linear(x: &[Value], w: &Matrix) -> Vector { w.iter().map(|row| dot(row, x)).collect() }

/// The same direction at length 1 a channel, so that all that follows sees numbers of a known size.
fn rmsnorm(x: &[Value]) -> Vector {
    let mean_square = dot(x, x) * pow(x.len() as f64, -1.0);
    let scale = (mean_square + Value::new(1e-5)).pow(-0.5);
    x.iter().map(|&x| x * scale).collect()
}

/// Probabilities from any numbers. Taking the largest off changes no result and keeps exp from overflowing.
fn softmax(logits: &[Value]) -> Vector {
    let max = logits.iter().map(|z| z.data()).fold(f64::NEG_INFINITY, f64::max);
    let exps: Vector = logits.iter().map(|&z| (z - Value::new(max)).exp()).collect();
    let total: Value = exps.iter().copied().sum();
    exps.iter().map(|&e| e / total).collect()
}

struct Gpt {
    wte: Matrix,              // what each token is
    wpe: Matrix,              // what it is to stand at each position
    lm_head: Matrix,          // what each next token looks like
    layers: Vec<[Matrix; 6]>, // attn_wq, attn_wk, attn_wv, attn_wo, mlp_fc1, mlp_fc2
}

impl Gpt {
    /// Small random weights. Those that write into the stream are zero: at first a layer changes nothing.
    fn new(vocab_size: usize, rng: &mut Rng) -> Gpt {
        let mut matrix = |rows, cols, std| -> Matrix {
            (0..rows).map(|_| (0..cols).map(|_| Value::new(rng.gauss(std))).collect()).collect()
        };
        const C: usize = N_EMBD;
        let [wte, wpe, lm_head] = [vocab_size, BLOCK_SIZE, vocab_size].map(|rows| matrix(rows, C, 0.02));
        let shapes = [(C, C, 0.02), (C, C, 0.02), (C, C, 0.02), (C, C, 0.0), (4 * C, C, 0.02), (C, 4 * C, 0.0)];
        let layers = (0..N_LAYER).map(|_| shapes.map(|(rows, cols, std)| matrix(rows, cols, std))).collect();
        Gpt { wte, wpe, lm_head, layers }
    }

    /// The logits after `token` at `position`. `past` holds the keys and values of each layer, and grows.
    fn forward(&self, token: usize, position: usize, past: &mut [[Matrix; 2]; N_LAYER]) -> Vector {
        let mut x = rmsnorm(&add(&self.wte[token], &self.wpe[position]));
        for ([wq, wk, wv, wo, fc1, fc2], [keys, values]) in zip(&self.layers, past) {
            // Attention: a token asks (query) what it needs to know, finds who has it (keys), and takes it
            // (values). Nothing else carries information from one token to another.
            let n = rmsnorm(&x);
            let query = linear(&n, wq);
            keys.push(linear(&n, wk));
            values.push(linear(&n, wv));
            let mut found = vec![];
            for head in (0..N_HEAD).map(|h| h * HEAD_DIM..(h + 1) * HEAD_DIM) {
                let scale = pow(pow(HEAD_DIM as f64, 0.5), -1.0);
                let score = |key: &Vector| dot(&query[head.clone()], &key[head.clone()]) * scale;
                let weights = softmax(&keys.iter().map(score).collect::<Vector>());
                found.extend(head.map(|j| zip(&weights, &*values).map(|(&w, v)| w * v[j]).sum::<Value>()));
            }
            x = add(&linear(&found, wo), &x); // added: the stream of what is known flows on
            // The MLP: a token thinks about what it has found, on its own.
            let hidden: Vector = linear(&rmsnorm(&x), fc1).iter().map(|h| h.relu().pow(2.0)).collect();
            x = add(&linear(&hidden, fc2), &x);
        }
        linear(&x, &self.lm_head)
    }
}

// ---- Training, and then sampling.

fn main() {
    let text = match std::fs::read_to_string("input.txt") {
        Err(error) if error.kind() == NotFound => include_str!("data/names.txt").to_string(),
        text => text.expect("input.txt should be UTF-8 text"),
    };
    let (mut docs, mut rng) = (documents(&text), Rng::new(42));
    rng.shuffle(&mut docs);
    let chars = Vec::from_iter(docs.iter().flat_map(|doc| doc.chars()).collect::<BTreeSet<char>>());
    let (bos, vocab_size) = (chars.len(), chars.len() + 1);
    let model = Gpt::new(vocab_size, &mut rng);
    let num_params = TAPE.with_borrow(|tape| tape.len()); // so far the tape is the parameters
    println!("num docs: {}\nvocab size: {vocab_size}\nnum params: {num_params}", docs.len());

    let (mut m, mut v) = (vec![0.0; num_params], vec![0.0; num_params]);
    for step in 0..STEPS {
        // One document: at each of its tokens the model guesses the next, and is as wrong as it is surprised.
        let letters = docs[step % docs.len()].chars().map(|c| chars.binary_search(&c).unwrap());
        let tokens: Vec<usize> = once(bos).chain(letters).chain(once(bos)).collect();
        let n = BLOCK_SIZE.min(tokens.len() - 1);
        let (mut losses, mut past) = (vec![], Default::default());
        for position in 0..n {
            let probs = softmax(&model.forward(tokens[position], position, &mut past));
            losses.push(-probs[tokens[position + 1]].log());
        }
        let loss = losses.into_iter().sum::<Value>() * (1.0 / n as f64);
        let grads = loss.backward();
        println!("step {:4} / {STEPS:4} | loss {:.4}", step + 1, loss.data());

        // Adam: a parameter moves against its mean gradient, measured in gradients of its usual size.
        let rate = (LEARNING_RATE * 0.5) * (1.0 + ((PI * step as f64) / STEPS as f64).cos());
        let [start1, start2] = [BETA1, BETA2].map(|beta| 1.0 - pow(beta, step as f64 + 1.0));
        TAPE.with_borrow_mut(|tape| {
            tape.truncate(num_params); // the graph has served
            for (i, (param, g)) in zip(tape, grads).enumerate() {
                m[i] = BETA1 * m[i] + (1.0 - BETA1) * g;
                v[i] = BETA2 * v[i] + (1.0 - BETA2) * pow(g, 2.0);
                let (m_hat, v_hat) = (m[i] / start1, v[i] / start2); // both began at zero: make up for it
                param.data -= (rate * m_hat) / (pow(v_hat, 0.5) + EPS);
            }
        });
    }

    println!("\n--- inference ---");
    for sample in 1..=20 {
        let (mut token, mut text, mut past) = (bos, String::new(), Default::default());
        for position in 0..BLOCK_SIZE {
            let logits = model.forward(token, position, &mut past);
            let logits: Vector = logits.iter().map(|&z| z * pow(TEMPERATURE, -1.0)).collect();
            token = rng.choice(&softmax(&logits));
            if token == bos { break; }
            text.push(chars[token]);
        }
        println!("sample {sample:2}: {text}");
        TAPE.with_borrow_mut(|tape| tape.truncate(num_params));
    }
}

// ---- Chance: the Mersenne Twister and what Python draws from it, so that every number is the same.

struct Rng {
    state: Vec<u32>,
    next: usize,
    spare: Option<f64>, // normal numbers come in pairs
}

impl Rng {
    fn new(seed: u32) -> Rng {
        let mut s = vec![19650218u32; 624];
        let mixed = |s: &[u32], i: usize, by: u32| (s[i - 1] ^ (s[i - 1] >> 30)).wrapping_mul(by);
        (1..624).for_each(|i| s[i] = mixed(&s, i, 1812433253).wrapping_add(i as u32));
        for k in 0..1247 {
            let i = k % 623 + 1;
            let (by, extra) = if k < 624 { (1664525, seed) } else { (1566083941, (i as u32).wrapping_neg()) };
            s[i] = (s[i] ^ mixed(&s, i, by)).wrapping_add(extra);
            s[0] = s[623];
        }
        s[0] = 1 << 31;
        Rng { state: s, next: 0, spare: None }
    }
    fn u32(&mut self) -> u32 {
        let (i, s) = (self.next, &mut self.state);
        self.next = (i + 1) % 624;
        let y = (s[i] & (1 << 31)) | (s[self.next] & !(1 << 31));
        s[i] = s[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1) * 0x9908b0df);
        let y = s[i] ^ (s[i] >> 11);
        let y = y ^ ((y << 7) & 0x9d2c5680);
        let y = y ^ ((y << 15) & 0xefc60000);
        y ^ (y >> 18)
    }
    /// At least 0, less than 1: 53 random bits.
    fn random(&mut self) -> f64 {
        ((self.u32() >> 5) as f64 * 67108864.0 + (self.u32() >> 6) as f64) * (1.0 / 9007199254740992.0)
    }
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let shift = (i as u32 + 1).leading_zeros();
            items.swap(i, repeat_with(|| (self.u32() >> shift) as usize).find(|&j| j <= i).unwrap());
        }
    }
    fn gauss(&mut self, std: f64) -> f64 {
        let z = self.spare.take().unwrap_or_else(|| {
            let (angle, radius) = (self.random() * (2.0 * PI), (-2.0 * (1.0 - self.random()).ln()).sqrt());
            self.spare = Some(angle.sin() * radius);
            angle.cos() * radius
        });
        0.0 + z * std
    }
    /// An index, each as likely as its weight.
    fn choice(&mut self, weights: &[Value]) -> usize {
        let sums = weights.iter().scan(0.0, |sum, w| { *sum += w.data(); Some(*sum) }).collect::<Vec<f64>>();
        let u = self.random() * sums[sums.len() - 1];
        sums.iter().position(|&sum| u < sum).unwrap_or(sums.len() - 1)
    }
}
