//! Learning rates: `tests/interop/schedule.py`.

use crate::golden::Golden;
use microgpt::Config;
use microgpt::schedule::Schedule;

#[test]
fn learning_rates_are_pytorchs() {
    let golden = Golden::read("schedule");
    let [steps, warmup] = golden.get("sizes").numbers[..] else { panic!("two sizes") };
    let plain = Config { lr: 0.02, steps: steps as usize, wsd_decay: 0.25, ..Config::default() };
    let warm = Config { warmup: warmup as usize, lr_end: 0.1, ..plain.clone() };
    for (name, schedule, config) in [
        ("constant", Schedule::Constant, &plain),
        ("linear", Schedule::Linear, &plain),
        ("cosine", Schedule::Cosine, &plain),
        ("one_cycle", Schedule::OneCycle, &plain),
        ("warm_constant", Schedule::Constant, &warm),
        ("warm_linear", Schedule::Linear, &warm),
        ("warm_cosine", Schedule::Cosine, &warm),
        ("warm_wsd", Schedule::Wsd, &warm),
        ("warm_one_cycle", Schedule::OneCycle, &warm),
    ] {
        let config = Config { schedule, ..config.clone() };
        let found: Vec<f64> = (0..config.steps).map(|step| config.rate(step)).collect();
        golden.get(name).hold(&found, "schedule");
    }
}
