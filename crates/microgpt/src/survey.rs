//! What a text is like before anything is learnt: lengths, alphabet, duplicates, and the losses that counting alone gives.

use crate::corpus::Corpus;
use crate::error::Error;
use crate::token::ByPair;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What was found in a text. Tokens are counted without BOS; losses are in nats per token, BOS at the end among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// How many documents there are; of a stream one, of a task a sample.
    pub documents: u64,
    /// How many tokens.
    pub tokens: u64,
    /// How many documents have how many tokens.
    pub lengths: BTreeMap<usize, u64>,
    /// How many documents have stood before, among the first [`REMEMBERED`].
    pub duplicates: u64,
    /// How many documents are longer than the context, so that their end is not learnt.
    pub cut: u64,
    /// How many tokens that are, and ends of documents.
    pub cut_tokens: u64,
    /// How often each token stands there; BOS as the end of a document.
    pub counts: Vec<u64>,
    /// ln(V): who does not even count.
    pub guess: f64,
    /// -sum p(x) ln p(x): who knows how frequent each token is.
    pub unigram: f64,
    /// -sum p(x, y) ln p(y | x): who knows how frequent each token is after each other. Counted on this very text: of one
    /// that is short it promises too much.
    pub bigram: f64,
}

/// Of how many documents is remembered what they were: 16 bytes each.
pub const REMEMBERED: usize = 1 << 24;

impl Survey {
    /// Looks at all of a text, or at as many problems of a task as `sample` says.
    ///
    /// # Errors
    /// Tokens that cannot be read where they are kept.
    pub fn of(corpus: &mut Corpus, block_size: usize, sample: usize) -> Result<Survey, Error> {
        let (vocab_size, bos) = (corpus.tokenizer.vocab_size(), corpus.tokenizer.bos());
        let stream = corpus.is_stream();
        let mut survey = Survey {
            documents: 0,
            tokens: u64::from(stream),
            lengths: BTreeMap::new(),
            duplicates: 0,
            cut: 0,
            cut_tokens: 0,
            counts: vec![0; vocab_size],
            guess: (vocab_size as f64).ln(),
            unigram: 0.0,
            bigram: 0.0,
        };
        let (mut pairs, mut seen) = (ByPair::<u64>::default(), HashSet::new());
        corpus.each_document(sample, |line| {
            for pair in line.windows(2) {
                survey.counts[pair[1] as usize] += 1;
                *pairs.entry((pair[0], pair[1])).or_default() += 1;
            }
            survey.tokens += line[1..].iter().filter(|&&token| token != bos).count() as u64;
            if !stream {
                let (len, predicted) = (line.len() - 2, line.len() - 1);
                survey.documents += 1;
                *survey.lengths.entry(len).or_default() += 1;
                survey.cut += u64::from(predicted > block_size);
                survey.cut_tokens += predicted.saturating_sub(block_size) as u64;
                let mut hasher = DefaultHasher::new();
                line.hash(&mut hasher);
                if seen.contains(&hasher.finish()) {
                    survey.duplicates += 1;
                } else if seen.len() < REMEMBERED {
                    seen.insert(hasher.finish());
                }
            }
        })?;
        if stream {
            survey.documents = 1;
            survey.lengths.insert(survey.tokens as usize, 1);
        }
        let all: u64 = survey.counts.iter().sum();
        survey.unigram = entropy(survey.counts.iter().copied(), all);
        // H(x, y) - H(x), where x is what stands before y.
        let mut before = vec![0; vocab_size];
        pairs.iter().for_each(|(pair, count)| before[pair.0 as usize] += count);
        // In order, so that the sum has the same bits each time.
        let pairs: BTreeMap<_, _> = pairs.into_iter().collect();
        survey.bigram = (entropy(pairs.into_values(), all) - entropy(before.into_iter(), all)).max(0.0);
        Ok(survey)
    }

    /// The mean number of tokens in a document.
    pub fn mean(&self) -> f64 {
        self.tokens as f64 / self.documents as f64
    }

