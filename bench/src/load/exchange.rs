//! What a client of `wspulse.1` remembers of its session.

use serde::Deserialize;

/// What finds a session again: its token, and how many messages of it the client has handled.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(super) token: String,
    pub(super) received: u64,
}

/// What the server says first on each transport, as far as it is of interest here.
#[derive(Debug, Deserialize)]
pub(super) struct Greeting {
    session: Session,
    pub(super) token: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Session {
    New,
    Resumed,
}

impl Ticket {
    /// The subprotocol that a client offers which has a session.
    pub(super) fn offer(&self) -> String {
        format!("wspulse.1.resume.{}.{}", self.token, self.received)
    }
}

impl Greeting {
    /// The greeting that a control message holds.
    pub(super) fn parse(message: &[u8]) -> Result<Self, String> {
        let parsed = serde_json::from_slice::<(&str, Self)>(message);
        parsed.map(|(_, greeting)| greeting).map_err(|error| format!("its hello: {error}"))
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.session == Session::Resumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_tells_whether_the_session_was_found() {
        let hello = |session| {
            let hello =
                format!(r#"["hello",{{"session":"{session}","id":"a","token":"t0","replay":3}}]"#);
            Greeting::parse(hello.as_bytes()).expect("a hello")
        };

        assert!(hello("resumed").is_resumed());
        assert!(!hello("new").is_resumed());
        assert_eq!(hello("new").token, "t0");
    }

    #[test]
    fn a_client_with_a_session_offers_its_token_and_its_count() {
        let ticket = Ticket { token: "abc.d".to_owned(), received: 12 };

        assert_eq!(ticket.offer(), "wspulse.1.resume.abc.d.12");
    }
}
