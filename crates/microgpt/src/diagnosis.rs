//! What is going on in a training, in one line of plain words: rules over its history, the gravest first.
//!
//! ```text
//! not a number       a loss that is infinite or none at all
//! too high           the loss rose to twice its lowest and more: the learning rate is too high
//! worse than a guess after 50 steps the loss is still above ln(V), that of who guesses blindly
//! memorising         validation is far above training (1.5 times), or rises while training falls
//! dead units         a tenth of a layer's units, or more, let no gradient through
//! vanishing          the first layer's gradient is a thousandth of the last one's
//! exploding          all weights move by more than a tenth of their length in one step
//! too low            weights move by less than a hundred-thousandth: the learning rate is too low
//! stands still       the loss of the last quarter of the steps (at least 200) is no lower than that of the one before
//! learning           none of these
//! ```
//!
//! Losses of single steps jump, so rules look at means: of the last 5 losses where something breaks, of the last 50
//! or so where something develops. They are rules of thumb: what they say is a reason to look, not a proof.

use crate::measures::Measures;
use std::fmt;

/// What is known of a training: plain numbers, whoever collected them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// ln(V): the loss of who guesses blindly; 0 if it is not known.
    pub guess: f64,
    /// How many steps are to be made.
    pub steps: usize,
    /// Steps and their losses, in order; not each step need be there.
    pub losses: Vec<(usize, f64)>,
    /// Steps and the losses on what is held back, in order.
    pub validations: Vec<(usize, f64)>,
    /// What was measured last.
    pub measures: Option<Measures>,
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// What it says.
    pub text: String,
}

/// The rules, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A loss is infinite or not a number.
    NotANumber,
    /// The loss has risen: the learning rate is too high.
    TooHigh,
    /// The loss is above that of a blind guess.
    WorseThanGuessing,
    /// It learns the text by heart.
    Memorising,
    /// Units let no gradient through.
    DeadUnits,
    /// Gradients do not reach the first layer.
    Vanishing,
    /// Weights move too far.
    Exploding,
    /// Weights hardly move.
    TooLow,
    /// The loss no longer falls.
    StandsStill,
    /// All is well.
    Learning,
    /// There is not enough to say anything.
    Beginning,
}

