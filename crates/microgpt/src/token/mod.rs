//! Text -> tokens and back: a token is a character's place in the sorted alphabet, a byte, or a run of bytes that is
//! frequent; and BOS comes after the last.

mod bpe;
mod chars;
mod learn;
mod letters;
mod split;
mod words;

pub(crate) use bpe::ByPair;
pub use bpe::{Bpe, Pair, gpt2_order, letter_of};
pub use chars::Alphabet;
pub use split::{pieces, safe_cut};
pub use words::Words;

use crate::documents::Documents;
use crate::error::Error;

choices! {
    /// What a token is.
    pub enum TokenizerKind: "tokenizer" {
        /// A character, by its place in the alphabet of the text
        Char = "char",
        /// A byte; any text will do
        Byte = "byte",
        /// A run of bytes that is frequent in the text: byte-pair encoding, vocab_size tokens
        Bpe = "bpe",
    }
}

/// Text to tokens and back.
///
/// ```
/// use microgpt::token::Tokenizer;
/// let tokenizer = Tokenizer::new("emma".chars());
/// let tokens = tokenizer.encode("mae").unwrap();
/// assert_eq!(tokens, [2, 0, 1]);
/// assert_eq!(tokenizer.decode(&tokens), "mae");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokenizer {
    /// Of characters.
    Chars(Alphabet),
    /// Of bytes and of what they are merged to.
    Bytes(Bpe),
}

impl Tokenizer {
    /// The alphabet of these characters.
    pub fn new(chars: impl IntoIterator<Item = char>) -> Tokenizer {
        Tokenizer::Chars(Alphabet::new(chars))
    }

    /// The alphabet of the documents; those that are no UTF-8 have none.
    pub fn of(documents: &Documents) -> Tokenizer {
        Tokenizer::of_lines((0..documents.len()).map(|i| documents.bytes(i)))
    }

    /// The same of documents as they come.
    pub fn of_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Tokenizer {
        Tokenizer::new(lines.flat_map(|line| std::str::from_utf8(line).unwrap_or_default().chars()))
    }

    /// A token for each byte, its value.
    pub fn bytes() -> Tokenizer {
        Tokenizer::Bytes(Bpe::plain())
    }

    /// Byte-pair encoding with `vocab_size` tokens, BOS among them, learnt from these pieces; fewer, if nothing is left
    /// to merge. The bytes stand in the order of GPT-2.
    ///
    /// # Errors
    /// Less tokens than there are bytes, and BOS.
    pub fn learn(words: &Words, vocab_size: usize) -> Result<Tokenizer, Error> {
        if vocab_size < SMALLEST {
            return Err(Error::config(format!(
                "vocab_size: expected at least {SMALLEST} (256 bytes and BOS) for bpe, found {vocab_size}"
            )));
        }
        let merges = learn::merges(words, &gpt2_order(), vocab_size - SMALLEST);
        Ok(Tokenizer::Bytes(Bpe::new(gpt2_order(), &merges).expect("merges of tokens that were made")))
    }

    /// What its tokens are.
    pub fn kind(&self) -> TokenizerKind {
        match self {
            Tokenizer::Chars(_) => TokenizerKind::Char,
            Tokenizer::Bytes(bpe) if bpe.merges().is_empty() => TokenizerKind::Byte,
            Tokenizer::Bytes(_) => TokenizerKind::Bpe,
        }
    }

