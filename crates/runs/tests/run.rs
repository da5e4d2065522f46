//! Runs on the disk: what is saved comes back to the last bit, and what is damaged is an error, never a panic.

use microgpt::batch::Batch;
use microgpt::checkpoint::Checkpoint;
use microgpt::choices::Choice;
use microgpt::corpus::Corpus;
use microgpt::documents::Documents;
use microgpt::engine::Precision;
use microgpt::optimizer::OptimizerKind;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::schedule::Schedule;
use microgpt::train::Trainer;
use microgpt::{Config, ErrorKind};
use microgpt_runs::run::{BEST, LATEST};
use microgpt_runs::state::Best;
use microgpt_runs::weights::Stored;
use microgpt_runs::{Run, Settings};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::fs;
use std::path::{Path, PathBuf};

fn settings() -> Settings {
    let config = Config { n_embd: 4, n_head: 2, block_size: 4, steps: 6, batch_size: 2, ..Config::default() };
    Settings { config, ..Settings::default() }
}

/// A run in `folder` after two steps.
fn saved(folder: &Path) -> (Run, Checkpoint<f64>) {
    let run = Run::create(&folder.join("run").display().to_string()).unwrap();
    let settings = settings();
    let mut rng = Rng::new(1);
    let mut corpus = Corpus::new(Documents::from_lines("anna\nbob\nèva 🙂\n".into()).unwrap());
    let mut trainer = Trainer::new(settings.config.clone(), corpus.tokenizer.vocab_size(), &mut rng).unwrap();
    let mut metrics = run.metrics(0).unwrap();
    let mut batch = Batch::default();
    for i in 0..2 {
        corpus.fill(&mut batch, 2 * i, 2, 4).unwrap();
        metrics.push(&trainer.step(&batch).unwrap(), None, None).unwrap();
    }
    let checkpoint = trainer.checkpoint(&corpus.tokenizer, &rng);
    run.write_settings(&settings).unwrap();
    run.write_tokenizer(&corpus.tokenizer).unwrap();
    run.save(&checkpoint, "0123").unwrap();
    (run, checkpoint)
}

fn files(run: &Run) -> Vec<PathBuf> {
    let latest = run.path().join("checkpoints/latest");
    let inside = ["model.safetensors", "optimizer.safetensors", "state.json"].map(|name| latest.join(name));
    inside.into_iter().chain(["config.toml", "tokenizer.json"].map(|name| run.path().join(name))).collect()
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    let root = tempfile::tempdir().unwrap();
    let (run, checkpoint) = saved(root.path());
    for name in ["run", "run/checkpoints/latest"] {
        let again = Run::find(&root.path().join(name).display().to_string()).unwrap().load::<f64>().unwrap();
        assert_eq!((&again.settings, &again.checkpoint), (&settings(), &checkpoint));
        assert_eq!(again.data_sha256, "0123");
    }
    run.save(&checkpoint, "4567").unwrap();
    let mut trainer = Trainer::resume(checkpoint.clone()).unwrap();
    let before = files(&run).iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    run.save_training(&mut trainer, &Rng::restore(&checkpoint.rng).unwrap(), "4567", None).unwrap();
    assert!(before == files(&run).iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>());
    assert_eq!(run.load::<f64>().unwrap().data_sha256, "4567");
}

/// Saved in the middle, loaded and gone on with: the bits of a training that was never stopped, whatever the optimiser.
#[test]
fn a_training_goes_on_to_the_same_bits_with_every_optimiser() {
    fn check<R: Stored + Precision>(config: &Config) {
        let root = tempfile::tempdir().unwrap();
        let run = Run::create(&root.path().join("run").display().to_string()).unwrap();
        let settings = Settings { config: config.clone(), ..Settings::default() };
        let (mut rng, mut batch) = (Rng::new(1), Batch::default());
        let mut corpus = Corpus::new(Documents::from_lines("anna\nbob\nèva 🙂\n".into()).unwrap());
        let mut trainer = Trainer::<R>::new(config.clone(), corpus.tokenizer.vocab_size(), &mut rng).unwrap();
        let mut step = |trainer: &mut Trainer<R>, i: usize| {
            corpus.fill(&mut batch, 2 * i, 2, 4).unwrap();
            trainer.step(&batch).unwrap().loss
        };
        (0..3).for_each(|i| _ = step(&mut trainer, i));
        run.write_settings(&settings).unwrap();
        run.write_tokenizer(
            &Corpus::new(Documents::from_lines("anna\nbob\nèva 🙂\n".into()).unwrap()).tokenizer,
        )
        .unwrap();
        run.save_training(&mut trainer, &rng, "0123", None).unwrap();
        let mut again = Trainer::resume(run.load::<R>().unwrap().checkpoint).unwrap();
        for i in 3..6 {
            assert_eq!(step(&mut trainer, i), step(&mut again, i), "{}", config.optimizer);
        }
        assert!(*trainer.params() == *again.params() && trainer.remembered() == again.remembered());
        let names: Vec<&str> = again.remembered().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, microgpt::optim::remembers(config));
        // An edited setting is told from damage.
        let other = if names[0] == "m" { OptimizerKind::Sgd } else { OptimizerKind::Adam };
        let config = Config { optimizer: other, momentum: 0.0, ..config.clone() };
        run.write_settings(&Settings { config, ..Settings::default() }).unwrap();
        let error = run.load::<R>().unwrap_err().to_string();
        assert!(error.contains("config.toml: ") && error.contains(", as this run was trained, "), "{error}");
    }
    for &optimizer in OptimizerKind::ALL {
        for momentum in [0.0, 0.9] {
            let config = Config {
                optimizer,
                momentum,
                schedule: Schedule::OneCycle,
                weight_decay: 0.1,
                grad_clip: 1.0,
                ema: 0.5,
                ..settings().config
            };
            check::<f64>(&config);
            check::<f32>(&Config { engine: EngineKind::Fast, ..config });
        }
    }
}

