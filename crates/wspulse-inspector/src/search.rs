//! Finding a text in others, whatever the case of its letters.

/// A text to look for.
pub(crate) struct Needle(String);

impl Needle {
    pub(crate) const fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether a text holds it. ASCII letters are the same in both cases.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let (text, needle) = (text.as_bytes(), self.0.as_bytes());
        needle.is_empty()
            || text.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_others_whatever_its_case() {
        let needle = |text: &str| Needle::new(text.to_owned());
        assert!(needle("ANN").is_in("user-ann/1"));
        assert!(needle("").is_in(""));
        assert!(needle("é").is_in("né"));
        assert!(!needle("anna").is_in("ann"));
        assert!(!needle("b").is_in("ann"));
    }
}
