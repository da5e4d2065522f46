//! A text as it lies on the disk: one file or several, one after the other, read a block at a time.

use crate::atomic::reason;
use microgpt::documents::DataMode;
use microgpt::token::{Tokenizer, TokenizerKind, Words, safe_cut};
use microgpt::{Error, corpus};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// How much is read at once.
const BLOCK: usize = 4 << 20;
/// How many blocks are read at most to find a place where the text may be cut.
const MOST_BLOCKS: usize = 8;

/// Files that together are one text. Where one does not end its last line, the line ends all the same.
#[derive(Debug)]
pub(crate) enum Text {
    /// The files, and how many bytes there are.
    Files(Vec<PathBuf>, u64),
    /// What came from standard input and was too much for memory: a file without a name, gone with the program.
    Spool(File),
}

/// Where a text may be cut without a change of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// After the end of a line.
    Lines,
    /// Between two characters.
    Chars,
    /// Between two pieces of byte-pair encoding.
    Pieces,
}

impl Cut {
    /// For a text that is read so.
    pub(crate) fn of(mode: DataMode, kind: TokenizerKind) -> Cut {
        match (mode, kind) {
            (DataMode::Lines, _) => Cut::Lines,
            (DataMode::Stream, TokenizerKind::Bpe) => Cut::Pieces,
            (DataMode::Stream, _) => Cut::Chars,
        }
    }

    /// The last place to cut at, if there is one.
    fn last(self, text: &[u8]) -> Option<usize> {
        match self {
            Cut::Lines => text.iter().rposition(|&byte| byte == b'\n' || byte == b'\r').map(|at| at + 1),
            Cut::Chars => (text.len().saturating_sub(4)..text.len()).rfind(|&at| text[at] & 0xc0 != 0x80),
            Cut::Pieces => {
                let mut from = text.len().saturating_sub(4096);
                loop {
                    let at = safe_cut(text, from);
                    if at < text.len() {
                        return Some(at);
                    }
                    if from == 0 {
                        return None;
                    }
                    from /= 2;
                }
            }
        }
        .filter(|&at| at > 0)
    }
}

/// Adds the text of a file, and the end of its last line if another file follows that is not the end.
pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| {
        Error::text(format!("{}: expected a text to learn from, found {}", path.display(), reason(&error)))
    }
}

impl Text {
    /// Standard input, if it is more than `most` bytes: those, and what comes after them.
    pub(crate) fn spool(first: &[u8], rest: &mut impl Read) -> io::Result<Text> {
        let mut file = tempfile::tempfile()?;
        file.write_all(first)?;
        io::copy(rest, &mut file)?;
        Ok(Text::Spool(file))
    }

    /// Gives the text to `each`, block after block, each cut where it may be, and where each begins.
    ///
    /// Memory: some blocks; in lines, the longest line.
    pub(crate) fn blocks(
        &self,
        cut: Cut,
        mut each: impl FnMut(&[u8], u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut block, mut start) = (Vec::with_capacity(2 * BLOCK), 0);
        let mut read = |file: &mut dyn Read, path: &Path, block: &mut Vec<u8>| -> Result<(), Error> {
            loop {
                let count = file.take(BLOCK as u64).read_to_end(block).map_err(unreadable(path))?;
                if count == 0 {
                    return Ok(());
                }
                let forced = cut != Cut::Lines && block.len() > MOST_BLOCKS * BLOCK;
                let end = cut.last(block).or_else(|| Cut::Chars.last(block).filter(|_| forced));
                if let Some(end) = end {
                    each(&block[..end], start)?;
                    start += end as u64;
                    block.drain(..end);
                }
            }
        };
        match self {
            Text::Files(paths, _) => {
                for (i, path) in paths.iter().enumerate() {
                    let mut file = File::open(path).map_err(unreadable(path))?;
                    read(&mut file, path, &mut block)?;
                    if i + 1 < paths.len() && !block.is_empty() && !block.ends_with(b"\n") {
                        block.push(b'\n');
                    }
                }
            }
            Text::Spool(file) => {
                let path = Path::new("standard input");
                let mut file = file;
                file.rewind().map_err(unreadable(path))?;
                read(&mut file, path, &mut block)?;
            }
        }
        if block.is_empty() { Ok(()) } else { each(&block, start) }
    }

    /// SHA-256 of all of it, in hexadecimal.
    pub(crate) fn sha256(&self) -> Result<String, Error> {
        let mut sha = Sha256::new();
        self.blocks(Cut::Chars, |block, _| {
            sha.update(block);
            Ok(())
        })?;
        Ok(in_hex(&sha.finalize()))
    }