    /// What a token is called in a sentence: a character, a byte, a token.
    pub fn unit(&self) -> &'static str {
        match self.kind() {
            TokenizerKind::Char => "character",
            TokenizerKind::Byte => "byte",
            TokenizerKind::Bpe => "token",
        }
    }

    /// What a stream begins with when nothing is asked for: the end of a line, else a space, else the first token.
    ///
    /// A stream has no BOS in it, so a model of one does not know what follows BOS.
    pub fn stream_start(&self) -> u32 {
        match self {
            Tokenizer::Chars(alphabet) => {
                ['\n', ' '].into_iter().find_map(|c| alphabet.token(c)).unwrap_or(0)
            }
            Tokenizer::Bytes(bpe) => bpe.bytes()[usize::from(b'\n')].into(),
        }
    }

    /// V: how many tokens there are, BOS included.
    pub fn vocab_size(&self) -> usize {
        self.bos() as usize + 1
    }

    /// The token that begins and ends a document: the last one.
    pub fn bos(&self) -> u32 {
        match self {
            Tokenizer::Chars(alphabet) => alphabet.len() as u32,
            Tokenizer::Bytes(bpe) => bpe.len() as u32,
        }
    }

    /// The tokens of a text, without BOS.
    ///
    /// # Errors
    /// A character that is not in the alphabet: the error names it and where it stands.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::with_capacity(text.len());
        self.encode_into(text, &mut tokens)?;
        Ok(tokens)
    }

    /// Appends the tokens of a text to `tokens`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; `tokens` is then left with those before the unknown character.
    pub fn encode_into(&self, text: &str, tokens: &mut Vec<u32>) -> Result<(), Error> {
        match self {
            Tokenizer::Chars(alphabet) => alphabet.encode_into(text, tokens),
            Tokenizer::Bytes(bpe) => {
                bpe.encode_into(text.as_bytes(), tokens);
                Ok(())
            }
        }
    }

    /// The same of bytes, which have to be UTF-8 for characters, and for nothing else.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], and bytes that are no UTF-8.
    pub fn encode_bytes_into(&self, text: &[u8], tokens: &mut Vec<u32>) -> Result<(), Error> {
        match self {
            Tokenizer::Chars(alphabet) => alphabet.encode_into(crate::documents::utf8(text)?, tokens),
            Tokenizer::Bytes(bpe) => {
                bpe.encode_into(text, tokens);
                Ok(())
            }
        }
    }

    /// The text of the tokens. BOS, and what is no token, is left out; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Tokenizer::Chars(alphabet) => tokens.iter().filter_map(|&token| alphabet.char(token)).collect(),
            Tokenizer::Bytes(_) => String::from_utf8_lossy(&self.decode_bytes(tokens)).into_owned(),
        }
    }

    /// How many characters these tokens are; BOS, the end of a document, counts as one.
    pub fn characters(&self, tokens: &[u32]) -> usize {
        match self {
            Tokenizer::Chars(_) => tokens.len(),
            Tokenizer::Bytes(_) => {
                let ends = tokens.iter().filter(|&&token| token == self.bos()).count();
                self.decode(tokens).chars().count() + ends
            }
        }
    }

    /// The bytes of the tokens, all of them. BOS, and what is no token, is left out.
    pub fn decode_bytes(&self, tokens: &[u32]) -> Vec<u8> {
        match self {
            Tokenizer::Chars(_) => self.decode(tokens).into_bytes(),
            Tokenizer::Bytes(bpe) => tokens.iter().filter_map(|&t| bpe.piece(t)).flatten().copied().collect(),
        }
    }

    /// A token as a person would name it: its characters, or `BOS`. Bytes that are no characters are `\xe6`.
    pub fn name(&self, token: u32) -> String {
        let name = match self {
            Tokenizer::Chars(alphabet) => alphabet.char(token).map(String::from),
            Tokenizer::Bytes(bpe) => bpe.piece(token).map(|piece| match std::str::from_utf8(piece) {
                Ok(text) => text.to_string(),
                Err(_) => piece.escape_ascii().to_string(),
            }),
        };
        name.unwrap_or_else(|| "BOS".to_string())
    }
}

/// The least `vocab_size` of byte-pair encoding: all bytes, and BOS.
pub const SMALLEST: usize = 257;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_bytes_are_named_counted_and_joined_again() {
        let bytes = Tokenizer::bytes();
        assert_eq!((bytes.vocab_size(), bytes.kind(), bytes.unit()), (257, TokenizerKind::Byte, "byte"));
        assert_eq!(bytes.encode("é\n").unwrap(), [0xc3, 0xa9, 10]);
        assert_eq!(bytes.characters(&[0xc3, 0xa9, 65, 256]), 3);
        assert_eq!(Tokenizer::new("ab".chars()).characters(&[0, 1, 2]), 3);
        assert_eq!(
            (bytes.name(0xc3), bytes.name(65), bytes.name(256)),
            ("\\xc3".into(), "A".into(), "BOS".into())
        );
        assert_eq!(
            (bytes.decode(&[0xc3, 65, 256]), bytes.decode_bytes(&[0xc3, 65])),
            ("\u{fffd}A".into(), vec![0xc3, 65])
        );

        let mut words = Words::default();
        words.count(b"low lower lowest low");
        let bpe = Tokenizer::learn(&words, 262).unwrap();
        assert_eq!((bpe.vocab_size(), bpe.kind()), (262, TokenizerKind::Bpe));
        let tokens = bpe.encode("low lower").unwrap();
        let names: Vec<String> = tokens.iter().map(|&token| bpe.name(token)).collect();
        assert_eq!(names.concat(), "low lower");
        assert!(tokens.len() <= 4, "{names:?}");
        assert_eq!(bpe.name(bpe.stream_start()), "\n");
        // lo, low, ' low', ' lowe', ' lower', ' lowes', ' lowest': then nothing is left to merge.
        assert_eq!(Tokenizer::learn(&words, 5000).unwrap().vocab_size(), 257 + 7);
        let error = Tokenizer::learn(&words, 200).unwrap_err().to_string();
        assert_eq!(error, "vocab_size: expected at least 257 (256 bytes and BOS) for bpe, found 200");
    }
}
