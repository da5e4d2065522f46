use super::*;
use crate::measures::{OfLayer, OfMatrix};

fn history(losses: impl IntoIterator<Item = f64>) -> History {
    let mut history = History::new(27, 500);
    history.losses = losses.into_iter().enumerate().map(|(i, loss)| (i + 1, loss)).collect();
    history
}

/// Falls from 3.3 to 2.3, as names do.
fn falling(steps: usize) -> impl Iterator<Item = f64> + Clone {
    (0..steps).map(|i| 2.3 + (-(i as f64) / 100.0).exp())
}

fn says(history: &History, rule: Rule, text: &str) {
    let found = diagnose(history);
    assert_eq!((found.rule, found.to_string().as_str()), (rule, text));
}

#[test]
fn a_good_training_is_told_how_far_it_has_come() {
    says(&history([3.2; 4]), Rule::Beginning, "beginning: who guesses blindly has a loss of 3.30");
    says(&history([3.4; 20]), Rule::Learning, "not yet better than a blind guess (3.30)");
    let mut learnt = history(falling(300).chain([2.3; 50]));
    says(&learnt, Rule::Learning, "learning: loss 2.30; as unsure as among 10.0 of 27 tokens");
    learnt.validations = vec![(350, 2.4)];
    says(
        &learnt,
        Rule::Learning,
        "learning: train 2.30, validation 2.40; as unsure as among 10.0 of 27 tokens",
    );
    assert!(!Rule::Learning.is_warning() && !Rule::StandsStill.is_warning() && Rule::TooLow.is_warning());
}

#[test]
fn what_breaks_is_named_at_once() {
    let rising = falling(100).chain((1..=20).map(|i| 2.67 * (1.0 + f64::from(i) * 0.1111)));
    let high = "the learning rate is too high: the loss rose 3x in 20 steps";
    says(&history(rising.clone()), Rule::TooHigh, high);
    let lost = history(rising.chain([f64::NAN, f64::INFINITY]));
    says(&lost, Rule::NotANumber, "the numbers are lost: at step 121 the loss is NaN (a lower lr?)");
    let stuck = history([3.2, 3.3].into_iter().chain([4.0; 60]));
    let bad = "worse than blind guessing: the loss is 4.00, a guess has 3.30 (a lower lr?)";
    says(&stuck, Rule::WorseThanGuessing, bad);
    // One bad document, or a loss near 0 that doubles, is nothing.
    let jumpy = (0..400).map(|i| if i % 7 == 0 { 3.9 } else { 2.1 });
    assert_eq!(diagnose(&history(jumpy)).rule, Rule::Learning);
    assert_eq!(diagnose(&history([0.01; 50].into_iter().chain([0.04; 10]))).rule, Rule::Learning);
}

#[test]
fn learning_by_heart_is_told_from_learning() {
    let mut history = history([0.9; 200]);
    history.validations = vec![(200, 2.6)];
    says(&history, Rule::Memorising, "memorising: train 0.90, validation 2.60");
    history.validations = vec![(100, 1.1), (200, 1.2)];
    says(&history, Rule::Memorising, "memorising: train 0.90, validation 1.20, and it was 1.10 at step 100");
    // What wavers by a hundredth, or lies below training, is none.
    for validations in [vec![(100, 1.1), (200, 1.11)], vec![(100, 0.5), (200, 0.6)]] {
        history.validations = validations;
        assert_eq!(diagnose(&history).rule, Rule::Learning);
    }
    // A look at what is held back before any loss is known.
    history.losses.clear();
    assert_eq!(diagnose(&history).rule, Rule::Beginning);
}

fn measures(layers: &[(usize, usize)], norms: &[f64], update_ratio: f64) -> Measures {
    let layers = layers.iter().map(|&(dead, units)| OfLayer { dead, units, ..OfLayer::default() });
    let matrix = |name: String, grad_norm| OfMatrix { name, grad_norm, update_ratio };
    let matrices = norms.iter().enumerate().flat_map(|(i, &norm)| {
        let names = ["attn_wq", "mlp_fc1"].map(|name| format!("layer{i}.{name}"));
        [matrix(names[0].clone(), 3.0 * norm), matrix(names[1].clone(), 4.0 * norm)]
    });
    let wte = matrix("wte".into(), 1.0);
    Measures {
        step: 100,
        grad_norm: 1.0,
        update_ratio,
        layers: layers.collect(),
        matrices: std::iter::once(wte).chain(matrices).collect(),
        ..Measures::default()
    }
}

#[test]
fn what_is_seen_inside_is_told() {
    let with =
        |losses: f64, measures: Measures| History { measures: Some(measures), ..history([losses; 100]) };
    let dead = with(2.5, measures(&[(12, 64)], &[1.0], 1e-3));
    says(&dead, Rule::DeadUnits, "12 of 64 units are dead: no gradient comes through");
    let deeper = with(2.5, measures(&[(2, 64), (20, 64)], &[1.0, 1.0], 1e-3));
    says(&deeper, Rule::DeadUnits, "20 of 64 units of layer 1 are dead: no gradient comes through");
    assert_eq!(diagnose(&with(2.5, measures(&[(6, 64)], &[1.0], 1e-3))).rule, Rule::Learning);

    let norms = measures(&[(0, 64); 3], &[1e-5, 1e-3, 0.2], 1e-3);
    assert!(layer_norms(&norms).iter().zip([5e-5, 5e-3, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12));
    says(&with(2.5, norms), Rule::Vanishing, "gradients vanish: layer 0 has 5.0e-5, layer 2 has 1.0e0");
    let wild = "updates are wild: in one step the weights move by 25 % of their size (a lower lr?)";
    says(&with(2.5, measures(&[], &[1.0], 0.25)), Rule::Exploding, wild);
    let slow = "the learning rate is too low: a step moves the weights by 2e-4 % of their size";
    says(&with(2.5, measures(&[], &[1.0], 2e-6)), Rule::TooLow, slow);
    // At the end of a schedule that is as it should be; so is it as long as the loss falls.
    let end = History { steps: 105, ..with(2.5, measures(&[], &[1.0], 2e-6)) };
    assert_eq!(diagnose(&end).rule, Rule::Learning);
    let falls = History { losses: history(falling(100)).losses, ..with(2.5, measures(&[], &[1.0], 2e-6)) };
    assert_eq!(diagnose(&falls).rule, Rule::Learning);
}

#[test]
fn what_no_longer_falls_stands_still() {
    says(&history([2.31; 900]), Rule::StandsStill, "stands still: the loss has been 2.31 for 225 steps");
    assert_eq!(diagnose(&history(falling(1600).map(|loss| loss - 1.0))).rule, Rule::StandsStill);
    assert_eq!(diagnose(&history((0..900).map(|i| 3.0 - f64::from(i) * 1e-3))).rule, Rule::Learning);
}
