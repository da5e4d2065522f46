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

/// All presets; the first is the default.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "microgpt",
        text: include_str!("../../../presets/microgpt.toml"),
        heading: "inference",
        names: true,
    },
    Preset {
        name: "microgpt-final",
        text: include_str!("../../../presets/microgpt-final.toml"),
        heading: "inference (new, hallucinated names)",
        names: true,
    },
    Preset {
        name: "shakespeare-char",
        text: include_str!("../../../presets/shakespeare-char.toml"),
        heading: "samples",
        names: false,
    },
    Preset {
        name: "task",
        text: include_str!("../../../presets/task.toml"),
        heading: "samples",
        names: true,
    },
    Preset {
        name: "names-best",
        text: include_str!("../../../presets/names-best.toml"),
        heading: "samples",
        names: true,
    },
];

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

    #[test]
    fn a_preset_is_found_and_a_wrong_name_explained() {
        assert_eq!(Preset::find("microgpt_final").unwrap().name, "microgpt-final");
        assert_eq!(
            Preset::find("microgtp").unwrap_err().to_string(),
            "expected one of microgpt, microgpt-final, shakespeare-char, task, names-best, found \"microgtp\" (did you mean microgpt?)"
        );
        assert!(PRESETS.iter().all(|preset| preset.text.starts_with("# ") && preset.about().len() > 20));
    }
}
