//! The tokens by which clients of `wspulse.1` find their sessions again.
//!
//! None is stored: a token is what only this server can compute of a session and of how many tokens
//! the session has had.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::ground::begun::Begun;

/// Of HMAC-SHA-256 (RFC 2104), 128 bits are sent: as many as nobody guesses.
const MAC_BYTES: usize = 16;

/// The longest id that a token carries, in bytes; a token has at most 1,024 characters. With a
/// longer one, the application must admit the client under its id again.
const ID_BYTES_MAX: usize = 512;

/// A server's secret, made anew at each start.
pub(crate) struct TokenKey([u8; 32]);

/// Which tokens of which session a client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Tells this session from others that have had its id.
    session: u64,
    /// How many tokens were sent: the number of the newest. Nobody comes back 2^32 times.
    newest: u32,
    /// The newest that the client is known to have; 0 for none. Those before are worthless.
    confirmed: u32,
    /// How many handshakes have overtaken another one, since the client was last heard.
    overtakings: u8,
    /// When the newest handshake began by which the client has come back.
    returned: Begun,
}

/// A client has given up no more attempts than this while a server stood still. Two clients that
/// share a token, and say nothing, would take the session from each other for ever.
const OVERTAKINGS_MAX: u8 = 8;

/// A token that this server has sent for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// The session's client may have it, and no newer one: it has this number.
    Valid(u32),
    /// The client is known to have a newer one.
    Worthless,
}

impl Proof {
    pub(crate) fn new() -> Self {
        Self {
            session: Uuid::new_v4().as_u64_pair().1,
            newest: 0,
            confirmed: 0,
            overtakings: 0,
            returned: Begun::EARLIEST,
        }
    }

    /// Another token is about to be sent.
    pub(crate) const fn renew(&mut self) {
        self.newest = self.newest.saturating_add(1);
    }

    /// The client has the newest.
    pub(crate) const fn confirm(&mut self) {
        self.confirmed = self.newest;
        self.overtakings = 0;
    }

    /// The client has come with this one.
    pub(crate) fn confirm_number(&mut self, number: u32) {
        self.confirmed = self.confirmed.max(number);
    }

    /// A handshake with the token of this number takes over. Whether it may be an older one of the
    /// client that it takes over from: not if it has the newest token, nor time and again.
    pub(crate) const fn overtake(&mut self, number: u32) -> bool {
        if self.is_newest(number) || self.overtakings == OVERTAKINGS_MAX {
            return false;
        }
        self.overtakings += 1;
        true
    }

    /// The client has come back by a handshake that began then, and goes on.
    pub(crate) fn note_return(&mut self, begun: Begun) {
        self.returned = self.returned.max(begun);
    }

    /// Whether the client has come back by a handshake that began later than this one.
    pub(crate) fn has_returned_since(&self, begun: Begun) -> bool {
        begun < self.returned
    }

    /// Whether none was sent after the one of this number.
    pub(crate) const fn is_newest(&self, number: u32) -> bool {
        self.newest == number
    }

    /// Whether the client is known to have a newer one than this.
    pub(crate) const fn has_left(&self, number: u32) -> bool {
        number < self.confirmed
    }

    /// Whether some client is known to have read a hello of this session.
    pub(crate) const fn is_claimed(&self) -> bool {
        self.confirmed > 0
    }
}