impl Rule {
    /// Is it something to do something about?
    pub fn is_warning(self) -> bool {
        self < Rule::StandsStill
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl History {
    /// Nothing yet, of a training of so many steps over an alphabet of `vocab_size` tokens.
    pub fn new(vocab_size: usize, steps: usize) -> History {
        History { guess: (vocab_size as f64).ln(), steps, ..History::default() }
    }

    /// The mean of the last `count` losses up to number `end`; of fewer if there are no more.
    fn mean(&self, end: usize, count: usize) -> f64 {
        let losses = &self.losses[end.saturating_sub(count)..end];
        losses.iter().map(|(_, loss)| loss).sum::<f64>() / losses.len() as f64
    }

    /// The mean of the last losses, as many as tell something of a training of so many steps.
    pub fn recent_loss(&self) -> Option<f64> {
        (!self.losses.is_empty()).then(|| self.mean(self.losses.len(), self.losses.len().clamp(1, 50)))
    }
}

/// The gravest that is true of a training; of one that goes well, how far it has come.
///
/// ```
/// use microgpt::diagnosis::{History, diagnose};
/// let mut history = History::new(27, 500);
/// history.losses = (1..=100).map(|step| (step, 0.9)).collect();
/// history.validations = vec![(50, 2.4), (100, 2.6)];
/// assert_eq!(diagnose(&history).text, "memorising: train 0.90, validation 2.60, and it was 2.40 at step 50");
/// ```
pub fn diagnose(history: &History) -> Finding {
    let rules: [(Rule, fn(&History) -> Option<String>); 9] = [
        (Rule::NotANumber, not_a_number),
        (Rule::TooHigh, too_high),
        (Rule::WorseThanGuessing, worse_than_guessing),
        (Rule::Memorising, memorising),
        (Rule::DeadUnits, dead_units),
        (Rule::Vanishing, vanishing),
        (Rule::Exploding, exploding),
        (Rule::TooLow, too_low),
        (Rule::StandsStill, stands_still),
    ];
    let found = rules.iter().find_map(|(rule, says)| Some(Finding { rule: *rule, text: says(history)? }));
    found.unwrap_or_else(|| learning(history))
}

fn not_a_number(history: &History) -> Option<String> {
    let all = history.losses.iter().chain(&history.validations);
    let (step, loss) = all.filter(|(_, loss)| !loss.is_finite()).min_by_key(|(step, _)| *step)?;
    Some(format!("the numbers are lost: at step {step} the loss is {loss} (a lower lr?)"))
}

/// Losses that a mean is of where something breaks.
const FEW: usize = 5;

fn too_high(history: &History) -> Option<String> {
    let end = history.losses.len();
    if end < 2 * FEW {
        return None;
    }
    let now = history.mean(end, FEW);
    let earlier = (FEW..=end - FEW).map(|end| (end, history.mean(end, FEW)));
    // The last of the lowest: from there it rose.
    let (lowest, loss) =
        earlier.fold((0, f64::INFINITY), |best, mean| if mean.1 <= best.1 { mean } else { best });
    let times = now / loss;
    // What is near 0 doubles easily.
    let rose = times >= 2.0 && now - loss > 0.5;
    let steps = history.losses[end - 1].0 - history.losses[lowest - 1].0;
    rose.then(|| format!("the learning rate is too high: the loss rose {} in {steps} steps", times_of(times)))
}

/// 3x, 2.4x
fn times_of(times: f64) -> String {
    let digits = usize::from(times < 9.95 && (times - times.round()).abs() >= 0.05);
    format!("{times:.digits$}x")
}

fn worse_than_guessing(history: &History) -> Option<String> {
    let (end, guess) = (history.losses.len(), history.guess);
    let recent = history.recent_loss().filter(|_| end >= 50 && guess > 0.0)?;
    (recent > 1.05 * guess).then(|| {
        format!("worse than blind guessing: the loss is {recent:.2}, a guess has {guess:.2} (a lower lr?)")
    })
}

fn memorising(history: &History) -> Option<String> {
    let &(step, validation) = history.validations.last()?;
    let end = history.losses.partition_point(|&(at, _)| at <= step);
    if end == 0 {
        return None;
    }
    let train = history.mean(end, 50);
    let &(best_step, best) = history.validations.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let rises = validation > 1.02 * best && validation > train;
    if !(rises || validation > 1.5 * train && validation - train > 0.3) {
        return None;
    }
    let was = if rises { format!(", and it was {best:.2} at step {best_step}") } else { String::new() };
    Some(format!("memorising: train {train:.2}, validation {validation:.2}{was}"))
}

fn dead_units(history: &History) -> Option<String> {
    let layers = &history.measures.as_ref()?.layers;
    let shares = layers.iter().enumerate().filter(|(_, layer)| layer.dead_share() >= 0.1);
    let (i, worst) = shares.max_by(|a, b| a.1.dead_share().total_cmp(&b.1.dead_share()))?;
    let place = if layers.len() > 1 { format!(" of layer {i}") } else { String::new() };
    let are = if worst.dead == 1 { "is" } else { "are" };
    Some(format!("{} of {} units{place} {are} dead: no gradient comes through", worst.dead, worst.units))
}

fn vanishing(history: &History) -> Option<String> {
    let norms = layer_norms(history.measures.as_ref()?);
    let (first, last) = (norms.first()?, norms.last()?);
    (norms.len() > 1 && *first > 0.0 && last / first > 1e3).then(|| {
        let last_layer = norms.len() - 1;
        format!("gradients vanish: layer 0 has {first:.1e}, layer {last_layer} has {last:.1e}")
    })
}

/// The length of each layer's gradient, all its matrices as one vector: how well gradients flow.
pub fn layer_norms(measures: &Measures) -> Vec<f64> {
    let mut squares: Vec<f64> = Vec::new();
    for matrix in &measures.matrices {
        let Some((number, _)) = matrix.name.strip_prefix("layer").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let Ok(layer) = number.parse::<usize>() else { continue };
        squares.resize(squares.len().max(layer + 1), 0.0);
        squares[layer] += matrix.grad_norm * matrix.grad_norm;
    }
    squares.into_iter().map(f64::sqrt).collect()
}

fn exploding(history: &History) -> Option<String> {
    let measures = history.measures.as_ref()?;
    // What began at zero must go far at first.
    let wild = measures.update_ratio > 0.1 && measures.step > 50.max(history.steps / 20);
    wild.then(|| {
        let percent = 100.0 * measures.update_ratio;
        format!(
            "updates are wild: in one step the weights move by {percent:.0} % of their size (a lower lr?)"
        )
    })
}

fn too_low(history: &History) -> Option<String> {
    let measures = history.measures.as_ref()?;
    // At its end, a schedule has the learning rate fall to nothing.
    let slow = measures.update_ratio < 1e-5 && measures.step >= 50 && measures.step * 10 < history.steps * 9;
    let at_work = measures.grad_norm > 0.0 && falls_by(history) < 0.01;
    (slow && at_work).then(|| {
        let percent = 100.0 * measures.update_ratio;
        format!("the learning rate is too low: a step moves the weights by {percent:.0e} % of their size")
    })
}

/// By which part of it the loss has fallen from the third quarter of its history to the last.
fn falls_by(history: &History) -> f64 {
    let (end, quarter) = (history.losses.len(), history.losses.len() / 4);
    if quarter == 0 {
        return f64::INFINITY;
    }
    1.0 - history.mean(end, quarter) / history.mean(end - quarter, quarter)
}

fn stands_still(history: &History) -> Option<String> {
    let (end, quarter) = (history.losses.len(), history.losses.len() / 4);
    if quarter < 200 || falls_by(history) > 0.001 {
        return None;
    }
    let steps = history.losses[end - 1].0 - history.losses[end - quarter].0 + 1;
    Some(format!("stands still: the loss has been {:.2} for {steps} steps", history.mean(end, quarter)))
}

fn learning(history: &History) -> Finding {
    let finding = |rule, text| Finding { rule, text };
    let Some(recent) = history.recent_loss().filter(|_| history.losses.len() >= FEW) else {
        return finding(
            Rule::Beginning,
            format!("beginning: who guesses blindly has a loss of {:.2}", history.guess),
        );
    };
    // exp(loss): among how many tokens it is as unsure as it would be without knowing which.
    let (among, of) = (recent.exp(), history.guess.exp());
    let text = match history.validations.last() {
        _ if recent >= history.guess => format!("not yet better than a blind guess ({:.2})", history.guess),
        Some((_, validation)) => {
            format!(
                "learning: train {recent:.2}, validation {validation:.2}; as unsure as among {among:.1} of {of:.0} tokens"
            )
        }
        None => format!("learning: loss {recent:.2}; as unsure as among {among:.1} of {of:.0} tokens"),
    };
    finding(Rule::Learning, text)
}

#[cfg(test)]
mod tests;
