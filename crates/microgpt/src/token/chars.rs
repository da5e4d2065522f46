//! Characters -> tokens: a token is a character's place in the sorted alphabet.

use crate::error::Error;

/// The alphabet. Any Unicode scalar value may be a character; nothing is normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alphabet {
    chars: Vec<char>,
    /// The token of each ASCII character, or [`NONE`]: what most texts need is looked up, not searched.
    ascii: Vec<u32>,
}

/// No token.
const NONE: u32 = u32::MAX;

impl Alphabet {
    /// The alphabet of these characters.
    pub fn new(chars: impl IntoIterator<Item = char>) -> Alphabet {
        let (mut seen, mut others) = ([false; 128], std::collections::BTreeSet::new());
        for c in chars {
            match seen.get_mut(c as usize) {
                Some(seen) => *seen = true,
                None => _ = others.insert(c),
            }
        }
        let chars: Vec<char> =
            (0..128).filter(|&c| seen[usize::from(c)]).map(char::from).chain(others).collect();
        let mut ascii = vec![NONE; 128];
        for (token, &c) in chars.iter().enumerate().filter(|(_, c)| c.is_ascii()) {
            ascii[c as usize] = token as u32;
        }
        Alphabet { chars, ascii }
    }

    /// How many characters there are.
    pub fn len(&self) -> usize {
        self.chars.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// The characters in the order of their tokens.
    pub fn chars(&self) -> &[char] {
        &self.chars
    }

    /// The token of a character, if it has one.
    pub fn token(&self, c: char) -> Option<u32> {
        self.chars.binary_search(&c).ok().map(|token| token as u32)
    }

    /// The character of a token, if it has one.
    pub fn char(&self, token: u32) -> Option<char> {
        self.chars.get(token as usize).copied()
    }

    /// Appends the tokens of a text to `tokens`.
    ///
    /// # Errors
    /// A character that is not in the alphabet: the error names it and where it stands; `tokens` is left with those before.
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
    use crate::token::Tokenizer;

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
