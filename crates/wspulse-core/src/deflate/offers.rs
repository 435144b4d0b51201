//! What a client offers by `Sec-WebSocket-Extensions`, and what it is answered.

use std::fmt;
use std::num::NonZeroU8;

/// What is offered, and its name in the answer.
pub(super) const NAME: &str = "permessage-deflate";

/// How far back a compressed message may refer: 2 to the power of so many bytes, 9 to 15.
///
/// RFC 7692 §7.1.2 also has 8, for which zlib has no deflater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(NonZeroU8);

impl WindowBits {
    /// 32 KiB, as without a word about it.
    pub const MAX: Self = Self(NonZeroU8::new(15).expect("it is not 0"));
    /// 512 bytes.
    pub const MIN: Self = Self(NonZeroU8::new(9).expect("it is not 0"));

    /// So many bits; `None` if they are not 9 to 15.
    pub const fn new(bits: u8) -> Option<Self> {
        match NonZeroU8::new(bits) {
            Some(is) if bits >= Self::MIN.get() && bits <= Self::MAX.get() => Some(Self(is)),
            Some(_) | None => None,
        }
    }

    /// 9 to 15.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The window that frames are compressed with for whoever takes one of so many bits: all 15, or 9. So a
    /// frame has two compressed forms at the most, whatever windows its receivers ask for.
    #[must_use]
    pub const fn shared(self) -> Self {
        if self.get() < Self::MAX.get() { Self::MIN } else { Self::MAX }
    }
}

/// What both have agreed on: messages of either side may be compressed, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    window: WindowBits,
    /// The client has named the window, and is answered it.
    is_named: bool,
}

impl Agreed {
    /// The window of what the server compresses, one of those that are [shared](WindowBits::shared). What the
    /// client compresses may have the largest.
    pub const fn window(self) -> WindowBits {
        self.window
    }
}

/// The value of the answer's `Sec-WebSocket-Extensions`.
impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}; server_no_context_takeover; client_no_context_takeover")?;
        if self.is_named {
            write!(f, "; server_max_window_bits={}", self.window.0)?;
        }
        Ok(())
    }
}

/// The header's value is none by RFC 6455 §9.1, which has the handshake fail then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`Sec-WebSocket-Extensions` is no list of extensions (RFC 6455 §9.1)")]
pub struct MalformedOffers;

/// The first offer that can be accepted, of the header's values in their order (RFC 7692 §5.1). Those of
/// other extensions, and with parameters that are not known, repeated or out of range, cannot.
///
/// # Errors
///
/// [`MalformedOffers`] if a value cannot be read at all.
pub fn agree<'a>(
    values: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Agreed>, MalformedOffers> {
    let mut agreed = None;
    for value in values {
        let mut rest = Text(value);
        while rest.has_extension() {
            let mut offer = Offer::default();
            let name = rest.extension(|name, value| offer.take(name, value))?;
            agreed = agreed.or(if name == NAME { offer.agreed() } else { None });
        }
    }
    Ok(agreed)
}

/// One offer, as far as it was read.
#[derive(Default)]
struct Offer<'a> {
    /// Those that were accepted.
    parameters: Vec<&'a str>,
    window: Option<WindowBits>,
    is_unacceptable: bool,
}

impl<'a> Offer<'a> {
    fn take(&mut self, name: &'a str, value: Option<&str>) {
        let is_acceptable = match (name, value) {
            // The client may compress with any window: the inflater has the largest.
            (
                "server_no_context_takeover"
                | "client_no_context_takeover"
                | "client_max_window_bits",
                None,
            ) => true,
            ("server_max_window_bits", Some(bits)) => {
                self.window = bits_of(bits).and_then(WindowBits::new);
                self.window.is_some()
            }
            ("client_max_window_bits", Some(bits)) => {
                bits_of(bits).is_some_and(|bits| (8..=15).contains(&bits))
            }
            (_, _) => false,
        };
        if is_acceptable && !self.parameters.contains(&name) {
            // No more than there are names.
            self.parameters.push(name);
        } else {
            self.is_unacceptable = true;
        }
    }

    fn agreed(self) -> Option<Agreed> {
        let is_named = self.window.is_some();
        // It may be smaller than what the client has asked for (RFC 7692 §7.1.2.1).
        let window = self.window.unwrap_or(WindowBits::MAX).shared();
        (!self.is_unacceptable).then_some(Agreed { window, is_named })
    }
}

/// A decimal number without zeros in front (RFC 7692 §7.1.2.1).
pub(super) fn bits_of(text: &str) -> Option<u8> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if is_plain { text.parse().ok() } else { None }
}