    /// The length that half of the documents have at most.
    pub fn median(&self) -> usize {
        let mut left = self.documents.div_ceil(2);
        let found = self.lengths.iter().find(|(_, count)| {
            let here = left <= **count;
            left = left.saturating_sub(**count);
            here
        });
        found.map_or(0, |(len, _)| *len)
    }

    /// The lengths in at most `most` ranges that are equally wide: the first and last length of each, and how many
    /// documents it has.
    pub fn histogram(&self, most: usize) -> Vec<(usize, usize, u64)> {
        let (Some((&first, _)), Some((&last, _))) =
            (self.lengths.first_key_value(), self.lengths.last_key_value())
        else {
            return Vec::new();
        };
        let width = (last - first + 1).div_ceil(most);
        let range = |start: usize| (start, (start + width - 1).min(last));
        (first..=last)
            .step_by(width)
            .map(range)
            .map(|(start, end)| (start, end, self.lengths.range(start..=end).map(|(_, count)| count).sum()))
            .collect()
    }
}

/// -sum p ln p, where p is a count of `all`.
fn entropy(counts: impl Iterator<Item = u64>, all: u64) -> f64 {
    let all = all as f64;
    counts.filter(|&count| count > 0).fold(0.0, |sum, count| {
        let p = count as f64 / all;
        sum - p * p.ln()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::documents::DataMode;
    use crate::rng::Rng;
    use crate::task::Task;

    fn survey(text: &str, config: Config) -> Survey {
        let mut corpus = Corpus::read(text.into(), &config, None, &mut Rng::new(1)).unwrap();
        Survey::of(&mut corpus, config.block_size, 9).unwrap()
    }

    #[test]
    fn documents_are_measured() {
        let found = survey("ab\nab\nb\nabbbbbb\n", Config { block_size: 4, ..Config::default() });
        assert_eq!((found.documents, found.tokens, found.duplicates), (4, 12, 1));
        assert_eq!((found.cut, found.cut_tokens, found.counts), (1, 4, vec![3, 9, 4]));
        assert_eq!((found.lengths.into_iter().collect::<Vec<_>>()), [(1, 1), (2, 2), (7, 1)]);
        assert_eq!(found.guess, 3f64.ln());
        let by_hand = |counts: &[f64]| -> f64 { counts.iter().map(|n| -n / 16.0 * (n / 16.0).ln()).sum() };
        assert!((found.unigram - by_hand(&[3.0, 9.0, 4.0])).abs() < 1e-12);
        // After a always b; after BOS three a and one b; after b five b and four BOS.
        let after = |counts: &[f64]| -> f64 {
            let all: f64 = counts.iter().sum();
            counts.iter().map(|n| -n / 16.0 * (n / all).ln()).sum()
        };
        assert!((found.bigram - after(&[3.0, 1.0]) - after(&[5.0, 4.0])).abs() < 1e-12);
    }

    #[test]
    fn lengths_are_shown_in_ranges() {
        let found = survey("a\nbb\nccc\ndddd\nffffffffff\n", Config::default());
        assert_eq!((found.median(), found.mean()), (3, 4.0));
        assert_eq!(found.histogram(3), [(1, 4, 4), (5, 8, 0), (9, 10, 1)]);
        assert_eq!(found.histogram(99).len(), 10);
    }

    #[test]
    fn a_stream_is_one_and_a_task_is_sampled() {
        let config = Config { data_mode: DataMode::Stream, ..Config::default() };
        let text = "abab".repeat(3000);
        let found = survey(&text, config);
        assert_eq!((found.documents, found.tokens, found.cut, found.duplicates), (1, 12000, 0, 0));
        assert_eq!(found.counts, [5999, 6000, 0]);
        assert!(found.bigram < 1e-12 && (found.unigram - 2f64.ln()).abs() < 1e-6);
        let config = Config { task: Task::Copy, ..Config::default() };
        let mut corpus = Corpus::task(&config).unwrap();
        let found = Survey::of(&mut corpus, 8, 50).unwrap();
        assert_eq!((found.documents, found.cut, found.lengths.len()), (50, 0, 3));
    }
}
