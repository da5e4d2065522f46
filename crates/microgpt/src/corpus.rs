//! What is learnt from: documents or a stream, with their alphabet, cut into batches; and the part that is held back.

use crate::batch::Batch;
use crate::config::Config;
use crate::documents::{DataMode, Documents, lines, utf8};
use crate::error::Error;
use crate::order::Order;
use crate::packed::Packed;
use crate::rng::Rng;
use crate::stream::Stream;
use crate::task::Problems;
use crate::token::{Tokenizer, TokenizerKind, Words};

/// A text and its tokens, to make batches from.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The alphabet.
    pub tokenizer: Tokenizer,
    text: Text,
    /// How many documents, or tokens of a stream, at the end of the text are held back.
    held_back: usize,
    seed: u64,
    line: Vec<u32>,
}

#[derive(Debug, Clone)]
enum Text {
    Lines(Documents),
    Stream(Stream),
    Kept(Kept),
    Problems(Problems),
}

/// Documents whose tokens are kept elsewhere: all tokens, where each document's begin and the last one's end, and the
/// order in which they are learnt.
#[derive(Debug, Clone)]
struct Kept {
    tokens: Packed,
    starts: Packed,
    order: Order,
}

/// Tokens that were made already and are kept where there is room for them.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// Of documents, one after the other; and where each begins, and the last one ends.
    Lines(Packed, Packed),
    /// Of a stream.
    Stream(Packed),
}

impl Corpus {
    /// Documents in the order in which they are to be learnt, with a tokenizer of their own alphabet; none held back.
    pub fn new(documents: Documents) -> Corpus {
        Corpus::of(Tokenizer::of(&documents), Text::Lines(documents))
    }

    fn of(tokenizer: Tokenizer, text: Text) -> Corpus {
        Corpus { tokenizer, text, held_back: 0, seed: 0, line: Vec::new() }
    }