impl TokenKey {
    pub(crate) fn random() -> Self {
        // 244 random bits.
        let halves = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()];
        let mut key = [0; 32];
        key.copy_from_slice(&halves.concat());
        Self(key)
    }

    /// The newest token of a session: an id, a number, a MAC.
    pub(crate) fn token(&self, id: &str, proof: Proof) -> String {
        let carried = if id.len() > ID_BYTES_MAX { "" } else { id };
        let mac = self.mac(id, proof.session, proof.newest).finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        format!("{}.{}.{mac}", URL_SAFE_NO_PAD.encode(carried), proof.newest)
    }

    /// The id that a token is for, if it carries one.
    pub(crate) fn id_of(token: &str) -> Option<String> {
        let (id, _) = token.split_once('.')?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok().filter(|id| !id.is_empty())
    }

    /// What a token is to this session.
    pub(crate) fn check(&self, token: &str, id: &str, proof: Proof) -> Option<Token> {
        let (_, rest) = token.split_once('.')?;
        let (number, mac) = rest.split_once('.')?;
        let number: u32 = number.parse().ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok().filter(|mac| mac.len() == MAC_BYTES)?;
        // In constant time.
        self.mac(id, proof.session, number).verify_truncated_left(&mac).ok()?;
        let is_one = (1..=proof.newest).contains(&number);
        is_one.then_some(if proof.has_left(number) {
            Token::Worthless
        } else {
            Token::Valid(number)
        })
    }

    fn mac(&self, id: &str, session: u64, number: u32) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&session.to_be_bytes());
        mac.update(&number.to_be_bytes());
        mac.update(id.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session that has sent one token.
    fn begun() -> Proof {
        let mut proof = Proof::new();
        proof.renew();
        proof
    }

    #[test]
    fn a_token_is_valid_for_its_session_alone() {
        let key = TokenKey::random();
        let (proof, other) = (begun(), begun());
        let token = key.token("ann", proof);
        assert_eq!(key.check(&token, "ann", proof), Some(Token::Valid(1)));
        assert_eq!(key.check(&token, "ann", other), None, "another session of the same id");
        assert_eq!(key.check(&token, "bob", proof), None, "another id");
        assert_eq!(TokenKey::random().check(&token, "ann", proof), None, "another server");
        assert_eq!(TokenKey::id_of(&token).as_deref(), Some("ann"));
    }

    #[test]
    fn tokens_are_valid_until_the_client_is_known_to_have_a_newer_one() {
        let (key, mut proof) = (TokenKey::random(), begun());
        let first = key.token("ann", proof);
        proof.renew();
        let second = key.token("ann", proof);
        proof.renew();
        let third = key.token("ann", proof);
        let valid = |proof| [&first, &second, &third].map(|token| key.check(token, "ann", proof));
        let valid_from = |first: u32| {
            [1, 2, 3].map(|number| {
                Some(if number < first { Token::Worthless } else { Token::Valid(number) })
            })
        };
        assert_eq!(valid(proof), valid_from(1));
        proof.confirm_number(2);
        assert_eq!(valid(proof), valid_from(2));
        proof.confirm_number(1);
        assert_eq!(valid(proof), valid_from(2));
        proof.confirm();
        assert_eq!(valid(proof), valid_from(3));
    }

    #[test]
    fn handshakes_overtake_one_another_a_few_times_between_two_words_of_the_client() {
        let mut proof = begun();
        assert!(!proof.overtake(1), "the newest");
        for _ in 0..2 {
            for _ in 0..OVERTAKINGS_MAX {
                proof.renew();
                assert!(proof.overtake(1));
            }
            assert!(!proof.overtake(1));
            proof.confirm();
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_no_token() {
        let (key, proof) = (TokenKey::random(), begun());
        let token = key.token("ann", proof);
        let cut = &token[..token.len() - 2];
        let another_number = token.replace(".1.", ".2.");
        let upper = token.to_uppercase();
        let longer = format!("{token}AA");
        for wrong in [cut, "", ".", "..", "YW5u", "YW5u.1.", &another_number, &upper, &longer] {
            assert_eq!(key.check(wrong, "ann", proof), None, "{wrong}");
        }
    }

    #[test]
    fn a_long_id_is_not_carried_and_its_token_is_valid() {
        let (key, proof) = (TokenKey::random(), begun());
        let id = "x".repeat(ID_BYTES_MAX + 1);
        let token = key.token(&id, proof);
        assert!(token.len() < 64 && key.check(&token, &id, proof).is_some());
        assert_eq!(TokenKey::id_of(&token), None);
    }
}
