//! The rules of the house, read from the sources: what may use what, what depends on what, how long a file may be.
//!
//! - A module uses only modules that stand above it in `lib.rs`, tests excepted.
//! - What sees slices sees no tensors, and the other way round ([`STRANGERS`]).
//! - The arithmetic and the core depend on nothing but each other; `kernels` may have `gemm`'s parts.
//! - A file has at most 500 lines; `microgpt.rs` has at most 300, and needs the standard library alone.

#![expect(clippy::disallowed_methods, reason = "a test of the sources reads them")]

use std::path::{Path, PathBuf};

/// A file longer than this does not fit in one head: split it.
const LONGEST: usize = 500;

/// Files that may be longer, and how long. An exception that is no longer needed must go.
const EXCEPTIONS: [(&str, usize); 0] = [];

/// Who may not know whom, though it stands above. `train` is the first to know tensors and slices.
const STRANGERS: [(&str, &[&str]); 5] = [
    ("schedule", &["tensor", "engine", "layout", "model"]),
    ("model", &["engine", "real", "rng"]),
    ("optim", &["tensor", "engine", "model"]),
    ("exchange", &["tensor", "engine", "model"]),
    ("diagnosis", &["tensor", "engine", "model", "train"]),
];

#[test]
fn a_module_uses_only_those_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &PathBuf| slashes(path.strip_prefix(&src).unwrap());
    let files: Vec<(String, String)> = sources(&src).iter().map(|path| (name(path), read(path))).collect();
    assert!(files.len() > 20, "found {files:?}");
    none_of(&misuses(&read(&src.join("lib.rs")), &files), "the order of lib.rs");
}

#[test]
fn the_core_depends_on_nothing_else() {
    for name in ["kernels", "microgpt"] {
        let manifest = read(&root().join("crates").join(name).join("Cargo.toml"));
        none_of(&foreign(&manifest, &["gemm-f32", "gemm-common"]), name);
    }
}

#[test]
fn files_fit_in_one_head() {
    let files = sources(&root().join("crates"));
    assert!(files.len() > 20);
    let name = |path: &PathBuf| slashes(path.strip_prefix(root()).unwrap());
    let sizes: Vec<(String, usize)> = files.iter().map(|p| (name(p), read(p).lines().count())).collect();
    none_of(&too_long(&sizes, &EXCEPTIONS), "length of files");
}

#[test]
fn the_whole_algorithm_is_one_short_file() {
    let text = read(&root().join("microgpt.rs"));
    let lines = text.lines().count();
    assert!(lines <= 300, "microgpt.rs: expected at most 300 lines, found {lines}");
    let tokens = tokens(&text);
    let after = |word: &'static str| tokens.windows(2).filter(move |w| w[0] == word).map(|w| w[1].as_str());
    assert!(after("use").all(|first| first == "std"), "microgpt.rs uses more than std");
    assert!(after("extern").chain(after("mod")).next().is_none(), "microgpt.rs is not alone");
}

// ---- The rules themselves.

/// Each use of a module that stands below the one that uses it, or is a stranger to it.
fn misuses(lib: &str, files: &[(String, String)]) -> Vec<String> {
    let lib = without_tests(&tokens(lib));
    let modules: Vec<&str> = lib.windows(2).filter(|w| w[0] == "mod").map(|w| w[1].as_str()).collect();
    // `pub use error::{Error, ErrorKind};`: to use `crate::Error` is to use `error`.
    let home = |name: &str| -> Option<usize> {
        let place = |name: &str| modules.iter().position(|module| *module == name);
        place(name).or_else(|| {
            let exports = lib.split(|token| token == ";").filter(|item| item.iter().any(|t| t == "use"));
            let export = exports.into_iter().find(|item| item.iter().any(|t| t == name))?;
            place(&export[1 + export.iter().position(|t| t == "use")?])
        })
    };
    // What lib.rs defines itself is everybody's.
    let kinds = ["const", "fn", "struct", "enum", "trait", "type"];
    let roots = |name: &str| lib.windows(2).any(|w| kinds.contains(&w[0].as_str()) && w[1] == name);
    let mut found = Vec::new();
    for (file, text) in files {
        let path: Vec<&str> = file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
        let Some(own) = modules.iter().position(|module| *module == path[0]) else {
            continue; // lib.rs itself, and modules of tests
        };
        if path.last() == Some(&"tests") {
            continue;
        }
        for name in used(&without_tests(&tokens(text)), path.len()) {
            let strange = STRANGERS.iter().any(|(me, they)| *me == path[0] && they.contains(&name.as_str()));
            match home(&name) {
                Some(place) if place <= own && !strange => {}
                Some(place) if place <= own => found.push(format!("{file} knows {name}, a stranger to it")),
                Some(_) => found.push(format!("{file} uses {name}, which stands below it")),
                None if roots(&name) => {}
                None => found.push(format!("{file} uses crate::{name}, which is no module")),
            }
        }
    }
    found
}