    /// A text as the settings say: documents, which `rng` shuffles, or a stream; with the last `val_fraction` held
    /// back. The tokenizer is that of a model that exists, or one made for the whole text as the settings say.
    ///
    /// # Errors
    /// A text with nothing to learn or nothing to hold back, or with a character that the tokenizer does not know;
    /// bytes that are no UTF-8, if a token is a character.
    pub fn read(
        text: Vec<u8>,
        config: &Config,
        tokenizer: Option<Tokenizer>,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        let given = tokenizer.is_some();
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None => tokenizer_of(&text, config)?,
        };
        if tokenizer.kind() == TokenizerKind::Char {
            utf8(&text)?;
        }
        match config.data_mode {
            DataMode::Lines => {
                let mut documents = Documents::from_bytes(text)?;
                documents.shuffle(rng);
                if given {
                    all_known(&documents, &tokenizer)?;
                }
                Corpus::of(tokenizer, Text::Lines(documents)).split(config)
            }
            DataMode::Stream => {
                let stream = Stream::new(&text, &tokenizer)?;
                Corpus::of(tokenizer, Text::Stream(stream)).split(config)
            }
        }
    }

    /// A text whose tokens are there already. It is learnt as if it had been read: the same `rng`, the same order.
    ///
    /// # Errors
    /// Nothing to learn or nothing to hold back.
    pub fn kept(
        tokens: Tokens,
        config: &Config,
        tokenizer: Tokenizer,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        let text = match tokens {
            Tokens::Stream(tokens) => Text::Stream(Stream::kept(tokens)),
            Tokens::Lines(tokens, starts) => {
                let order = Order::new(starts.len() - 1, rng);
                Text::Kept(Kept { tokens, starts, order })
            }
        };
        Corpus::of(tokenizer, text).split(config)
    }

    /// The problems of the task that the settings name: those to learn and those that are held back.
    ///
    /// # Errors
    /// No room for the task's problems.
    pub fn task(config: &Config) -> Result<Corpus, Error> {
        let problems = Problems::new(config.task, config.block_size, config.held_back(), config.seed)?;
        Ok(Corpus::of(Tokenizer::new(problems.alphabet()), Text::Problems(problems)))
    }

    /// Puts the end of the text aside.
    fn split(mut self, config: &Config) -> Result<Corpus, Error> {
        (self.seed, self.line) = (config.seed, Vec::new());
        let (len, fraction) = (self.len(), config.val_fraction);
        if let Text::Stream(_) = self.text {
            let learnt = (len as f64 * (1.0 - fraction)) as usize;
            self.held_back = len - learnt;
            // To predict a token, another must stand before it.
            if learnt < 2 || (fraction > 0.0 && self.held_back < 2) {
                let parts = if fraction > 0.0 { " to learn, and 2 to hold back" } else { "" };
                let unit = self.tokenizer.unit();
                return Err(Error::text(format!(
                    "expected a text of at least 2 {unit}s{parts}, found {len}"
                )));
            }
        } else if fraction > 0.0 {
            self.held_back = ((len as f64 * fraction).round() as usize).max(1);
            if self.held_back >= len {
                return Err(Error::text(format!(
                    "expected documents both to learn and to hold back (val_fraction {fraction}), found {len}"
                )));
            }
        }
        Ok(self)
    }

    /// The documents, if they are in memory.
    pub fn documents(&self) -> Option<&Documents> {
        match &self.text {
            Text::Lines(documents) => Some(documents),
            _ => None,
        }
    }

    /// The problems, if it is a task.
    pub fn problems(&self) -> Option<&Problems> {
        match &self.text {
            Text::Problems(problems) => Some(problems),
            _ => None,
        }
    }

    /// How many documents there are, or how many tokens of a stream: those that are held back count too. A task has as
    /// many as can be counted.
    #[expect(clippy::len_without_is_empty, reason = "there is always something to learn")]
    pub fn len(&self) -> usize {
        match &self.text {
            Text::Lines(documents) => documents.len(),
            Text::Stream(stream) => stream.len(),
            Text::Kept(kept) => kept.order.len(),
            Text::Problems(_) => usize::MAX,
        }
    }

    /// How many of them are held back.
    pub fn held_back(&self) -> usize {
        self.held_back
    }

    /// Fills `batch` with `count` documents to learn, from place `first` on, beginning again at the end; or with
    /// windows `first..first + count` of an endless list of random ones, or problems of an endless list of them.
    ///
    /// # Errors
    /// Tokens that cannot be read where they are kept.
    pub fn fill(
        &mut self,
        batch: &mut Batch,
        first: usize,
        count: usize,
        block_size: usize,
    ) -> Result<(), Error> {
        batch.clear();
        let learnt = self.len() - self.held_back;
        for i in first..first + count {
            match &self.text {
                Text::Stream(stream) => {
                    stream.random_window(0..learnt, block_size + 1, self.seed, i as u64, &mut self.line)?;
                }
                Text::Problems(_) => self.read_document(i, false)?,
                Text::Lines(_) | Text::Kept(_) => self.read_document(i % learnt, false)?,
            }
            batch.push_document(&self.line, block_size);
        }
        Ok(())
    }

    /// How many documents or windows of what is held back there are to look at: `wanted`, or all that there are.
    pub fn validation_len(&self, wanted: usize, block_size: usize) -> usize {
        match &self.text {
            Text::Lines(_) | Text::Kept(_) => wanted.min(self.held_back),
            // Windows of block_size predictions: each shares its last token with the next one's first.
            Text::Stream(_) => wanted.min(self.held_back.saturating_sub(1).div_ceil(block_size)),
            Text::Problems(_) => wanted,
        }
    }

    /// Fills `batch` with documents or windows `first..first + count` of the `all` that are looked at of what is held
    /// back. They are always the same, so that their loss can be compared.
    ///
    /// # Errors
    /// Tokens that cannot be read where they are kept.
    pub fn fill_validation(
        &mut self,
        batch: &mut Batch,
        first: usize,
        count: usize,
        all: usize,
        block_size: usize,
    ) -> Result<(), Error> {
        batch.clear();
        let learnt = self.len() - self.held_back;
        for i in first..first + count {
            match &self.text {
                Text::Stream(stream) => {
                    stream.even_window(learnt..stream.len(), block_size + 1, i, all, &mut self.line)?;
                }
                Text::Problems(_) => self.read_document(i, true)?,
                Text::Lines(_) | Text::Kept(_) => self.read_document(learnt + i, true)?,
            }
            batch.push_document(&self.line, block_size);
        }
        Ok(())
    }

    /// Is it one stream?
    pub fn is_stream(&self) -> bool {
        matches!(self.text, Text::Stream(_))
    }

    /// Gives all documents to `each`, with BOS at both ends, those held back too; or a stream in parts, of which each
    /// begins with the last token of the one before; or the first `sample` problems of a task.
    ///
    /// # Errors
    /// Tokens that cannot be read where they are kept.
    pub fn each_document(&mut self, sample: usize, mut each: impl FnMut(&[u32])) -> Result<(), Error> {
        const PART: usize = 4096;
        let len = self.len();
        if let Text::Stream(stream) = &self.text {
            for start in (0..len - 1).step_by(PART) {
                stream.read(start..(start + PART + 1).min(len), &mut self.line)?;
                each(&self.line);
            }
            return Ok(());
        }
        let count = if self.problems().is_some() { sample } else { len };
        for i in 0..count {
            self.read_document(i, false)?;
            each(&self.line);
        }
        Ok(())
    }

    /// Document `i` with BOS at both ends, to `line`; of a task, problem `i` of one side.
    fn read_document(&mut self, i: usize, held_back: bool) -> Result<(), Error> {
        let Corpus { tokenizer, text, line, .. } = self;
        line.clear();
        line.push(tokenizer.bos());
        match text {
            // Its tokenizer is that of this text, or was held against it.
            Text::Lines(documents) => tokenizer.encode_bytes_into(documents.bytes(i), line)?,
            Text::Problems(problems) => tokenizer.encode_into(&problems.get(i, held_back), line)?,
            Text::Kept(Kept { tokens, starts, order }) => {
                let (at, mut ends, mut n) = (order.get(i), [0; 2], 0);
                starts.read(at..at + 2, |place| {
                    ends[n] = place as usize;
                    n += 1;
                })?;
                tokens.read(ends[0]..ends[1], |token| line.push(token as u32))?;
            }
            Text::Stream(_) => {}
        }
        line.push(tokenizer.bos());
        Ok(())
    }
}

