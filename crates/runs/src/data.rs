//! The text to learn from: files, a folder, standard input, or the names that are built in; or a task.

use crate::kept::{self, TokenFiles};
use crate::text::{Cut, Text, blocks_of, count, files_of, in_hex, unreadable};
use microgpt::corpus::{self, Corpus};
use microgpt::documents::{self, DataMode};
use microgpt::rng::Rng;
use microgpt::task::Task;
use microgpt::token::{Tokenizer, TokenizerKind};
use microgpt::{Config, Error};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

const NAMES: &[u8] = include_bytes!("../../../data/names.txt");

/// A text of more bytes is not read into memory: its tokens are made once, and kept in a file.
pub const IN_MEMORY: u64 = 64 << 20;

/// Where the text comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// The names that are built into the program, `data/names.txt`.
    #[default]
    Names,
    /// Standard input.
    Stdin,
    /// Files, and folders whose text files are meant, one after the other.
    Files(Vec<PathBuf>),
}

/// What was found there, and what it can be recognised by.
#[derive(Debug)]
pub struct Data {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    content: Content,
    source: Source,
}

#[derive(Debug)]
enum Content {
    /// A text, and the name and the end of each file in it.
    Memory(Vec<u8>, Vec<(String, usize)>),
    /// One that is too large for memory.
    Disk(Text),
    Task,
}

impl Data {
    /// The problems of a task.
    pub fn task(task: Task) -> Data {
        let sha256 = in_hex(&Sha256::digest(format!("task {task}")));
        Data { sha256, content: Content::Task, source: Source::Names }
    }

    /// A text that is in memory.
    pub fn of_text(text: Vec<u8>) -> Data {
        let sha256 = in_hex(&Sha256::digest(&text));
        Data { sha256, content: Content::Memory(text, Vec::new()), source: Source::default() }
    }

    /// The text itself, if there is one and it is in memory.
    pub fn text(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Memory(text, _) => Some(text),
            Content::Disk(_) | Content::Task => None,
        }
    }

    /// Is there enough of it that a tenth would tell something: 100 documents, or windows of a stream?
    pub fn is_worth_holding_back(&self, config: &Config) -> bool {
        const ENOUGH: usize = 100;
        match &self.content {
            Content::Task => false,
            Content::Disk(_) => true,
            Content::Memory(text, _) => match config.data_mode {
                DataMode::Lines => documents::lines(text).take(ENOUGH).count() == ENOUGH,
                DataMode::Stream => text.len() / ENOUGH >= config.block_size,
            },
        }
    }

    /// The tokenizer that the settings ask for, made for this text.
    ///
    /// # Errors
    /// Bytes that are no UTF-8, if a token is a character: the error names the file and the place.
    pub fn tokenizer(&self, config: &Config) -> Result<Tokenizer, Error> {
        match &self.content {
            Content::Task => Ok(Corpus::task(config)?.tokenizer),
            Content::Disk(text) => text.tokenizer(config),
            Content::Memory(text, files) => {
                all_utf8(text, files, config.tokenizer)?;
                match config.tokenizer {
                    TokenizerKind::Bpe => learn(text, config),
                    _ => corpus::tokenizer_of(text, config).map_err(|error| error.at(&self.source)),
                }
            }
        }
    }

    /// What there is to learn in it, as the settings say: documents, which `rng` shuffles, or one stream; or a task's
    /// problems. The tokenizer is the one given, or one made for the text. What is kept of a large text goes with the
    /// program.
    ///
    /// # Errors
    /// Nothing to learn, or a character that the tokenizer does not know: the error names the file.
    pub fn corpus(
        self,
        config: &Config,
        tokenizer: Option<Tokenizer>,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        Ok(self.corpus_in(&std::env::temp_dir(), config, tokenizer, rng)?.0)
    }

    /// The same for a run: what is kept of a large text is in files in `folder`, if they are not there already from an
    /// earlier session of this very run; [`TokenFiles::keep`] keeps them.
    ///
    /// # Errors
    /// As [`Data::corpus`]; and the disk's.
    pub fn corpus_in(
        self,
        folder: &Path,
        config: &Config,
        tokenizer: Option<Tokenizer>,
        rng: &mut Rng,
    ) -> Result<(Corpus, Option<TokenFiles>), Error> {
        let Data { sha256, content, source } = self;
        let of = |error: Error| error.at(&source);
        match content {
            Content::Task => Ok((Corpus::task(config)?, None)),
            Content::Memory(text, files) => {
                let kind = tokenizer.as_ref().map_or(config.tokenizer, Tokenizer::kind);
                all_utf8(&text, &files, kind)?;
                let tokenizer = match tokenizer {
                    None if kind == TokenizerKind::Bpe => Some(learn(&text, config)?),
                    given => given,
                };
                Ok((Corpus::read(text, config, tokenizer, rng).map_err(of)?, None))
            }
            Content::Disk(text) => {
                let tokenizer = match tokenizer {
                    None => text.tokenizer(config)?,
                    Some(tokenizer) => {
                        if let Some(corpus) = kept::find(folder, &sha256, config, &tokenizer, rng)? {
                            return Ok((corpus, None));
                        }
                        tokenizer
                    }
                };
                let files = TokenFiles::make(&text, &sha256, config, &tokenizer, folder).map_err(of)?;
                let corpus = files.corpus(config, tokenizer, rng).map_err(of)?;
                Ok((corpus, Some(files)))
            }
        }
    }
}

