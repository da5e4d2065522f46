//! What is learnt from: documents or a stream, with their alphabet, cut into batches; and the part that is held back.

use crate::batch::Batch;
use crate::config::Config;
use crate::documents::{DataMode, Documents};
use crate::error::Error;
use crate::rng::Rng;
use crate::stream::Stream;
use crate::token::Tokenizer;

/// A text and its alphabet, to make batches from.
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
}

impl Corpus {
    /// Documents in the order in which they are to be learnt, with a tokenizer of their own alphabet; none held back.
    pub fn new(documents: Documents) -> Corpus {
        let tokenizer = Tokenizer::of(&documents);
        Corpus { tokenizer, text: Text::Lines(documents), held_back: 0, seed: 0, line: Vec::new() }
    }

    /// A text as the settings say: documents, which `rng` shuffles, or a stream; with the last `val_fraction` held
    /// back. The tokenizer is that of a model that exists, or one of the whole text's alphabet.
    ///
    /// # Errors
    /// A text with nothing to learn or nothing to hold back, or with a character that the tokenizer does not know.
    pub fn read(
        text: String,
        config: &Config,
        tokenizer: Option<Tokenizer>,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        match config.data_mode {
            DataMode::Lines => Corpus::read_lines(text, config, tokenizer, rng),
            DataMode::Stream => Corpus::read_stream(&text, config, tokenizer),
        }
    }

    fn read_lines(
        text: String,
        config: &Config,
        tokenizer: Option<Tokenizer>,
        rng: &mut Rng,
    ) -> Result<Corpus, Error> {
        let mut documents = Documents::from_lines(text)?;
        documents.shuffle(rng);
        let mut corpus = match tokenizer {
            Some(tokenizer) => {
                let mut line = Vec::new();
                for (i, document) in documents.iter().enumerate() {
                    line.clear();
                    tokenizer
                        .encode_into(document, &mut line)
                        .map_err(|error| error.at(format!("document {}", i + 1)))?;
                }
                Corpus { tokenizer, text: Text::Lines(documents), held_back: 0, seed: 0, line }
            }
            None => Corpus::new(documents),
        };
        if config.val_fraction > 0.0 {
            let len = corpus.len();
            corpus.held_back = ((len as f64 * config.val_fraction).round() as usize).max(1);
            if corpus.held_back >= len {
                return Err(Error::text(format!(
                    "expected documents both to learn and to hold back (val_fraction {}), found {len}",
                    config.val_fraction
                )));
            }
        }
        Ok(corpus)
    }

    fn read_stream(text: &str, config: &Config, tokenizer: Option<Tokenizer>) -> Result<Corpus, Error> {
        let tokenizer = tokenizer.unwrap_or_else(|| Tokenizer::new(text.chars()));
        let stream = Stream::new(text, &tokenizer)?;
        let learnt = (stream.len() as f64 * (1.0 - config.val_fraction)) as usize;
        let held_back = stream.len() - learnt;
        // To predict a token, another must stand before it.
        if learnt < 2 || (config.val_fraction > 0.0 && held_back < 2) {
            let parts = if config.val_fraction > 0.0 { " to learn, and 2 to hold back" } else { "" };
            let found = stream.len();
            return Err(Error::text(format!(
                "expected a text of at least 2 characters{parts}, found {found}"
            )));
        }
        let text = Text::Stream(stream);
        Ok(Corpus { tokenizer, text, held_back, seed: config.seed, line: Vec::new() })
    }

    /// The documents, if it is no stream.
    pub fn documents(&self) -> Option<&Documents> {
        match &self.text {
            Text::Lines(documents) => Some(documents),
            Text::Stream(_) => None,
        }
    }

    /// How many documents there are, or how many tokens of a stream: those that are held back count too.
    #[expect(clippy::len_without_is_empty, reason = "there is always something to learn")]
    pub fn len(&self) -> usize {
        match &self.text {
            Text::Lines(documents) => documents.len(),
            Text::Stream(stream) => stream.len(),
        }
    }

    /// How many of them are held back.
    pub fn held_back(&self) -> usize {
        self.held_back
    }

