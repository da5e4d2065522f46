//! Tokens of a text that is larger than memory: made once, kept in a file, read where they are needed.
//!
//! ```text
//! runs/NAME/
//!   tokens.bin       the tokens one after the other, 1, 2 or 4 bytes each, the lowest first
//!   documents.bin    where each document begins among them, and the last one ends, 8 bytes each; not of a stream
//!   tokens.json      what they are of; it is written last
//! ```
//!
//! They are read, not mapped: a mapping needs unsafe code, counts as memory, and kills the program if the file shrinks.

use crate::atomic;
use crate::text::{Cut, Text, unreadable};
use microgpt::corpus::{Corpus, Tokens};
use microgpt::documents::{self, DataMode};
use microgpt::packed::{Packed, Store, pack, width_below};
use microgpt::rng::Rng;
use microgpt::token::Tokenizer;
use microgpt::{Config, Error};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::NamedTempFile;

const TOKENS: &str = "tokens.bin";
const DOCUMENTS: &str = "documents.bin";
const ABOUT: &str = "tokens.json";

/// `tokens.json`
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct About {
    data_sha256: String,
    data_mode: String,
    width: usize,
    tokens: u64,
    documents: Option<u64>,
}

/// The files of tokens: gone with the program, unless they are kept.
#[derive(Debug)]
pub struct TokenFiles {
    tokens: NamedTempFile,
    documents: Option<NamedTempFile>,
    about: About,
}

impl TokenFiles {
    /// Makes the tokens of a text, in files in `folder`.
    pub(crate) fn make(
        text: &Text,
        sha256: &str,
        config: &Config,
        tokenizer: &Tokenizer,
        folder: &Path,
    ) -> Result<TokenFiles, Error> {
        let unwritable = atomic::unwritable(folder);
        let create = || {
            fs::create_dir_all(folder)?;
            tempfile::Builder::new().prefix(".tokens").tempfile_in(folder)
        };
        let lines = config.data_mode == DataMode::Lines;
        let width = width_below(tokenizer.vocab_size() as u64);
        let tokens = create().map_err(&unwritable)?;
        let documents = lines.then(create).transpose().map_err(&unwritable)?;
        let mut out = BufWriter::new(tokens.as_file());
        let mut starts = documents.as_ref().map(|file| BufWriter::new(file.as_file()));

        let (mut line, mut bytes, mut count, mut docs) = (Vec::new(), Vec::new(), 0, 0);
        text.blocks(Cut::of(config.data_mode, tokenizer.kind()), |block, start| {
            let mut encode = |doc: &[u8]| -> Result<(), Error> {
                line.clear();
                bytes.clear();
                tokenizer
                    .encode_bytes_into(doc, &mut line)
                    .map_err(|error| error.at(format!("from byte {start} on")))?;
                pack(line.iter().map(|&token| token.into()), width, &mut bytes);
                out.write_all(&bytes).map_err(&unwritable)?;
                if let Some(starts) = &mut starts {
                    starts.write_all(&u64::to_le_bytes(count)).map_err(&unwritable)?;
                    docs += 1;
                }
                count += line.len() as u64;
                Ok(())
            };
            if lines { documents::lines(block).try_for_each(&mut encode) } else { encode(block) }
        })?;
        if lines && docs == 0 {
            return Err(documents::no_documents(false));
        }
        out.flush().map_err(&unwritable)?;
        if let Some(starts) = &mut starts {
            starts.write_all(&u64::to_le_bytes(count)).map_err(&unwritable)?;
            starts.flush().map_err(&unwritable)?;
        }
        drop((out, starts));
        let about = About {
            data_sha256: sha256.to_string(),
            data_mode: config.data_mode.to_string(),
            width,
            tokens: count,
            documents: lines.then_some(docs),
        };
        Ok(TokenFiles { tokens, documents, about })
    }

    /// What can be learnt from them.
    pub(crate) fn corpus(
        &self,
        config: &Config,
        tokenizer: Tokenizer,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        let open = |file: &NamedTempFile| file.reopen().map_err(unreadable(file.path()));
        let documents = self.documents.as_ref().map(open).transpose()?;
        corpus(&self.about, open(&self.tokens)?, documents, config, tokenizer, rng)
    }

    /// Keeps them in the folder of a run, for when it goes on.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(self, run: &Path) -> Result<(), Error> {
        let persist = |file: NamedTempFile, name: &str| {
            let path = run.join(name);
            file.persist(&path).map_err(|error| atomic::unwritable(&path)(error.error))
        };
        persist(self.tokens, TOKENS)?;
        self.documents.map(|file| persist(file, DOCUMENTS)).transpose()?;
        let about = serde_json::to_string(&self.about).expect("numbers and texts") + "\n";
        atomic::write(&run.join(ABOUT), about.as_bytes())
    }
}

/// What can be learnt from the tokens that a run has kept, if it has kept those of this text.
pub(crate) fn find(
    run: &Path,
    sha256: &str,
    config: &Config,
    tokenizer: &Tokenizer,
    rng: &mut Rng,
) -> Result<Option<Corpus>, Error> {
    let about = fs::read(run.join(ABOUT)).ok().and_then(|bytes| serde_json::from_slice::<About>(&bytes).ok());
    let Some(about) = about else { return Ok(None) };
    let fits = about.data_sha256 == sha256
        && about.data_mode == config.data_mode.to_string()
        && about.width == width_below(tokenizer.vocab_size() as u64)
        && (about.documents.is_some() == (config.data_mode == DataMode::Lines));
    let open = |name: &str, bytes: u64| -> Option<File> {
        let file = File::open(run.join(name)).ok()?;
        (file.metadata().ok()?.len() == bytes).then_some(file)
    };
    let (Some(tokens), true) = (open(TOKENS, about.tokens * about.width as u64), fits) else {
        return Ok(None);
    };
    let documents = match about.documents {
        None => None,
        Some(count) => match open(DOCUMENTS, 8 * (count + 1)) {
            None => return Ok(None),
            found => found,
        },
    };
    corpus(&about, tokens, documents, config, tokenizer.clone(), rng).map(Some)
}

fn corpus(
    about: &About,
    tokens: File,
    documents: Option<File>,
    config: &Config,
    tokenizer: Tokenizer,
    rng: &mut Rng,
) -> Result<Corpus, Error> {
    let store = |file, name: &str, len| Arc::new(Kept { file: Mutex::new(file), name: name.into(), len });
    let tokens = Packed::new(store(tokens, TOKENS, about.tokens * about.width as u64), about.width);
    let tokens = match (documents, about.documents) {
        (Some(file), Some(count)) => {
            Tokens::Lines(tokens, Packed::new(store(file, DOCUMENTS, 8 * (count + 1)), 8))
        }
        _ => Tokens::Stream(tokens),
    };
    Corpus::kept(tokens, config, tokenizer, rng)
}

/// A file from which a few bytes are read here and there.
#[derive(Debug)]
struct Kept {
    file: Mutex<File>,
    name: PathBuf,
    len: u64,
}

impl Store for Kept {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(out));
        read.map_err(|error| {
            let (name, len) = (self.name.display(), out.len());
            Error::text(format!(
                "{name}: expected {len} bytes of tokens at {at}, found {}",
                atomic::reason(&error)
            ))
        })
    }
}
