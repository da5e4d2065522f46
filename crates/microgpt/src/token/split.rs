//! Text -> pieces: what GPT-2 cuts a text into before it looks for pairs of bytes. No token reaches over their ends.
//!
//! The rule is a regular expression (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019):
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! A run of letters, of digits or of signs, each with the space before it; English endings after an apostrophe; and
//! what is left of white space. A byte that is no UTF-8 counts as a sign.

use super::letters::is_letter;

/// The pieces of a text, in order; together they are the text.
///
/// ```
/// use microgpt::token::pieces;
/// let found: Vec<&[u8]> = pieces(b"I've 2  cats!").collect();
/// assert_eq!(found, [b"I", &b"'ve"[..], b" 2", b" ", b" cats", b"!"]);
/// ```
pub fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(first_piece(rest));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The first place from `near` on where a text may be cut such that the pieces of both parts are those of the whole:
/// before white space that comes after none. The text's end, if there is no such place.
pub fn safe_cut(text: &[u8], near: usize) -> usize {
    let near = near.clamp(1, text.len().max(1));
    let safe = |&at: &usize| text[at].is_ascii_whitespace() && text[at - 1].is_ascii_graphic();
    (near..text.len()).find(safe).unwrap_or(text.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Number,
    Sign,
}

/// How long the first piece is; 0 of nothing.
fn first_piece(text: &[u8]) -> usize {
    let Some((class, len)) = first_char(text) else { return 0 };
    if text[0] == b'\'' {
        for ending in [&b"s"[..], b"t", b"re", b"ve", b"m", b"ll", b"d"] {
            if text[1..].starts_with(ending) {
                return 1 + ending.len();
            }
        }
    }
    match (class, first_char(&text[len..])) {
        (Class::Space, Some((next, _))) if text[0] == b' ' && next != Class::Space => {
            len + run(&text[len..], next).0
        }
        (Class::Space, _) => {
            let (end, last) = run(text, Class::Space);
            // The last blank belongs to what follows, if another is left.
            if end < text.len() && end > last { end - last } else { end }
        }
        _ => run(text, class).0,
    }
}

/// How long the run of this class is that the text begins with, and its last character.
fn run(text: &[u8], class: Class) -> (usize, usize) {
    let (mut end, mut last) = (0, 0);
    while let Some((_, len)) = first_char(&text[end..]).filter(|(found, _)| *found == class) {
        (end, last) = (end + len, len);
    }
    (end, last)
}

/// What the first character is, and its length in bytes.
fn first_char(text: &[u8]) -> Option<(Class, usize)> {
    let first = *text.first()?;
    Some(match first {
        b'a'..=b'z' | b'A'..=b'Z' => (Class::Letter, 1),
        b'0'..=b'9' => (Class::Number, 1),
        b' ' | b'\t'..=b'\r' => (Class::Space, 1),
        0..=0x7f => (Class::Sign, 1),
        _ => {
            let len = match first {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            let found = text.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
            match found {
                Some(c) if is_letter(c) => (Class::Letter, len),
                Some(c) if c.is_numeric() => (Class::Number, len),
                Some(c) if c.is_whitespace() => (Class::Space, len),
                Some(_) => (Class::Sign, len),
                None => (Class::Sign, 1),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_as_gpt2_cuts_it() {
        let cut = |text: &str| -> Vec<String> {
            pieces(text.as_bytes()).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
        };
        assert_eq!(cut("don't 'll we'LL #'s"), ["don", "'t", " '", "ll", " we", "'", "LL", " #'", "s"]);
        assert_eq!(cut("a  b\n\nc \n"), ["a", " ", " b", "\n", "\n", "c", " \n"]);
        assert_eq!(cut(" \u{3000}x\u{a0}y\t"), [" ", "\u{3000}", "x", "\u{a0}", "y", "\t"]);
        assert_eq!(cut("ab12½Ⅷ東京 是1e\u{301}x"), ["ab", "12½Ⅷ", "東京", " 是", "1", "e", "\u{301}", "x"]);
        assert_eq!(cut(""), [""; 0]);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_signs_and_nothing_is_lost() {
        let text = b"a\xff\xfeb \xe6\x9d\xb1\xe6\x9d \xf0";
        let found: Vec<&[u8]> = pieces(text).collect();
        assert_eq!(found, [&b"a"[..], b"\xff\xfe", b"b", b" \xe6\x9d\xb1", b"\xe6\x9d", b" \xf0"]);
    }

    #[test]
    fn where_it_is_safe_to_cut_the_pieces_stay_the_same() {
        let text = "It's  a\n\n long \u{3000} text, \u{3000}isn't it ? ".repeat(3).into_bytes();
        let whole: Vec<&[u8]> = pieces(&text).collect();
        for near in 0..=text.len() {
            let at = safe_cut(&text, near);
            let (left, right) = text.split_at(at);
            assert!(pieces(left).chain(pieces(right)).eq(whole.iter().copied()), "{near} {at}");
        }
        assert_eq!((safe_cut(b"", 0), safe_cut(b"abc", 1), safe_cut(b"abc de", 1)), (0, 3, 3));
    }
}
