//! Is a sample copied from the text that was learnt, nearly so, or new?

use std::hash::{DefaultHasher, Hash, Hasher};

choices! {
    /// How near a sample is to the nearest document.
    pub enum Novelty: "novelty" {
        /// It is a document
        Copied = "copied",
        /// One letter inserted, deleted or replaced makes it a document
        Near = "near",
        /// Neither
        New = "new",
    }
}

/// Documents, to be found by what is at most one letter away from them.
///
/// One edit leaves the first half of a document as it is, or the second. So a document can be looked up by its length with
/// either half, and whatever is found is compared. That takes two entries a document, however long it is.
#[derive(Debug)]
pub struct Documents<'a> {
    documents: Vec<&'a str>,
    /// What a half is recognised by, and of which document it is: in order.
    halves: Vec<(u64, u32)>,
}

impl<'a> Documents<'a> {
    /// Of these.
    pub fn new(documents: impl Iterator<Item = &'a str>) -> Documents<'a> {
        let documents: Vec<&str> = documents.collect();
        let mut halves = Vec::with_capacity(2 * documents.len());
        for (i, document) in documents.iter().enumerate() {
            let chars: Vec<char> = document.chars().collect();
            for key in keys(&chars, chars.len()) {
                halves.push((key, i as u32));
            }
        }
        halves.sort_unstable();
        Documents { documents, halves }
    }

    /// How near the nearest of them is.
    ///
    /// ```
    /// use microgpt::novelty::{Documents, Novelty};
    /// let names = Documents::new(["anna", "bob"].into_iter());
    /// assert_eq!(["bob", "ana", "annab", "aba"].map(|name| names.novelty(name)),
    ///     [Novelty::Copied, Novelty::Near, Novelty::Near, Novelty::New]);
    /// ```
    pub fn novelty(&self, text: &str) -> Novelty {
        let chars: Vec<char> = text.chars().collect();
        let mut found = Novelty::New;
        for len in chars.len().saturating_sub(1)..=chars.len() + 1 {
            for key in keys(&chars, len) {
                let first = self.halves.partition_point(|&(half, _)| half < key);
                for &(_, i) in self.halves[first..].iter().take_while(|&&(half, _)| half == key) {
                    match edits(&chars, self.documents[i as usize]) {
                        0 => return Novelty::Copied,
                        1 => found = Novelty::Near,
                        _ => {}
                    }
                }
            }
        }
        found
    }
}

/// What a document of `len` letters has in common with `chars`, if its first half has, or its second.
fn keys(chars: &[char], len: usize) -> impl Iterator<Item = u64> {
    let (first, second) = (len / 2, len - len / 2);
    let halves = [chars.get(..first), chars.len().checked_sub(second).and_then(|start| chars.get(start..))];
    halves.into_iter().enumerate().filter_map(move |(which, half)| {
        let mut hasher = DefaultHasher::new();
        (which, len, half?).hash(&mut hasher);
        Some(hasher.finish())
    })
}

/// How many letters to insert, delete or replace: 0, 1, or 2 for more.
fn edits(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    let same = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (a.len() - same).max(b.len() - same).min(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Levenshtein's distance, by its recurrence.
    fn distance(a: &[char], b: &[char]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for i in 0..a.len() {
            let mut before = std::mem::replace(&mut row[0], i + 1);
            for j in 0..b.len() {
                let replaced = before + usize::from(a[i] != b[j]);
                before = row[j + 1];
                row[j + 1] = replaced.min(row[j] + 1).min(before + 1);
            }
        }
        row[b.len()]
    }

    #[test]
    fn it_is_the_distance_to_the_nearest_document() {
        let mut rng = Rng::new(1);
        let mut word = |most: usize| -> String {
            (0..rng.below(most)).map(|_| ['a', 'b', 'é', '🙂'][rng.below(4)]).collect()
        };
        let documents: Vec<String> = (0..150).map(|_| word(8)).collect();
        let index = Documents::new(documents.iter().map(String::as_str));
        let mut counts = [0; 3];
        for _ in 0..2000 {
            let text = word(9);
            let letters = |text: &str| text.chars().collect::<Vec<char>>();
            let nearest = documents.iter().map(|d| distance(&letters(&text), &letters(d))).min().unwrap();
            let wanted = [Novelty::Copied, Novelty::Near, Novelty::New][nearest.min(2)];
            assert_eq!(index.novelty(&text), wanted, "{text}");
            counts[nearest.min(2)] += 1;
        }
        assert!(counts.iter().all(|&count| count > 50), "{counts:?}");
    }
}