#[test]
fn a_run_is_never_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let (run, _) = saved(root.path());
    let error = Run::create(&run.path().display().to_string()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("expected the name of a new run, found one that is there"), "{error}");
    assert!(Run::create(&files(&run)[0].display().to_string()).is_err());
    fs::create_dir(root.path().join("empty")).unwrap();
    assert!(Run::create(&root.path().join("empty").display().to_string()).is_ok());
}

#[test]
fn each_damage_is_named_with_its_file() {
    let root = tempfile::tempdir().unwrap();
    let (run, checkpoint) = saved(root.path());
    let latest = run.path().join("checkpoints/latest");
    // Without sums, damage is found all the same where it makes no sense.
    fs::remove_file(latest.join("SHA256SUMS")).unwrap();
    let error = |file: &str, content: Option<&[u8]>| {
        let path = [latest.join(file), run.path().join(file)].into_iter().find(|path| path.exists()).unwrap();
        let before = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = run.load::<f64>().unwrap_err();
        fs::write(&path, before).unwrap();
        assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    let whole = fs::read(latest.join("model.safetensors")).unwrap();
    let text = error("model.safetensors", Some(&whole[..whole.len() / 2]));
    assert!(text.contains("model.safetensors: expected a whole safetensors file, found "), "{text}");
    let text = error("model.safetensors", Some(&fs::read(latest.join("optimizer.safetensors")).unwrap()));
    assert!(text.contains("expected tensor wte [9, 4] F64, found no such tensor"), "{text}");
    let text = error("model.safetensors", None);
    assert!(text.contains("expected the tensors of a run, found no such file"), "{text}");
    let text = error("tokenizer.json", Some(br#"{"format_version":1,"ki\nd":"x"}"#));
    assert!(text.contains("found unknown field `ki\\nd`"), "{text}");
    let text = error("state.json", Some(b"{}"));
    assert!(text.contains("expected the state of a run (JSON), found missing field"), "{text}");
    let state = fs::read_to_string(latest.join("state.json")).unwrap();
    let text = error("state.json", Some(state.replace("f64", "f16").as_bytes()));
    assert!(text.ends_with("precision: expected f64, found f16"), "{text}");
    let text = error("state.json", Some(state.replace("\"step\":2", "\"step\":3").as_bytes()));
    assert!(text.ends_with("data_cursor: expected step (3) times batch_size (2), found 4"), "{text}");
    let text =
        error("tokenizer.json", Some(br#"{"format_version":1,"kind":"characters","characters":"ba"}"#));
    assert!(text.contains("expected"), "{text}");
    let config = fs::read_to_string(run.path().join("config.toml")).unwrap();
    let text = error("config.toml", Some(config.replace("n_embd = 4", "n_embd = 8").as_bytes()));
    assert!(text.contains("expected "), "{text}");

    let mut broken = checkpoint.clone();
    broken.memory[1].1[3] = f64::NAN;
    run.save(&broken, "").unwrap();
    let text = run.load::<f64>().unwrap_err().to_string();
    assert!(text.ends_with("v: expected numbers, found NaN at wte[0, 3]"), "{text}");
}

#[test]
fn each_byte_that_is_flipped_in_a_checkpoint_is_found() {
    let root = tempfile::tempdir().unwrap();
    let (run, checkpoint) = saved(root.path());
    let latest = run.path().join("checkpoints/latest");
    for file in ["model.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"] {
        let whole = fs::read(latest.join(file)).unwrap();
        for at in (0..whole.len()).step_by(if whole.len() > 1000 { 37 } else { 1 }) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(latest.join(file), bytes).unwrap();
            let error = run.load::<f64>().err();
            let error = error.unwrap_or_else(|| panic!("{file}: byte {at} is another, and nothing is said"));
            assert!(error.to_string().ends_with("found others: the checkpoint is damaged"), "{error}");
        }
        fs::write(latest.join(file), whole).unwrap();
    }
    assert_eq!(run.load::<f64>().unwrap().checkpoint, checkpoint);
}

#[test]
fn settings_that_were_edited_are_named() {
    let root = tempfile::tempdir().unwrap();
    let (run, _) = saved(root.path());
    assert_eq!(run.load::<f64>().unwrap().changed, []);
    let config = fs::read_to_string(run.path().join("config.toml")).unwrap();
    fs::write(run.path().join("config.toml"), config.replace("lr = 0.01", "lr = 0.02")).unwrap();
    assert_eq!(run.load::<f64>().unwrap().changed, [("lr", "0.01".to_string(), "0.02".to_string())]);
}

#[test]
fn the_best_checkpoint_stands_beside_the_latest() {
    let root = tempfile::tempdir().unwrap();
    let (run, checkpoint) = saved(root.path());
    let error = run.clone().with_checkpoint(BEST).unwrap_err().to_string();
    assert!(
        error.contains("checkpoints/best: expected a checkpoint, found none; the best is kept"),
        "{error}"
    );
    let mut trainer = Trainer::resume(checkpoint.clone()).unwrap();
    let best = Some(Best { step: 2, val_loss: 1.0, looks_since: 0 });
    run.save_training(&mut trainer, &Rng::restore(&checkpoint.rng).unwrap(), "0123", best).unwrap();
    assert_eq!(run.step_of(BEST), Some(2));
    // A program that ended between the two: whoever goes on does the rest.
    fs::remove_dir_all(run.path().join("checkpoints/best")).unwrap();
    drop(run.lock().unwrap());
    let later = Checkpoint { step: 3, ..checkpoint.clone() };
    run.save(&later, "0123").unwrap();
    assert_eq!((run.step_of(LATEST), run.step_of(BEST)), (Some(3), Some(2)));
    let best = run.clone().with_checkpoint(BEST).unwrap();
    assert_eq!(best.load::<f64>().unwrap().checkpoint, checkpoint);
    // Whoever goes on from the best one replaces the latest.
    best.save(&Checkpoint { step: 4, ..checkpoint }, "0123").unwrap();
    assert_eq!((run.step_of(LATEST), run.step_of(BEST)), (Some(4), Some(2)));
}

#[test]
fn a_folder_whose_run_was_ended_before_it_began_is_free() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("run");
    fs::create_dir(&place).unwrap();
    for name in [".lock", "tokenizer.json", ".config.toml.new"] {
        fs::write(place.join(name), "half a fi").unwrap();
    }
    assert!(Run::create(&place.display().to_string()).is_ok());
    fs::write(place.join("config.toml"), "").unwrap();
    assert!(Run::create(&place.display().to_string()).is_err());
}

/// Where, with which byte, and in which way a file is damaged.
type Damage = (prop::sample::Index, u8, u8);

fn damage(bytes: &mut Vec<u8>, (at, byte, how): Damage) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    match how {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, byte),
        2 => _ = bytes.remove(at),
        // Where a safetensors file says what is in it.
        3 => bytes[at % 64] = byte,
        _ => bytes[at] ^= byte,
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let root = tempfile::tempdir().unwrap();
    let (run, _) = saved(root.path());
    // With sums, it would be found before it is met.
    fs::remove_file(run.path().join("checkpoints/latest/SHA256SUMS")).unwrap();
    let files = files(&run);
    let whole: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let damages =
        prop::collection::vec(any::<Damage>().prop_map(|(at, byte, how)| (at, byte, how % 5)), 1..4);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() });
    let done = runner.run(&(0..files.len(), damages), |(file, damages)| {
        let mut bytes = whole[file].clone();
        damages.into_iter().for_each(|d| damage(&mut bytes, d));
        fs::write(&files[file], bytes).unwrap();
        let loaded = run.load::<f64>();
        fs::write(&files[file], &whole[file]).unwrap();
        match loaded {
            Ok(saved) => prop_assert!(Trainer::resume(saved.checkpoint).is_ok()),
            // One line, or with the formula and a mark below it (an activation in config.toml).
            Err(error) => {
                let error = error.to_string();
                let lines: Vec<_> = error.lines().collect();
                let marked = lines.len() == 3 && lines[2].trim() == "^";
                prop_assert!(lines.len() == 1 || marked, "{}", error)
            }
        }
        Ok(())
    });
    done.unwrap();
}
