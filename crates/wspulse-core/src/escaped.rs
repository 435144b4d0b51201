//! Text that a peer chose, made safe for a log or a terminal.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};

/// Text that may hold what a peer chose, without characters that steer a terminal, begin a line of
/// a log or turn the direction of the text around: they are written as `\n` or `\u{1b}`.
///
/// The library shows and logs every such text through it. Use it for your own logs too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escaped<'a>(Cow<'a, str>);

impl<'a> Escaped<'a> {
    /// Escapes a text; one that needs no escape is borrowed.
    pub fn new(text: &'a str) -> Self {
        if text.chars().any(is_unsafe) {
            Self(Cow::Owned(escape(text)))
        } else {
            Self(Cow::Borrowed(text))
        }
    }

    /// The text of an error and of those behind it, each after a colon. A source whose text is
    /// there already is not repeated.
    pub fn error(error: &dyn Error) -> Escaped<'static> {
        let mut text = escape(&error.to_string());
        let mut source = error.source();
        while let Some(inner) = source {
            let more = escape(&inner.to_string());
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            source = inner.source();
        }
        Escaped(Cow::Owned(text))
    }

    /// Escapes what a value displays.
    pub fn display(value: &dyn fmt::Display) -> Escaped<'static> {
        Escaped(Cow::Owned(escape(&value.to_string())))
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            // Writing to a string does not fail.
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Control characters, line and paragraph separators, and the marks that change the direction.
const fn is_unsafe(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_a_log_is_escaped() {
        let escaped = Escaped::new("a\nb\r\u{1b}[31m\u{9b}\u{202e}\u{2028}é ö");
        let safe = r"a\nb\r\u{1b}[31m\u{9b}\u{202e}\u{2028}é ö";
        assert_eq!(escaped.as_str(), safe);
        assert!(matches!(Escaped::new("né 日本").0, Cow::Borrowed("né 日本")));
    }

    #[test]
    fn an_error_is_told_with_its_causes_once_each() {
        let cause = crate::codec::DecodeError::new("bad\nbyte");
        assert!(Escaped::error(&cause).as_str().ends_with(r"decoded: bad\nbyte"));
        assert_eq!(Escaped::error(&cause).as_str().matches("bad").count(), 1);
    }
}
