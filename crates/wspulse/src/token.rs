//! The tokens by which clients of `wspulse.1` find their sessions again.
//!
//! None is stored: a token is what only this server can compute of a session and of how many tokens
//! the session has had.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Of HMAC-SHA-256 (RFC 2104), 128 bits are sent: as many as nobody guesses.
const MAC_BYTES: usize = 16;

/// The longest id that a token carries, in bytes; a token has at most 1,024 characters. With a
/// longer one, the application must admit the client under its id again.
const ID_BYTES_MAX: usize = 512;

/// A server's secret, made anew at each start.
pub(crate) struct TokenKey([u8; 32]);

/// Which token of which session a client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Tells this session from others that have had its id.
    session: u64,
    /// How many tokens there were.
    newest: u32,
    /// The client has shown that it has the newest: no other is valid.
    is_confirmed: bool,
}

impl Proof {
    pub(crate) fn new() -> Self {
        Self { session: Uuid::new_v4().as_u64_pair().1, newest: 0, is_confirmed: true }
    }

    /// Another token is about to be sent.
    pub(crate) const fn renew(&mut self) {
        // Nobody comes back so often; and were it so, an old token would be valid once more.
        self.newest = self.newest.wrapping_add(1);
        self.is_confirmed = false;
    }

    pub(crate) const fn confirm(&mut self) {
        self.is_confirmed = true;
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

    /// The newest token of a session.
    pub(crate) fn token(&self, id: &str, proof: Proof) -> String {
        let carried = if id.len() > ID_BYTES_MAX { "" } else { id };
        let mac = self.mac(id, proof.session, proof.newest).finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        format!("{}.{mac}", URL_SAFE_NO_PAD.encode(carried))
    }

    /// The id that a token is for, if it carries one.
    pub(crate) fn id_of(token: &str) -> Option<String> {
        let (id, _) = token.split_once('.')?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok().filter(|id| !id.is_empty())
    }

    /// Whether a token is one that the client of this session may have.
    pub(crate) fn is_valid(&self, token: &str, id: &str, proof: Proof) -> bool {
        let mac = token.split_once('.').and_then(|(_, mac)| URL_SAFE_NO_PAD.decode(mac).ok());
        let Some(mac) = mac.filter(|mac| mac.len() == MAC_BYTES) else { return false };
        // In constant time, both of them.
        let is_one =
            |number| self.mac(id, proof.session, number).verify_truncated_left(&mac).is_ok();
        let is_newest = is_one(proof.newest);
        let is_one_before = !proof.is_confirmed && is_one(proof.newest.wrapping_sub(1));
        is_newest || is_one_before
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

    #[test]
    fn a_token_is_valid_for_its_session_alone() {
        let key = TokenKey::random();
        let (proof, other) = (Proof::new(), Proof::new());
        let token = key.token("ann", proof);
        assert!(key.is_valid(&token, "ann", proof));
        assert!(!key.is_valid(&token, "ann", other), "another session of the same id");
        assert!(!key.is_valid(&token, "bob", proof), "another id");
        assert!(!TokenKey::random().is_valid(&token, "ann", proof), "another server");
        assert_eq!(TokenKey::id_of(&token).as_deref(), Some("ann"));
    }

    #[test]
    fn the_token_before_is_valid_until_the_newest_is_confirmed() {
        let (key, mut proof) = (TokenKey::random(), Proof::new());
        let first = key.token("ann", proof);
        proof.renew();
        let second = key.token("ann", proof);
        assert!(key.is_valid(&first, "ann", proof) && key.is_valid(&second, "ann", proof));
        proof.confirm();
        assert!(!key.is_valid(&first, "ann", proof) && key.is_valid(&second, "ann", proof));
        proof.renew();
        assert!(!key.is_valid(&first, "ann", proof) && key.is_valid(&second, "ann", proof));
    }

    #[test]
    fn what_is_cut_or_changed_is_no_token() {
        let (key, proof) = (TokenKey::random(), Proof::new());
        let token = key.token("ann", proof);
        let cut = &token[..token.len() - 2];
        for wrong in [cut, "", ".", "YW5u", "YW5u.", &token.to_uppercase(), &format!("{token}AA")] {
            assert!(!key.is_valid(wrong, "ann", proof), "{wrong}");
        }
    }

    #[test]
    fn a_long_id_is_not_carried_and_its_token_is_valid() {
        let (key, proof) = (TokenKey::random(), Proof::new());
        let id = "x".repeat(ID_BYTES_MAX + 1);
        let token = key.token(&id, proof);
        assert!(token.len() < 64 && key.is_valid(&token, &id, proof));
        assert_eq!(TokenKey::id_of(&token), None);
    }
}