/// The first names of all paths from the crate's root, in a module that is `depth` deep.
fn used(tokens: &[String], depth: usize) -> Vec<String> {
    let mut names = Vec::new();
    for i in 0..tokens.len() {
        let supers = tokens[i..].chunks(2).take_while(|pair| *pair == ["super", "::"]).count();
        let chained = i > 0 && tokens[i - 1] == "::";
        let start = match tokens[i].as_str() {
            "crate" if tokens.get(i + 1).is_some_and(|t| t == "::") => i + 2,
            "super" if supers >= depth && !chained => i + 2 * supers,
            _ => continue,
        };
        if tokens[start] != "{" {
            names.push(tokens[start].clone());
            continue;
        }
        // A list: what follows its brace and its own commas.
        let (mut open, mut first) = (0, false);
        for token in &tokens[start..] {
            match token.as_str() {
                "{" => (open, first) = (open + 1, open == 0),
                "," => first = open == 1,
                "}" if open == 1 => break,
                "}" => open -= 1,
                name if first => {
                    names.push(name.to_string());
                    first = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The tokens without the items under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let cfg_test = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if !tokens[i..].starts_with(&cfg_test.map(String::from)) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        // An item ends with its first `;`, or with the brace that closes its first `{`.
        let mut open = 0;
        for token in &tokens[i + cfg_test.len()..] {
            i += 1;
            match token.as_str() {
                "{" => open += 1,
                "}" => open -= 1,
                _ => {}
            }
            if open <= 0 && (token == "}" || token == ";") {
                break;
            }
        }
        i += cfg_test.len();
    }
    kept
}

/// The words and signs of a source, `::` as one; no comments, no texts.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) =
            rest.strip_prefix('r').filter(|raw| raw.trim_start_matches('#').starts_with('"'))
        {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            let end = format!("\"{}", "#".repeat(hashes));
            raw[hashes + 1..].find(&end).map_or(rest.len(), |at| 1 + hashes + 1 + at + end.len())
        } else if c == '"' {
            closing(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            closing(rest, '\'')
        } else if is_word(c) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(rest[..len].to_string());
            len
        } else {
            let len = if rest.starts_with("::") { 2 } else { c.len_utf8() };
            if !c.is_whitespace() {
                tokens.push(rest[..len].to_string());
            }
            len
        };
        rest = &rest[len..];
    }
    tokens
}

/// The length of a text or character with its quotes.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The dependencies that are neither of this workspace nor, if optional, among `allowed`; not those of tests alone.
fn foreign(manifest: &str, allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(|line| line.split('#').next().unwrap().trim()) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            if section.contains("dependencies.") && !section.starts_with("dev-") {
                found.push(format!("[{section}]: write it as one line"));
            }
        } else if let Some((name, value)) = line.split_once('=')
            && section.ends_with("dependencies")
            && !section.ends_with("dev-dependencies")
        {
            let name = name.trim();
            let ours = value.contains("path = \"../");
            let optional = value.contains("optional = true") && allowed.contains(&name);
            if !ours && !optional {
                found.push(line.to_string());
            }
        }
    }
    found
}

/// Files that are longer than they may be, and exceptions without a need.
fn too_long(sizes: &[(String, usize)], exceptions: &[(&str, usize)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, lines) in sizes {
        let most = exceptions.iter().find(|(file, _)| file == name).map_or(LONGEST, |(_, most)| *most);
        if *lines > most {
            found.push(format!("{name}: expected at most {most} lines, found {lines}"));
        }
    }
    for (file, _) in exceptions {
        if !sizes.iter().any(|(name, lines)| name == file && *lines > LONGEST) {
            found.push(format!("{file} needs no exception"));
        }
    }
    found
}

