//! What a server answers to an offer.

use super::offers::{MalformedOffers, NAME, Text, bits_of};

/// What a client offers by `Sec-WebSocket-Extensions`: messages of either side may be compressed, each by
/// itself.
///
/// It does not name `client_max_window_bits`, so the server may not ask for a smaller window.
pub const OFFER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// An answer to [`OFFER`] with which the client must fail the connection (RFC 6455 §4.1, RFC 7692 §7.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The header's value is none by RFC 6455 §9.1, or empty.
    #[error("`Sec-WebSocket-Extensions` is no list of extensions (RFC 6455 §9.1)")]
    Malformed,
    /// It has an extension that was not offered.
    #[error("the server has chosen the extension {0:?}, which was not offered")]
    NotOffered(String),
    /// It has more than one extension, and one was offered.
    #[error("the server has chosen `permessage-deflate` more than once")]
    Repeated,
    /// A parameter that is not known, is there twice, has no value it may have, or was not offered and must
    /// have been (RFC 7692 §7.1).
    #[error("the server has answered `permessage-deflate` with the parameter {0:?}, as it may not")]
    Parameter(String),
    /// The server would go on with the context of the message before. It may not, since the offer has
    /// `server_no_context_takeover` (RFC 7692 §7.1.1.1).
    #[error("the server has not answered `server_no_context_takeover`, which was offered")]
    ContextTakeover,
}

impl From<MalformedOffers> for AnswerError {
    fn from(_: MalformedOffers) -> Self {
        Self::Malformed
    }
}

/// Whether these values of the answer's `Sec-WebSocket-Extensions` accept [`OFFER`]. A server that declines
/// it answers no such header, and is not asked about here.
///
/// # Errors
///
/// [`AnswerError`], with which the client must fail the connection.
pub fn check_answer<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<(), AnswerError> {
    let mut answers = 0;
    for value in values {
        let mut rest = Text(value);
        while rest.has_extension() {
            let mut answer = Answer::default();
            let name = rest.extension(|name, value| answer.take(name, value))?;
            if name != NAME {
                return Err(AnswerError::NotOffered(name.to_owned()));
            }
            answer.check()?;
            answers += 1;
        }
    }
    match answers {
        0 => Err(AnswerError::Malformed),
        1 => Ok(()),
        _ => Err(AnswerError::Repeated),
    }
}

/// One answer, as far as it was read.
#[derive(Default)]
struct Answer<'a> {
    /// Those that were right.
    parameters: Vec<&'a str>,
    /// The first that was wrong.
    wrong: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn take(&mut self, name: &'a str, value: Option<&str>) {
        let is_right = match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => true,
            // May be there without having been offered (§7.1.2.1). The inflater has the largest window.
            ("server_max_window_bits", Some(bits)) => {
                bits_of(bits).is_some_and(|bits| (8..=15).contains(&bits))
            }
            // `client_max_window_bits` must have been offered (§7.1.2.2).
            (_, _) => false,
        };
        if is_right && !self.parameters.contains(&name) {
            // No more than there are names.
            self.parameters.push(name);
        } else {
            self.wrong = self.wrong.or(Some(name));
        }
    }

    fn check(&self) -> Result<(), AnswerError> {
        if let Some(name) = self.wrong {
            return Err(AnswerError::Parameter(name.to_owned()));
        }
        // Without `client_no_context_takeover` the client may take its context over, and need not (§7.1.1.2).
        if self.parameters.contains(&"server_no_context_takeover") {
            Ok(())
        } else {
            Err(AnswerError::ContextTakeover)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::agree;
    use super::*;

    #[test]
    fn our_own_answer_to_our_own_offer_is_right() {
        let answer = agree([OFFER]).unwrap().expect("it can be accepted").to_string();
        assert_eq!(check_answer([&*answer]), Ok(()));
    }

    #[test]
    fn an_answer_may_leave_out_the_clients_context_and_name_the_servers_window() {
        for parameters in [
            "server_no_context_takeover",
            "server_no_context_takeover; server_max_window_bits=8",
            "server_max_window_bits=\"15\" ;client_no_context_takeover;server_no_context_takeover",
        ] {
            let answer = format!("permessage-deflate; {parameters}");
            assert_eq!(check_answer([&*answer]), Ok(()), "{answer}");
        }
    }

    #[test]
    fn a_server_that_keeps_its_context_is_refused() {
        for answer in [
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; server_max_window_bits=15",
        ] {
            assert_eq!(check_answer([answer]), Err(AnswerError::ContextTakeover), "{answer}");
        }
    }

    #[test]
    fn parameters_that_an_answer_may_not_have_are_refused() {
        for (parameter, name) in [
            ("client_max_window_bits=15", "client_max_window_bits"),
            ("client_max_window_bits", "client_max_window_bits"),
            ("server_max_window_bits", "server_max_window_bits"),
            ("server_max_window_bits=7", "server_max_window_bits"),
            ("server_max_window_bits=16", "server_max_window_bits"),
            ("server_max_window_bits=010", "server_max_window_bits"),
            ("server_max_window_bits=9; server_max_window_bits=9", "server_max_window_bits"),
            ("server_no_context_takeover", "server_no_context_takeover"),
            ("client_no_context_takeover=1", "client_no_context_takeover"),
            ("unknown=1", "unknown"),
        ] {
            let answer = format!("permessage-deflate; server_no_context_takeover; {parameter}");
            let error = AnswerError::Parameter(name.to_owned());
            assert_eq!(check_answer([&*answer]), Err(error), "{answer}");
        }
    }

    #[test]
    fn what_was_not_offered_is_refused_beside_it_as_well() {
        let good = "permessage-deflate; server_no_context_takeover";
        let other = || Err(AnswerError::NotOffered("x-webkit-deflate-frame".to_owned()));
        assert_eq!(check_answer(["x-webkit-deflate-frame"]), other());
        assert_eq!(check_answer([&*format!("{good}, x-webkit-deflate-frame")]), other());
        assert_eq!(check_answer([good, "x-webkit-deflate-frame"]), other());
        assert_eq!(check_answer([good, good]), Err(AnswerError::Repeated));
        assert_eq!(check_answer([&*format!("{good}, {good}")]), Err(AnswerError::Repeated));
    }

    #[test]
    fn what_is_no_list_of_extensions_is_refused() {
        for answer in ["", ",", "permessage-deflate;", "permessage-deflate a", "(", "a=b"] {
            assert_eq!(check_answer([answer]), Err(AnswerError::Malformed), "{answer}");
        }
    }
}
