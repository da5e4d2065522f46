//! Documents -> tokens and back: a token is a character's place in the sorted alphabet, and BOS comes after the last.

use crate::{documents::Documents, error::Error};

/// The alphabet. Any Unicode scalar value may be a character; nothing is normalised.
///
/// ```
/// use microgpt::token::Tokenizer;
/// let tokenizer = Tokenizer::new("emma".chars());
/// let tokens = tokenizer.encode("mae").unwrap();
/// assert_eq!(tokens, [2, 0, 1]);
/// assert_eq!(tokenizer.decode(&tokens), "mae");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenizer {
    chars: Vec<char>,
    /// The token of each ASCII character, or [`NONE`]: what most texts need is looked up, not searched.
    ascii: Vec<u32>,
}

/// No token.
const NONE: u32 = u32::MAX;

impl Tokenizer {
    /// The alphabet of these characters.
    pub fn new(chars: impl IntoIterator<Item = char>) -> Tokenizer {
        let chars: std::collections::BTreeSet<char> = chars.into_iter().collect();
        let mut ascii = vec![NONE; 128];
        for (token, &c) in chars.iter().enumerate().filter(|(_, c)| c.is_ascii()) {
            ascii[c as usize] = token as u32;
        }
        Tokenizer { chars: chars.into_iter().collect(), ascii }
    }

    /// The alphabet of the documents.
    pub fn of(documents: &Documents) -> Tokenizer {
        Tokenizer::new(documents.iter().flat_map(str::chars))
    }

    /// What a stream begins with when nothing is asked for: the end of a line, else a space, else the first character.
    ///
    /// A stream has no BOS in it, so a model of one does not know what follows BOS.
    pub fn stream_start(&self) -> u32 {
        let find = |c| self.chars.binary_search(&c).ok();
        find('\n').or_else(|| find(' ')).unwrap_or(0) as u32
    }

    /// The characters in the order of their tokens.
    pub fn chars(&self) -> &[char] {
        &self.chars
    }

    /// V: how many tokens there are, BOS included.
    pub fn vocab_size(&self) -> usize {
        self.chars.len() + 1
    }

    /// The token that begins and ends a document: the last one.
    pub fn bos(&self) -> u32 {
        self.chars.len() as u32
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
        let known = |byte: u8| self.ascii.get(usize::from(byte)).is_some_and(|&token| token != NONE);
        if text.bytes().all(known) {
            tokens.extend(text.bytes().map(|byte| self.ascii[usize::from(byte)]));
            return Ok(());
        }
        for (place, (byte, c)) in text.char_indices().enumerate() {
            let token = self.chars.binary_search(&c).map_err(|_| {
                Error::text(format!(
                    "expected only the {} characters that the model knows ({}), found {c:?} (U+{:04X}) at character {} (byte {byte})",
                    self.chars.len(),
                    self.summary(),
                    c as u32,
                    place + 1
                ))
            })?;
            tokens.push(token as u32);
        }
        Ok(())
    }

    /// The text of the tokens. BOS, and what is no token, is left out.
    pub fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().filter_map(|&token| self.chars.get(token as usize)).collect()
    }

    /// A token as a person would name it: its character, or `BOS`.
    pub fn name(&self, token: u32) -> String {
        self.chars.get(token as usize).map_or("BOS".to_string(), |c| c.to_string())
    }

    /// The first and last few characters.
    fn summary(&self) -> String {
        let text: String = self.chars.iter().collect();
        let shown = |chars: &[char]| chars.iter().collect::<String>().escape_debug().to_string();
        match self.chars.len() {
            0..=30 => text.escape_debug().to_string(),
            n => format!("{}...{}", shown(&self.chars[..13]), shown(&self.chars[n - 13..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_of_the_alphabet_comes_back() {
        let text = "Ωμέγα 東京 🙂 e\u{301} é \u{0}";
        let tokenizer = Tokenizer::new(text.chars());
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), text);
        assert_eq!(tokenizer.vocab_size(), tokenizer.bos() as usize + 1);
        assert_eq!(tokenizer.decode(&[tokenizer.bos()]), "");
    }

    #[test]
    fn an_unknown_character_is_named_with_its_place() {
        let error = Tokenizer::new("aéb".chars()).encode("éaß").unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected only the 3 characters that the model knows (abé), found 'ß' (U+00DF) at character 3 (byte 3)"
        );
    }
}