    /// Fills `batch` with `count` documents to learn, from place `first` on, beginning again at the end; or with
    /// windows `first..first + count` of an endless list of random ones.
    pub fn fill(&mut self, batch: &mut Batch, first: usize, count: usize, block_size: usize) {
        batch.clear();
        let learnt = self.len() - self.held_back;
        for i in first..first + count {
            match &self.text {
                Text::Lines(_) => self.push_document(batch, i % learnt, block_size),
                Text::Stream(stream) => {
                    stream.random_window(0..learnt, block_size + 1, self.seed, i as u64, &mut self.line);
                    batch.push_document(&self.line, block_size);
                }
            }
        }
    }

    /// How many documents or windows of what is held back there are to look at: `wanted`, or all that there are.
    pub fn validation_len(&self, wanted: usize, block_size: usize) -> usize {
        wanted.min(match &self.text {
            Text::Lines(_) => self.held_back,
            // Windows of block_size predictions: each shares its last token with the next one's first.
            Text::Stream(_) => self.held_back.saturating_sub(1).div_ceil(block_size),
        })
    }

    /// Fills `batch` with documents or windows `first..first + count` of the `all` that are looked at of what is held
    /// back. They are always the same, so that their loss can be compared.
    pub fn fill_validation(
        &mut self,
        batch: &mut Batch,
        first: usize,
        count: usize,
        all: usize,
        block_size: usize,
    ) {
        batch.clear();
        let learnt = self.len() - self.held_back;
        for i in first..first + count {
            match &self.text {
                Text::Lines(_) => self.push_document(batch, learnt + i, block_size),
                Text::Stream(stream) => {
                    stream.even_window(learnt..stream.len(), block_size + 1, i, all, &mut self.line);
                    batch.push_document(&self.line, block_size);
                }
            }
        }
    }

    fn push_document(&mut self, batch: &mut Batch, i: usize, block_size: usize) {
        let Text::Lines(documents) = &self.text else { return };
        self.line.clear();
        self.line.push(self.tokenizer.bos());
        self.tokenizer.encode_into(documents.get(i), &mut self.line).expect("the alphabet of the documents");
        self.line.push(self.tokenizer.bos());
        batch.push_document(&self.line, block_size);
    }
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
        corpus.fill(&mut batch, 1, 3, 4);
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
        corpus.fill(&mut batch, 6, 3, 5);
        assert_eq!((batch.rows(), batch.loss_rows, batch.segments.len()), (15, 15, 3));
        assert!(batch.tokens.iter().zip(&batch.targets).all(|(token, target)| token + 1 == *target));
        assert_eq!(batch.positions[..10], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
        corpus.fill(&mut one, 7, 1, 5);
        assert_eq!(one.tokens, batch.tokens[5..10]);
        // Another seed, other windows.
        read(&text, &Config { seed: 1, ..stream(0.0) }).unwrap().fill(&mut one, 6, 3, 5);
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
        corpus.fill(&mut batch, 0, 1000, 4);
        let mut seen = [false; 100];
        batch.tokens.iter().chain(&batch.targets).for_each(|&token| seen[token as usize] = true);
        assert!(seen[..90].iter().all(|&seen| seen) && seen[90..].iter().all(|&seen| !seen));
        corpus.fill_validation(&mut batch, 0, 3, 3, 4);
        assert_eq!(batch.tokens, [90, 91, 92, 93, 92, 93, 94, 95, 95, 96, 97, 98]);
        assert_eq!(batch.targets.last(), Some(&99));

        let text: String = ('a'..='t').flat_map(|c| [c, '\n']).collect();
        let mut corpus = read(&text, &Config { val_fraction: 0.25, ..Config::default() }).unwrap();
        assert_eq!((corpus.len(), corpus.held_back(), corpus.validation_len(240, 4)), (20, 5, 5));
        corpus.fill_validation(&mut batch, 0, 5, 5, 4);
        let held_back: Vec<u32> = batch.targets.iter().copied().step_by(2).collect();
        corpus.fill(&mut batch, 0, 30, 4);
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