    /// All of it, for what fits into memory; and the name and the end of each file in it.
    pub(crate) fn read(&self) -> Result<(Vec<u8>, Vec<(String, usize)>), Error> {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        let Text::Files(paths, _) = self else { return Ok((text, ends)) };
        for (i, path) in paths.iter().enumerate() {
            File::open(path).and_then(|mut file| file.read_to_end(&mut text)).map_err(unreadable(path))?;
            if i + 1 < paths.len() && !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            ends.push((path.display().to_string(), text.len()));
        }
        Ok((text, ends))
    }

    /// The tokenizer that the settings ask for, made for this text.
    pub(crate) fn tokenizer(&self, config: &microgpt::Config) -> Result<Tokenizer, Error> {
        let cut = Cut::of(config.data_mode, config.tokenizer);
        match config.tokenizer {
            TokenizerKind::Byte => Ok(Tokenizer::bytes()),
            TokenizerKind::Char => {
                let mut chars = std::collections::BTreeSet::new();
                self.blocks(cut, |block, start| {
                    let alphabet = corpus::tokenizer_of(block, config)
                        .map_err(|error| self.locate(start, block, error))?;
                    if let Tokenizer::Chars(alphabet) = alphabet {
                        chars.extend(alphabet.chars());
                    }
                    Ok(())
                })?;
                Ok(Tokenizer::new(chars))
            }
            TokenizerKind::Bpe => {
                let words = count(config.data_mode, |each| {
                    self.blocks(cut, |block, _| {
                        each(block);
                        Ok(())
                    })
                })?;
                Tokenizer::learn(&words, config.vocab_size)
            }
        }
    }

    /// An error of a block that is no UTF-8, with its place in its file.
    fn locate(&self, start: u64, block: &[u8], error: Error) -> Error {
        let (Err(bad), Text::Files(paths, _)) = (std::str::from_utf8(block), self) else { return error };
        let mut at = start + bad.valid_up_to() as u64;
        for path in paths {
            let Ok(len) = fs::metadata(path).map(|file| file.len()) else { return error };
            if at >= len {
                at -= len + u64::from(!ends_line(path));
                continue;
            }
            let mut lines = 1;
            let mut before = File::open(path).map(|file| io::BufReader::new(file.take(at)));
            if let Ok(before) = &mut before {
                lines += before.bytes().filter(|byte| matches!(byte, Ok(b'\n'))).count();
            }
            return Error::text(format!(
                "expected UTF-8 text, found byte 0x{:02x} at offset {at} (line {lines})",
                block[bad.valid_up_to()]
            ))
            .at(path.display());
        }
        error
    }
}

fn ends_line(path: &Path) -> bool {
    let last = File::open(path).and_then(|mut file| {
        let mut last = [0];
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last[0])
    });
    // Nothing is added after an empty file.
    last.map_or(true, |last| last == b'\n')
}

/// Counts the pieces of blocks on two threads: every second block each, so that the counts do not depend on which is
/// faster.
pub(crate) fn count(
    mode: DataMode,
    blocks: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Error>,
) -> Result<Words, Error> {
    std::thread::scope(|scope| {
        let workers = [0, 1].map(|_| {
            let (sender, receiver) = sync_channel::<Vec<u8>>(1);
            let work = move || {
                let mut words = Words::default();
                receiver.iter().for_each(|block| corpus::count_words(&block, mode, &mut words));
                words
            };
            (sender, scope.spawn(work))
        });
        let mut turn = 0;
        blocks(&mut |block| {
            // Whoever is gone has panicked, which is seen below.
            let _ = workers[turn % 2].0.send(block.to_vec());
            turn += 1;
        })?;
        let [words, other] = workers.map(|(sender, worker)| {
            drop(sender);
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let mut words = words;
        words.absorb(&other);
        Ok(words)
    })
}

/// The blocks of a text in memory.
pub(crate) fn blocks_of(text: &[u8], cut: Cut, each: &mut dyn FnMut(&[u8])) {
    let mut rest = text;
    while !rest.is_empty() {
        let near = BLOCK.min(rest.len());
        let end = match cut {
            _ if near == rest.len() => near,
            Cut::Pieces => safe_cut(rest, near),
            cut => cut.last(&rest[..near]).unwrap_or(rest.len()),
        };
        each(&rest[..end]);
        rest = &rest[end..];
    }
}

pub(crate) fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text files below a folder, by their names: those that are not hidden, and have no byte 0 in their beginning.
pub(crate) fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(folder, &mut found)?;
    if found.is_empty() {
        return Err(Error::text(format!(
            "{}: expected a folder with text files, found none in it",
            folder.display()
        )));
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = fs::read_dir(folder).map_err(unreadable(folder))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(unreadable(folder))?;
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        // A link to a folder is not followed: it may lead back here.
        if path.is_dir() {
            if !path.is_symlink() {
                collect(&path, found)?;
            }
        } else if is_text(&path)? {
            found.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> Result<bool, Error> {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8192).read_to_end(&mut beginning));
    read.map_err(unreadable(path))?;
    Ok(!beginning.is_empty() && !beginning.contains(&0))
}
