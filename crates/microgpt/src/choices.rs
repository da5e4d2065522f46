//! Lists of things to choose from. One line in a list makes a variant; its name for flags, files and help follows.

/// What every `choices!` list offers, so that a front-end can show it without knowing it.
pub trait Choice: Sized + Copy + PartialEq + 'static {
    /// Every variant, in the order of the list.
    const ALL: &'static [Self];
    /// What is chosen, in a word: `activation`.
    const WHAT: &'static str;
    /// The name in flags and files: `squared_relu`.
    fn name(self) -> &'static str;
    /// One line of help.
    fn help(self) -> &'static str;

    /// The variant of that name; `-` and `_` are the same.
    ///
    /// # Errors
    /// An unknown name: the error says which is nearest, and lists them all.
    fn parse(name: &str) -> Result<Self, crate::Error> {
        let wanted = name.replace('-', "_");
        Self::ALL.iter().copied().find(|choice| choice.name() == wanted).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|choice| choice.name()).collect();
            let hint = nearest(&wanted, &names).map(|n| format!(" (did you mean {n}?)")).unwrap_or_default();
            crate::Error::config(format!(
                "{}: expected one of {}, found {name:?}{hint}",
                Self::WHAT,
                names.join(", ")
            ))
        })
    }
}

/// Makes an enum of choices: `choices! { /// docs  pub enum Name: "word" { /// help  Variant = "name", ... } }`.
#[macro_export]
macro_rules! choices {
    ($(#[$doc:meta])* pub enum $Name:ident: $what:literal {
        $( #[doc = $help:expr] $(#[doc = $more:expr])* $Variant:ident = $name:literal ),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Name { $( #[doc = $help] $(#[doc = $more])* $Variant ),+ }

        impl $crate::choices::Choice for $Name {
            const ALL: &'static [Self] = &[$($Name::$Variant),+];
            const WHAT: &'static str = $what;
            fn name(self) -> &'static str {
                match self { $($Name::$Variant => $name),+ }
            }
            fn help(self) -> &'static str {
                match self { $($Name::$Variant => $help.trim_ascii()),+ }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::choices::Choice::name(*self))
            }
        }
    };
}

/// The name that `wanted` was probably meant to be: the one fewest edits away, if those are few.
pub fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let (distance, name) = names.iter().map(|name| (edits(wanted, name), *name)).min()?;
    (distance <= 1 + wanted.chars().count() / 3).then_some(name)
}

/// How many letters to insert, delete or replace (two neighbours swapped count as one) to get from `a` to `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["n_layer", "n_head", "n_embd", "steps"];
        assert_eq!(nearest("n_haed", &names), Some("n_head"));
        assert_eq!(nearest("nembd", &names), Some("n_embd"));
        assert_eq!(nearest("temperature", &names), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
