//! Text -> documents: a line each, in a random order. (A text that is one stream is `stream`'s.)

use crate::{error::Error, rng::Rng};
use std::borrow::Cow;
use std::ops::Range;

choices! {
    /// How a text is read.
    pub enum DataMode: "data_mode" {
        /// Each line is a document, which begins and ends for itself
        Lines = "lines",
        /// All of it is one stream of characters, learnt in windows of block_size
        Stream = "stream",
    }
}

/// Bytes as text.
///
/// # Errors
/// Bytes that are no UTF-8: the error names the first bad byte, its place and its line.
pub fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = String::from_utf8_lossy(&bytes[..at]).replace("\r\n", "\n");
        let line = 1 + before.matches(['\n', '\r']).count();
        Error::text(format!(
            "expected UTF-8 text, found byte 0x{:02x} at offset {at} (line {line})",
            bytes[at]
        ))
    })
}

/// The documents of a text, without copies: the text and where in it each document stands.
#[derive(Debug, Clone)]
pub struct Documents {
    text: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Documents {
    /// A document per line; see [`lines`]. What stands twice counts twice.
    ///
    /// # Errors
    /// A text without a document.
    ///
    /// ```
    /// let docs = microgpt::documents::Documents::from_lines(" emma\r\n\n olivia ".into()).unwrap();
    /// assert_eq!(docs.iter().collect::<Vec<_>>(), ["emma", "olivia"]);
    /// ```
    pub fn from_lines(text: String) -> Result<Documents, Error> {
        Documents::from_bytes(text.into_bytes())
    }

    /// The same for bytes, which need not be UTF-8.
    ///
    /// # Errors
    /// A text without a document.
    pub fn from_bytes(text: Vec<u8>) -> Result<Documents, Error> {
        let start = text.as_ptr() as usize;
        let span = |doc: &[u8]| {
            let at = doc.as_ptr() as usize - start;
            at..at + doc.len()
        };
        let spans: Vec<Range<usize>> = lines(&text).map(span).collect();
        if spans.is_empty() {
            return Err(no_documents(text.is_empty()));
        }
        Ok(Documents { text, spans })
    }

    /// The same for bytes, which must be UTF-8.
    ///
    /// # Errors
    /// As [`utf8`]. A text without a document.
    pub fn from_utf8(bytes: Vec<u8>) -> Result<Documents, Error> {
        utf8(&bytes)?;
        Documents::from_bytes(bytes)
    }

    /// Puts the documents in a random order.
    pub fn shuffle(&mut self, rng: &mut Rng) {
        rng.shuffle(&mut self.spans);
    }

    /// How many there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "there is always a document")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Document `i` as text; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn get(&self, i: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(i))
    }

    /// Document `i` as it is.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn bytes(&self, i: usize) -> &[u8] {
        &self.text[self.spans[i].clone()]
    }

    /// All documents in order, as text.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.len()).map(|i| self.get(i))
    }
}

/// The error of a text without a document.
pub fn no_documents(empty: bool) -> Error {
    let found = if empty { "an empty text" } else { "nothing but blank lines" };
    Error::text(format!("expected a document per line, found {found}"))
}

/// The documents of a text, a line each. Blanks at both ends of a line are dropped, then empty lines.
///
/// Lines end with `\n`, `\r\n` or `\r`, and with nothing else.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let strip = |line| match std::str::from_utf8(line) {
        Ok(line) => line.trim_matches(is_blank).as_bytes(),
        Err(_) => line.trim_ascii(),
    };
    text.split(|&byte| byte == b'\n' || byte == b'\r').map(strip).filter(|doc| !doc.is_empty())
}

/// What Python's `strip` drops: Unicode white space, and four old separators that Rust leaves.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<String> {
        Documents::from_lines(text.into()).unwrap().iter().map(|doc| doc.into_owned()).collect()
    }

    #[test]
    fn lines_are_split_and_stripped_as_python_does() {
        assert_eq!(parse("a\rb\r\nc\n\n"), ["a", "b", "c"]);
        assert_eq!(parse("\u{a0}\u{2003}\x1f a b \t\n"), ["a b"]);
        // Neither a line's end nor a blank to strip.
        assert_eq!(parse("\u{feff}a\u{85}b\u{2028}c\x0bd"), ["\u{feff}a\u{85}b\u{2028}c\x0bd"]);
    }

    #[test]
    fn errors_say_what_was_found_and_where() {
        let error = |bytes: &[u8]| Documents::from_utf8(bytes.to_vec()).unwrap_err().to_string();
        assert_eq!(error(b"ab\nc\xffd"), "expected UTF-8 text, found byte 0xff at offset 4 (line 2)");
        assert_eq!(error(b""), "expected a document per line, found an empty text");
        assert_eq!(error(b" \n\t\n"), "expected a document per line, found nothing but blank lines");
    }
}