// ---- Files.

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below `folder`, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() && !path.ends_with("target") {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn slashes(path: impl AsRef<Path>) -> String {
    path.as_ref().iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[track_caller]
fn none_of(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

// ---- Can the rules be broken unseen? A house made up of one bad file at a time.

#[test]
fn a_made_up_house_is_seen_through() {
    let lib = "pub const EPS: f64 = 1.0; pub mod low; pub mod optim; pub mod tensor; pub mod model; mod high;
        pub use high::{Tower, Spire}; #[cfg(test)] mod tests;";
    let say = |file: &str, text: &str| misuses(lib, &[(file.to_string(), text.to_string())]).join("; ");

    assert_eq!(say("low.rs", "use crate::high::X;"), "low.rs uses high, which stands below it");
    assert_eq!(
        say("low/mod.rs", "fn f() { crate::high::g() }"),
        "low/mod.rs uses high, which stands below it"
    );
    assert_eq!(say("low.rs", "use crate::Spire;"), "low.rs uses Spire, which stands below it");
    assert_eq!(say("low.rs", "use super::high::X;"), "low.rs uses high, which stands below it");
    assert_eq!(
        say("low/in.rs", "use super::super::{low::X, high};"),
        "low/in.rs uses high, which stands below it"
    );
    assert_eq!(
        say("low.rs", "use crate::{low::{A, B}, optim::{self, C}};"),
        "low.rs uses optim, which stands below it"
    );
    assert_eq!(
        say("low.rs", "#[cfg(test)] mod tests { fn f() {} } use crate::high;"),
        "low.rs uses high, which stands below it"
    );
    assert_eq!(
        say("low.rs", "macro_rules! m { () => { $crate::high::x } }"),
        "low.rs uses high, which stands below it"
    );
    assert_eq!(say("high.rs", "use crate::*;"), "high.rs uses crate::*, which is no module");
    assert_eq!(say("model/gpt.rs", "use crate::{tensor::T, low::X};"), "");
    assert_eq!(
        say("model/gpt.rs", "use crate::real::R;"),
        "model/gpt.rs uses crate::real, which is no module"
    );
    let lib = "mod tensor; mod optim;";
    let strange = misuses(lib, &[("optim.rs".into(), "use crate::tensor::T;".into())]);
    assert_eq!(strange, ["optim.rs knows tensor, a stranger to it"]);

    for innocent in [
        "use crate::low::X; use crate::EPS; use super::low; use self::inner::Y; pub(crate) fn f() {}",
        "// crate::high\n/// [`crate::high`]\n/* crate::high */ fn f() {}",
        r###"const A: &str = "crate::high \" crate::high"; const B: char = '"'; const C: &str = r#"crate::high""#;"###,
        "#[cfg(test)] mod tests { use crate::high::X; mod deep {} } fn f<'a>(x: &'a str) {}",
        "#[cfg(test)] use crate::high::X; #[cfg(test)] fn g() { crate::high::x() } fn f() {}",
    ] {
        assert_eq!(say("low.rs", innocent), "", "{innocent}");
    }
}

#[test]
fn a_made_up_dependency_is_seen_through() {
    let found = |manifest: &str| foreign(manifest, &["gemm"]);
    assert_eq!(found("[dependencies]\nrand = \"0.9\" # dice"), ["rand = \"0.9\""]);
    assert_eq!(found("[target.'cfg(unix)'.dependencies]\nlibc = \"1\""), ["libc = \"1\""]);
    assert_eq!(found("[build-dependencies]\ncc = \"1\""), ["cc = \"1\""]);
    assert_eq!(
        found("[dependencies.rand]\nversion = \"0.9\""),
        ["[dependencies.rand]: write it as one line"]
    );
    assert_eq!(found("[dependencies]\ngemm = { version = \"0.19\" }").len(), 1);
    let fine = "[features]\ndefault = []\n[dependencies]\nmicrogpt-kernels = { path = \"../kernels\" }
        gemm = { version = \"0.19\", optional = true }\n[dev-dependencies]\nsha2 = \"0.10\"";
    assert_eq!(found(fine), [""; 0]);
}

#[test]
fn made_up_files_are_measured() {
    let found = |lines: usize| too_long(&[("a.rs".into(), lines)], &[]);
    assert_eq!(found(500), [""; 0]);
    assert_eq!(found(501), ["a.rs: expected at most 500 lines, found 501"]);
    let with = |lines: usize| too_long(&[("a.rs".into(), lines)], &[("a.rs", 510)]);
    assert_eq!(with(510), [""; 0]);
    assert_eq!(with(511), ["a.rs: expected at most 510 lines, found 511"]);
    assert_eq!(with(500), ["a.rs needs no exception"]);
}