/// The tokenizer that the settings ask for, made for this text.
///
/// # Errors
/// Bytes that are no UTF-8, if a token is a character; or a vocabulary that is too small.
pub fn tokenizer_of(text: &[u8], config: &Config) -> Result<Tokenizer, Error> {
    match config.tokenizer {
        TokenizerKind::Char => {
            let text = utf8(text)?;
            Ok(match config.data_mode {
                DataMode::Lines => Tokenizer::of_lines(lines(text.as_bytes())),
                DataMode::Stream => Tokenizer::new(text.chars()),
            })
        }
        TokenizerKind::Byte => Ok(Tokenizer::bytes()),
        TokenizerKind::Bpe => {
            let mut words = Words::default();
            count_words(text, config.data_mode, &mut words);
            Tokenizer::learn(&words, config.vocab_size)
        }
    }
}

/// Counts the pieces of a text's documents, or of all of it.
pub fn count_words(text: &[u8], data_mode: DataMode, words: &mut Words) {
    match data_mode {
        DataMode::Lines => lines(text).for_each(|doc| words.count(doc)),
        DataMode::Stream => words.count(text),
    }
}

/// Does the tokenizer know all of the documents?
fn all_known(documents: &Documents, tokenizer: &Tokenizer) -> Result<(), Error> {
    if tokenizer.kind() != TokenizerKind::Char {
        return Ok(());
    }
    let mut tokens = Vec::new();
    for i in 0..documents.len() {
        tokens.clear();
        let known = tokenizer.encode_bytes_into(documents.bytes(i), &mut tokens);
        known.map_err(|error| error.at(format!("document {}", i + 1)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, config: &Config) -> Result<Corpus, Error> {
        Corpus::read(text.into(), config, None, &mut Rng::new(config.seed))
    }

    fn stream(val_fraction: f64) -> Config {
        Config { data_mode: DataMode::Stream, val_fraction, ..Config::default() }
    }

    #[test]
    fn documents_stand_one_after_the_other_and_long_ones_are_cut() {
        let mut corpus = Corpus::new(Documents::from_lines("ab\nabcde\nc".into()).unwrap());
        let mut batch = Batch::default();
        corpus.fill(&mut batch, 1, 3, 4).unwrap();
        let bos = corpus.tokenizer.bos();
        assert_eq!(batch.tokens, [bos, 0, 1, 2, bos, 2, bos, 0, 1]);
        assert_eq!(batch.targets, [0, 1, 2, 3, 2, bos, 0, 1, bos]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 0, 1, 0, 1, 2]);
        let starts: Vec<(usize, usize)> = batch.segments.iter().map(|s| (s.start, s.len)).collect();
        assert_eq!(starts, [(0, 4), (4, 2), (6, 3)]);
        assert_eq!((batch.loss_rows, batch.longest()), (9, 4));
    }

    #[test]
    fn windows_of_a_stream_follow_its_text_and_depend_on_nothing_but_their_number() {
        let text: String = ('a'..='z').collect();
        let mut corpus = read(&text, &stream(0.0)).unwrap();
        let (mut batch, mut one) = (Batch::default(), Batch::default());
        corpus.fill(&mut batch, 6, 3, 5).unwrap();
        assert_eq!((batch.rows(), batch.loss_rows, batch.segments.len()), (15, 15, 3));
        assert!(batch.tokens.iter().zip(&batch.targets).all(|(token, target)| token + 1 == *target));
        assert_eq!(batch.positions[..10], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
        corpus.fill(&mut one, 7, 1, 5).unwrap();
        assert_eq!(one.tokens, batch.tokens[5..10]);
        // Another seed, other windows.
        read(&text, &Config { seed: 1, ..stream(0.0) }).unwrap().fill(&mut one, 6, 3, 5).unwrap();
        assert_ne!(one.tokens, batch.tokens);
        // No BOS is in a stream, but it is a token.
        assert_eq!(corpus.tokenizer.vocab_size(), 27);
    }

    #[test]
    fn what_is_held_back_is_never_learnt() {
        let text: String = ('\u{100}'..'\u{164}').collect();
        let mut corpus = read(&text, &stream(0.1)).unwrap();
        assert_eq!((corpus.len(), corpus.held_back(), corpus.validation_len(99, 4)), (100, 10, 3));
        let mut batch = Batch::default();
        corpus.fill(&mut batch, 0, 1000, 4).unwrap();
        let mut seen = [false; 100];
        batch.tokens.iter().chain(&batch.targets).for_each(|&token| seen[token as usize] = true);
        assert!(seen[..90].iter().all(|&seen| seen) && seen[90..].iter().all(|&seen| !seen));
        corpus.fill_validation(&mut batch, 0, 3, 3, 4).unwrap();
        assert_eq!(batch.tokens, [90, 91, 92, 93, 92, 93, 94, 95, 95, 96, 97, 98]);
        assert_eq!(batch.targets.last(), Some(&99));

        let text: String = ('a'..='t').flat_map(|c| [c, '\n']).collect();
        let mut corpus = read(&text, &Config { val_fraction: 0.25, ..Config::default() }).unwrap();
        assert_eq!((corpus.len(), corpus.held_back(), corpus.validation_len(240, 4)), (20, 5, 5));
        corpus.fill_validation(&mut batch, 0, 5, 5, 4).unwrap();
        let held_back: Vec<u32> = batch.targets.iter().copied().step_by(2).collect();
        corpus.fill(&mut batch, 0, 30, 4).unwrap();
        assert!(batch.tokens.iter().all(|token| !held_back.contains(token)));
    }

    #[test]
    fn a_text_that_is_too_short_is_an_error() {
        let error = |text: &str, config: &Config| read(text, config).unwrap_err().to_string();
        assert_eq!(error("a", &stream(0.0)), "expected a text of at least 2 characters, found 1");
        assert_eq!(
            error("abcdef", &stream(0.1)),
            "expected a text of at least 2 characters to learn, and 2 to hold back, found 6"
        );
        assert_eq!(
            error("abc", &Config { val_fraction: 0.5, ..Config::default() }),
            "expected documents both to learn and to hold back (val_fraction 0.5), found 1"
        );
        let tokenizer = Some(Tokenizer::new("ab".chars()));
        let unknown = Corpus::read("abc".into(), &stream(0.0), tokenizer, &mut Rng::new(0)).unwrap_err();
        assert!(unknown.to_string().contains("found 'c' (U+0063) at character 3"), "{unknown}");
    }
}