/// Is a text UTF-8, if it has to be? The error names the file.
fn all_utf8(text: &[u8], files: &[(String, usize)], kind: TokenizerKind) -> Result<(), Error> {
    let mut start = 0;
    for (name, end) in files.iter().filter(|_| kind == TokenizerKind::Char) {
        documents::utf8(&text[start..*end]).map_err(|error| error.at(name))?;
        start = *end;
    }
    Ok(())
}

/// Byte-pair encoding learnt from a text in memory.
fn learn(text: &[u8], config: &Config) -> Result<Tokenizer, Error> {
    let cut = Cut::of(config.data_mode, TokenizerKind::Bpe);
    let words = count(config.data_mode, |each| {
        blocks_of(text, cut, each);
        Ok(())
    })?;
    Tokenizer::learn(&words, config.vocab_size)
}

impl Source {
    /// A file's or a folder's path, several with a byte 0 between them, or `-` for standard input.
    pub fn parse(name: &str) -> Source {
        match name {
            "-" => Source::Stdin,
            paths => Source::Files(paths.split('\0').map(PathBuf::from).collect()),
        }
    }

    /// What [`Source::parse`] makes this of, one by one; none for the names that are built in. A path is made absolute:
    /// the run may be continued from somewhere else.
    pub fn names(&self) -> Vec<String> {
        match self {
            Source::Names => Vec::new(),
            Source::Stdin => vec!["-".to_string()],
            Source::Files(paths) => paths
                .iter()
                .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string())
                .collect(),
        }
    }

    /// Reads it, or, if it is too large for memory, finds it.
    ///
    /// # Errors
    /// What cannot be read: the error names the file.
    pub fn read(&self) -> Result<Data, Error> {
        self.read_up_to(IN_MEMORY)
    }

    /// The same with another bound than [`IN_MEMORY`].
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_up_to(&self, most: u64) -> Result<Data, Error> {
        let content = match self {
            Source::Names => Content::Memory(NAMES.to_vec(), Vec::new()),
            Source::Stdin => {
                let (mut text, mut input) = (Vec::new(), std::io::stdin().lock());
                let failed = unreadable(Path::new("standard input"));
                input.by_ref().take(most + 1).read_to_end(&mut text).map_err(&failed)?;
                if text.len() as u64 > most {
                    Content::Disk(Text::spool(&text, &mut input).map_err(&failed)?)
                } else {
                    let end = text.len();
                    Content::Memory(text, vec![(self.to_string(), end)])
                }
            }
            Source::Files(paths) => {
                let text = find(paths)?;
                match text {
                    Text::Files(_, len) if len <= most => {
                        let (text, ends) = text.read()?;
                        Content::Memory(text, ends)
                    }
                    text => Content::Disk(text),
                }
            }
        };
        let sha256 = match &content {
            Content::Disk(text) => text.sha256()?,
            Content::Memory(text, _) => in_hex(&Sha256::digest(text)),
            Content::Task => unreachable!("a task is not read"),
        };
        Ok(Data { sha256, content, source: self.clone() })
    }
}

/// The files of these paths, of which some may be folders.
fn find(paths: &[PathBuf]) -> Result<Text, Error> {
    let (mut files, mut len) = (Vec::new(), 0);
    for path in paths {
        if path.is_dir() {
            files.extend(files_of(path)?);
        } else {
            files.push(path.clone());
        }
    }
    for path in &files {
        len += std::fs::metadata(path).map_err(unreadable(path))?.len();
    }
    Ok(Text::Files(files, len))
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Names => f.write_str("the names that are built in"),
            Source::Stdin => f.write_str("standard input"),
            Source::Files(paths) => match &paths[..] {
                [path] => write!(f, "{}", path.display()),
                paths => {
                    let more = paths.len().saturating_sub(1);
                    let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
                    write!(f, "{first} and {more} more")
                }
            },
        }
    }
}