/// What is left of a header's value, a list of extensions (RFC 6455 §9.1).
pub(super) struct Text<'a>(pub(super) &'a str);

impl<'a> Text<'a> {
    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Whether the mark comes next, which is passed over.
    fn passes(&mut self, mark: char) -> bool {
        self.skip_spaces();
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a str, MalformedOffers> {
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() { Err(MalformedOffers) } else { Ok(token) }
    }

    /// Whether another extension comes, to which it passes on. A list may have empty places (RFC 9110
    /// §5.6.1).
    pub(super) fn has_extension(&mut self) -> bool {
        while self.passes(',') {}
        !self.0.is_empty()
    }

    /// The name of an extension, whose parameters are given one by one.
    pub(super) fn extension(
        &mut self,
        mut take: impl FnMut(&'a str, Option<&str>),
    ) -> Result<&'a str, MalformedOffers> {
        let extension = self.token()?;
        while self.passes(';') {
            self.skip_spaces();
            let name = self.token()?;
            let value = if self.passes('=') {
                self.skip_spaces();
                Some(self.value()?)
            } else {
                None
            };
            take(name, value.as_deref());
        }
        self.skip_spaces();
        if self.0.is_empty() || self.0.starts_with(',') {
            Ok(extension)
        } else {
            Err(MalformedOffers)
        }
    }

    /// A token, which may be quoted (RFC 6455 §9.1).
    fn value(&mut self) -> Result<String, MalformedOffers> {
        let Some(mut rest) = self.0.strip_prefix('"') else { return Ok(self.token()?.to_owned()) };
        let mut value = String::new();
        loop {
            let mut chars = rest.chars();
            let c = match chars.next().ok_or(MalformedOffers)? {
                '"' => {
                    self.0 = chars.as_str();
                    return if value.is_empty() { Err(MalformedOffers) } else { Ok(value) };
                }
                '\\' => chars.next().ok_or(MalformedOffers)?,
                c => c,
            };
            if !is_token(c) {
                return Err(MalformedOffers);
            }
            value.push(c);
            rest = chars.as_str();
        }
    }
}

/// RFC 9110 §5.6.2.
const fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '.'
                | '^'
                | '_'
                | '`'
                | '|'
                | '~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offers: &str) -> Option<String> {
        agree([offers]).unwrap().map(|agreed| agreed.to_string())
    }

    #[test]
    fn an_offer_is_answered_without_context_takeover_whatever_it_says_of_that() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate;client_no_context_takeover;server_no_context_takeover",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(PLAIN), "{offer}");
        }
    }

    #[test]
    fn a_window_that_is_asked_for_is_answered_by_the_largest_of_two_that_is_no_larger() {
        for bits in 9..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let agreed = agree([&*offer]).unwrap().expect("it can be accepted");
            let window = if bits < 15 { 9 } else { 15 };
            assert_eq!(agreed.window().get(), window);
            assert_eq!(agreed.to_string(), format!("{PLAIN}; server_max_window_bits={window}"));
        }
        let quoted = r#"permessage-deflate; server_max_window_bits="1\5""#;
        assert_eq!(agree([quoted]).unwrap().unwrap().window().get(), 15);
    }

    #[test]
    fn an_offer_that_cannot_be_kept_is_declined() {
        for parameters in [
            "server_max_window_bits=8",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits; client_max_window_bits",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
            "unknown",
        ] {
            assert_eq!(answer(&format!("permessage-deflate; {parameters}")), None, "{parameters}");
        }
        assert_eq!(answer("x-webkit-deflate-frame"), None);
        assert_eq!(answer(""), None);
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_taken() {
        let offers = "other; a=b, permessage-deflate; server_max_window_bits=8, \
            permessage-deflate; server_max_window_bits=11, permessage-deflate";
        let answer = format!("{PLAIN}; server_max_window_bits=9");
        assert_eq!(agree([offers]).unwrap().unwrap().to_string(), answer);
        let values = ["permessage-deflate; unknown", "other, , permessage-deflate"];
        assert_eq!(agree(values).unwrap().unwrap().window(), WindowBits::MAX);
    }

    #[test]
    fn what_is_no_list_of_extensions_is_an_error_wherever_it_is() {
        for offers in [
            "permessage-deflate;",
            "permessage-deflate; =1",
            "permessage-deflate; a=",
            "permessage-deflate a",
            "permessage-deflate; a=\"b",
            "permessage-deflate; a=\"\"",
            "permessage-deflate; a=\"b c\"",
            "permessage-deflate, (other)",
        ] {
            assert_eq!(agree([offers]), Err(MalformedOffers), "{offers}");
        }
    }
}
