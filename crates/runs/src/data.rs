//! The text to learn from: a file, standard input, or the names that are built in.

use crate::atomic::reason;
use microgpt::corpus::Corpus;
use microgpt::rng::Rng;
use microgpt::token::Tokenizer;
use microgpt::{Config, Error, documents};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::PathBuf;

const NAMES: &[u8] = include_bytes!("../../../data/names.txt");

/// Where the text comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// The names that are built into the program, `data/names.txt`.
    #[default]
    Names,
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// A text that was read, and what it can be recognised by.
#[derive(Debug)]
pub struct Data {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    text: String,
    source: Source,
}

impl Data {
    /// What there is to learn in it, as the settings say: documents, which `rng` shuffles, or one stream. The alphabet
    /// is that of `tokenizer`, or the text's.
    ///
    /// # Errors
    /// Nothing to learn, or a character that the tokenizer does not know: the error names the file.
    pub fn corpus(
        self,
        config: &Config,
        tokenizer: Option<Tokenizer>,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        Corpus::read(self.text, config, tokenizer, rng).map_err(|error| error.at(self.source))
    }
}

impl Source {
    /// A file's path, or `-` for standard input.
    pub fn parse(name: &str) -> Source {
        match name {
            "-" => Source::Stdin,
            path => Source::File(path.into()),
        }
    }

    /// What [`Source::parse`] makes this of; nothing for the names that are built in. A path is made absolute: the run
    /// may be continued from somewhere else.
    pub fn name(&self) -> Option<String> {
        match self {
            Source::Names => None,
            Source::Stdin => Some("-".to_string()),
            Source::File(path) => {
                Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string())
            }
        }
    }

    /// Reads it: UTF-8.
    ///
    /// # Errors
    /// What cannot be read or is not UTF-8: the error names the file, and the byte.
    pub fn read(&self) -> Result<Data, Error> {
        let mut bytes = Vec::new();
        let done = match self {
            Source::Names => {
                bytes.extend_from_slice(NAMES);
                Ok(())
            }
            Source::Stdin => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
            Source::File(path) => std::fs::read(path).map(|read| bytes = read),
        };
        done.map_err(|error| {
            Error::text(format!("{self}: expected a text to learn from, found {}", reason(&error)))
        })?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = documents::utf8(bytes).map_err(|error| error.at(self))?;
        Ok(Data { sha256, text, source: self.clone() })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Names => f.write_str("the names that are built in"),
            Source::Stdin => f.write_str("standard input"),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_there_and_are_recognised() {
        let data = Source::Names.read().unwrap();
        assert_eq!(data.sha256, "bd02dfd33179e23ec2dd093cbd4de619834f75d660ef1ae04d3127e7a0110053");
        let corpus = data.corpus(&Config::default(), None, &mut Rng::new(1)).unwrap();
        assert_eq!(corpus.len(), 32257);
        assert!(corpus.documents().unwrap().iter().any(|name| name == "emma"));
    }

    #[test]
    fn errors_name_the_file() {
        let missing = Source::parse("no/such.txt").read().unwrap_err().to_string();
        assert_eq!(missing, "no/such.txt: expected a text to learn from, found no such file or folder");
        let folder = Source::parse("src").read().unwrap_err().to_string();
        assert_eq!(folder, "src: expected a text to learn from, found a folder");
    }
}
