use super::*;

fn sweep(text: &str) -> Sweep {
    Sweep::read(text, "s.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn names(runs: &[Planned]) -> Vec<String> {
    runs.iter().map(|run| name(&run.label)).collect()
}

#[test]
fn every_value_with_every_other_and_every_seed() {
    let sweep = sweep(
        "engine = \"fast\"\n[sweep]\nseeds = 2\nseconds = 0.5\n[grid]\nlr = [0.1, 1e-2]\nn_layer = [1, 2]\n",
    );
    let runs = sweep.runs(|_| 0).unwrap();
    assert_eq!(
        names(&runs)[..5],
        [
            "lr=0.1,n_layer=1,seed=1",
            "lr=0.1,n_layer=1,seed=2",
            "lr=0.1,n_layer=2,seed=1",
            "lr=0.1,n_layer=2,seed=2",
            "lr=1e-2,n_layer=1,seed=1"
        ]
    );
    assert_eq!(runs.len(), 8);
    let config = &runs[7].settings.config;
    assert_eq!((config.lr, config.n_layer, config.seed, runs[7].seconds), (0.01, 2, 2, Some(0.5)));
    assert_eq!((runs[6].point, runs[7].point, config.val_fraction, config.eval_size), (3, 3, 0.1, 1000));
    assert!(sweep.tuning().unwrap().is_empty() && !sweep.tunes());
    // What is held back may be said, in a preset too.
    let said = Sweep::read("val_fraction = 0.0\n", "s").unwrap().runs(|_| 0).unwrap();
    assert_eq!((said.len(), said[0].settings.config.val_fraction, &*name(&said[0].label)), (1, 0.0, "run"));
}

#[test]
fn cases_stand_one_by_one_and_stand_in_for_what_is_tried_and_tuned() {
    let sweep = sweep(
        "[sweep]\nseeds = [7]\n[grid]\nn_embd = [8, 16]\n[tune]\nseeds = [1, 2]\nlr = [0.1, 0.2]\n\
         [[case]]\nname = \"as it is\"\n[[case]]\nname = \"lion\"\noptimizer = \"lion\"\nlr = [0.01, 0.02, 0.03]\nn_embd = 8\n",
    );
    let tuning = sweep.tuning().unwrap();
    // Two widths of two rates, and one of three; each with two seeds.
    assert_eq!(tuning.len(), (2 * 2 + 3) * 2);
    assert!(tuning.iter().all(|run| run.tuning));
    assert_eq!(name(&tuning[0].label), "as_it_is,n_embd=8,lr=0.1,seed=1");
    let runs = sweep.runs(|point| if point == 2 { 2 } else { 0 }).unwrap();
    assert_eq!(
        names(&runs),
        ["as_it_is,n_embd=8,lr=0.1,seed=7", "as_it_is,n_embd=16,lr=0.1,seed=7", "lion,lr=0.03,seed=7"]
    );
    assert_eq!((sweep.choices(0).unwrap(), sweep.choices(2).unwrap()), (2, 3));
    assert_eq!(runs[2].settings.config.n_embd, 8);
}

#[test]
fn draws_stay_in_their_range_and_more_of_them_begin_with_the_same() {
    let text = |runs| {
        format!(
            "[random]\nruns = {runs}\nseed = 5\nlr = {{ min = 1e-4, max = 0.1, log = true }}\nn_embd = [8, 16]\nsteps = {{ min = 10, max = 20 }}\nbeta1 = {{ min = 0.8, max = 0.9 }}\n"
        )
    };
    let runs = sweep(&text(400)).runs(|_| 0).unwrap();
    let configs: Vec<&Config> = runs.iter().map(|run| &run.settings.config).collect();
    assert!(configs.iter().all(|c| (1e-4..=0.1).contains(&c.lr) && (0.8..=0.9).contains(&c.beta1)));
    assert!(configs.iter().all(|c| (10..=20).contains(&c.steps)));
    // Evenly in the logarithm: a third of them in each decade.
    let low = configs.iter().filter(|c| c.lr < 1e-3).count();
    assert!((100..170).contains(&low), "{low}");
    assert!(configs.iter().any(|c| c.steps == 10) && configs.iter().any(|c| c.steps == 20));
    let few = sweep(&text(3)).runs(|_| 0).unwrap();
    assert_eq!(names(&few), names(&runs)[..3]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, expected) in [
        ("lr = ", "s.toml:1: expected TOML, found a mistake: "),
        ("\nlrr = 1\n", "s.toml:2: lrr: no such setting; did you mean lr?"),
        ("[grid]\nlr = 0.1\n", "s.toml:2: lr: expected a list of values, as in [1, 2], found another number"),
        ("[grid]\nlr = []\n", "s.toml:2: lr: expected a list of values, as in [1, 2], found an empty list"),
        ("[grid]\nlr = [0.1, \"x\"]\n", "s.toml:2: lr: expected a number, found \"x\""),
        ("[grid]\nnorm = [\"layernrm\"]\n", "s.toml:2: norm: expected one of rmsnorm, "),
        ("[grid]\nn_layer = [0]\n", "s.toml: n_layer=0: n_layer: expected at least 1, found 0"),
        (
            "[sweeps]\n",
            "s.toml:1: sweeps: expected [sweep], [grid], [random], [tune] or [[case]], found [sweeps]",
        ),
        ("[sweep]\nseed = 1\n", "s.toml:2: seed: expected seeds or seconds in [sweep], found another word"),
        (
            "[sweep]\nseeds = 0\n",
            "s.toml:2: seeds: expected how many seeds, or a list of them, found another number",
        ),
        ("[sweep]\nseconds = -1\n", "s.toml:2: seconds: expected a number of seconds above 0, found -1.0"),
        ("[random]\nlr = [1]\n", "s.toml:1: random: expected runs = N, how many to draw, found none"),
        (
            "[random]\nruns = 1\nlr = { min = 1 }\n",
            "s.toml:3: lr: expected numbers for min and max, found a range without",
        ),
        (
            "[random]\nruns = 1\nlr = { min = 0, max = 1, log = true }\n",
            "s.toml:3: lr: expected min above 0 and below max, found 0.0 and 1.0",
        ),
        (
            "[random]\nruns = 1\nnorm = { min = 0, max = 1 }\n",
            "s.toml:3: norm: expected a list of values, as in [1, 2], found a range",
        ),
        (
            "[random]\nruns = 1\nlrr = { min = 0, max = 1 }\n",
            "s.toml:3: lrr: no such setting; did you mean lr?",
        ),
        (
            "[tune]\nseeds = 2\n",
            "s.toml:1: tune: expected a setting to tune, as in lr = [0.01, 0.02], found none",
        ),
        ("[case]\nname = \"x\"\n", "s.toml:1: case: expected [[case]], in two brackets, found another"),
        ("[[case]]\nlr = 0.1\n", "s.toml:1: [[case]]: expected a name, found none"),
        (
            "[[case]]\nname = \"a\"\n[[case]]\nname = \"a\"\n",
            "s.toml: case a: expected one of that name, found two",
        ),
        ("preset = \"microgtp\"\n", "s.toml:1: preset: expected one of "),
        (
            "[random]\nruns = 100000\n[sweep]\nseeds = 2\n",
            "s.toml: expected at most 100,000 runs, found 200000",
        ),
    ] {
        let found = Sweep::read(text, "s.toml").and_then(|sweep| sweep.runs(|_| 0)).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{text:?}\nexpected {expected}\nfound    {found}");
    }
}
