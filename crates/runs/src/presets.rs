//! Named settings that are built into the program: the files in `presets/`.

use microgpt::Error;
use microgpt::choices::nearest;

/// Settings with a name.
#[derive(Debug)]
pub struct Preset {
    /// What `--preset` calls it.
    pub name: &'static str,
    /// The TOML file: comments, and what differs from the defaults.
    pub text: &'static str,
    /// What stands above its samples; the two revisions of microgpt.py differ in this too.
    pub heading: &'static str,
    /// Does it learn the names that are built in, if no text is given?
    pub names: bool,
}

/// What stands above the samples, unless it is microgpt.py's.
const SAMPLES: &str = "samples";

/// A line for each: name, heading, and whether the names that are built in are its text.
macro_rules! presets {
    ($($name:literal $heading:expr, $names:literal;)+) => {
        &[$(Preset {
            name: $name,
            text: include_str!(concat!("../../../presets/", $name, ".toml")),
            heading: $heading,
            names: $names,
        }),+]
    };
}

/// All presets; the first is the default.
pub const PRESETS: &[Preset] = presets! {
    "microgpt" "inference", true;
    "microgpt-final" "inference (new, hallucinated names)", true;
    "names-best" SAMPLES, true;
    "task" SAMPLES, true;
    "shakespeare-char" SAMPLES, false;
    "gpt2-toy" SAMPLES, true;
    "llama-toy" SAMPLES, true;
    "nanochat-toy" SAMPLES, true;
    "gpt2" SAMPLES, false;
    "llama" SAMPLES, false;
    "nanochat" SAMPLES, false;
};

impl Preset {
    /// The preset of that name.
    ///
    /// # Errors
    /// There is none: the error lists them all, and says which is nearest.
    pub fn find(name: &str) -> Result<&'static Preset, Error> {
        let wanted = name.replace('_', "-");
        PRESETS.iter().find(|preset| preset.name == wanted).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            let hint = nearest(&wanted, &names).map(|n| format!(" (did you mean {n}?)")).unwrap_or_default();
            Error::config(format!("expected one of {}, found {name:?}{hint}", names.join(", ")))
        })
    }

    /// Its first comment.
    pub fn about(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Assignment, Settings};
    use microgpt::Config;
    use microgpt::layout::Layout;

    fn config(name: &str) -> Config {
        let choice = Assignment { place: "--preset".into(), name: "preset".into(), value: name.into() };
        Settings::resolve(&[choice]).unwrap().config
    }

    #[test]
    fn a_preset_is_found_and_a_wrong_name_explained() {
        assert_eq!(Preset::find("microgpt_final").unwrap().name, "microgpt-final");
        let error = Preset::find("microgtp").unwrap_err().to_string();
        assert!(error.starts_with("expected one of microgpt, microgpt-final, names-best, "), "{error}");
        assert!(error.ends_with(", found \"microgtp\" (did you mean microgpt?)"), "{error}");
        assert!(PRESETS.iter().all(|preset| preset.text.starts_with("# ") && preset.about().len() > 20));
    }

    /// The counts that were published with the weights, which every shape must meet to be right.
    #[test]
    fn the_well_known_models_have_their_published_size() {
        for (name, published) in [("gpt2", 124_439_808), ("llama", 1_235_814_400), ("nanochat", 560_988_160)]
        {
            let (toy, config) = (config(&format!("{name}-toy")), config(name));
            assert_eq!(Layout::new(&config, config.vocab_size).len(), published, "{name}");
            let size = Layout::new(&toy, 27).len();
            assert!((50_000..150_000).contains(&size), "{name}-toy: {size}");
            // The toy is the same model in small: what is no size, no data and no course is equal.
            for knob in Config::knobs().iter().filter(|knob| knob.group == "model") {
                let sizes =
                    ["n_layer", "n_head", "n_kv_head", "n_embd", "mlp_hidden", "block_size", "rope_base"];
                if !sizes.contains(&knob.name) {
                    assert_eq!(toy.get(knob.name), config.get(knob.name), "{name}: {}", knob.name);
                }
            }
        }
    }
}
