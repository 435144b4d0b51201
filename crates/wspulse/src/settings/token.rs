//! The tokens by which clients of `wspulse.1` find their sessions again.
//!
//! None is stored: a token is what only this server can compute of a session and of how many tokens
//! the session has had. In a cluster it names the server that has made it, where others ask for the
//! session; a session that comes from there brings what its client's tokens are told by.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use wspulse_core::cluster::{InheritedToken, MovedProof, NodeId};

use crate::ground::begun::Begun;
use crate::ground::sync::Mutex;

/// Of HMAC-SHA-256 (RFC 2104), 128 bits are sent: as many as nobody guesses.
const MAC_BYTES: usize = 16;

/// The longest id that a token carries, in bytes; a token has at most 1,024 characters. With a
/// longer one, the application must admit the client under its id again.
const ID_BYTES_MAX: usize = 512;

/// So many of a session's newest tokens are told to the server where it goes on. A client whose newest
/// is an older one has lost so many transports in a row before it could say a word.
const INHERITED_MAX: u32 = 16;

/// A server's secret, made anew at each start.
pub(crate) struct TokenKey {
    secret: [u8; 32],
    /// Which server of a cluster this is.
    node: Option<NodeId>,
    /// Those tokens of sessions from other servers that these have made, by the session.
    inherited: Mutex<HashMap<u64, Vec<InheritedToken>>>,
}

/// What a token is made of.
struct Parts<'a> {
    number: u32,
    mac: [u8; MAC_BYTES],
    /// The server that has made it; empty outside of a cluster.
    node: &'a str,
}

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

    /// Whether both are of one session.
    pub(crate) const fn is_of_session_of(&self, other: Self) -> bool {
        self.session == other.session
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
    /// Of this server of a cluster, if it is one.
    pub(crate) fn random(node: Option<NodeId>) -> Self {
        // 244 random bits.
        let halves = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()];
        let mut secret = [0; 32];
        secret.copy_from_slice(&halves.concat());
        Self { secret, node, inherited: Mutex::default() }
    }

    /// The newest token of a session: an id, a number, a MAC, and the server if it is one of many.
    pub(crate) fn token(&self, id: &str, proof: Proof) -> String {
        let carried = if id.len() > ID_BYTES_MAX { "" } else { id };
        let mac = URL_SAFE_NO_PAD.encode(self.own_mac(id, proof.session, proof.newest));
        let mut token = format!("{}.{}.{mac}", URL_SAFE_NO_PAD.encode(carried), proof.newest);
        if let Some(node) = self.node {
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(node.as_bytes(), &mut token);
        }
        token
    }

    /// The id that a token is for, if it carries one.
    pub(crate) fn id_of(token: &str) -> Option<String> {
        let (id, _) = token.split_once('.')?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok().filter(|id| !id.is_empty())
    }

    /// What a token is to this session.
    pub(crate) fn check(&self, token: &str, id: &str, proof: Proof) -> Option<Token> {
        let Parts { number, mac, node } = Parts::of(token)?;
        if node == self.node_name() {
            // In constant time.
            self.mac(id, proof.session, number).verify_truncated_left(&mac).ok()?;
        } else if !self.has_inherited(proof.session, number, &mac) {
            return None;
        }
        let is_one = (1..=proof.newest).contains(&number);
        is_one.then_some(if proof.has_left(number) {
            Token::Worthless
        } else {
            Token::Valid(number)
        })
    }

    /// The server that has made a token, if it is one of a cluster.
    pub(crate) fn node_of(token: &str) -> Option<NodeId> {
        let Parts { node, .. } = Parts::of(token)?;
        let node = URL_SAFE_NO_PAD.decode(node).ok()?;
        Some(NodeId::new(node.try_into().ok()?))
    }

    /// The number of a token that is one of those that are known of a session, and was made for it.
    pub(crate) fn number_in(token: &str, moved: &MovedProof) -> Option<u32> {
        let Parts { number, mac, .. } = Parts::of(token)?;
        is_among(&moved.inherited, number, &mac).then_some(number)
    }

    /// The number that a token says it has.
    pub(crate) fn number_of(token: &str) -> Option<u32> {
        Parts::of(token).map(|parts| parts.number)
    }

    /// What the server is to know at which a session goes on.
    pub(crate) fn moved(&self, id: &str, proof: Proof) -> MovedProof {
        let Proof { session, newest, confirmed, .. } = proof;
        let mut inherited = self.inherited.lock().get(&session).cloned().unwrap_or_default();
        let oldest = confirmed.max(newest.saturating_sub(INHERITED_MAX)).max(1);
        inherited.retain(|token| token.number >= oldest);
        let made_elsewhere = inherited.iter().map(|token| token.number).max().unwrap_or(0);
        for number in oldest.max(made_elsewhere.saturating_add(1))..=newest {
            inherited.push(InheritedToken { number, mac: self.own_mac(id, session, number) });
        }
        MovedProof { session, newest, confirmed, inherited }
    }

    /// A session has come from another server.
    pub(crate) fn inherit(&self, moved: &MovedProof) -> Proof {
        self.inherited.lock().insert(moved.session, moved.inherited.clone());
        let MovedProof { session, newest, confirmed, .. } = *moved;
        Proof { session, newest, confirmed, overtakings: 0, returned: Begun::EARLIEST }
    }

    /// A session has ended.
    pub(crate) fn forget(&self, proof: Proof) {
        let mut inherited = self.inherited.lock();
        if !inherited.is_empty() {
            inherited.remove(&proof.session);
        }
    }

    fn has_inherited(&self, session: u64, number: u32, mac: &[u8; MAC_BYTES]) -> bool {
        self.inherited.lock().get(&session).is_some_and(|tokens| is_among(tokens, number, mac))
    }

    fn node_name(&self) -> String {
        self.node.map_or_else(String::new, |node| URL_SAFE_NO_PAD.encode(node.as_bytes()))
    }

    fn own_mac(&self, id: &str, session: u64, number: u32) -> [u8; MAC_BYTES] {
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&self.mac(id, session, number).finalize().into_bytes()[..MAC_BYTES]);
        mac
    }

    fn mac(&self, id: &str, session: u64, number: u32) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(&session.to_be_bytes());
        mac.update(&number.to_be_bytes());
        mac.update(id.as_bytes());
        mac
    }
}

fn is_among(tokens: &[InheritedToken], number: u32, mac: &[u8; MAC_BYTES]) -> bool {
    tokens.iter().any(|token| {
        // In constant time.
        let differing = token.mac.iter().zip(mac).fold(0, |all, (one, other)| all | (one ^ other));
        token.number == number && differing == 0
    })
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Option<Self> {
        let mut parts = token.split('.').skip(1);
        let (number, mac) = (parts.next()?, parts.next()?);
        let node = parts.next().unwrap_or_default();
        if parts.next().is_some() {
            return None;
        }
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
        Some(Self { number: number.parse().ok()?, mac, node })
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
        let key = TokenKey::random(None);
        let (proof, other) = (begun(), begun());
        let token = key.token("ann", proof);
        assert_eq!(key.check(&token, "ann", proof), Some(Token::Valid(1)));
        assert_eq!(key.check(&token, "ann", other), None, "another session of the same id");
        assert_eq!(key.check(&token, "bob", proof), None, "another id");
        assert_eq!(TokenKey::random(None).check(&token, "ann", proof), None, "another server");
        assert_eq!(TokenKey::id_of(&token).as_deref(), Some("ann"));
    }

    #[test]
    fn a_token_names_the_server_that_has_made_it_and_is_valid_where_its_session_goes_on() {
        let nodes = [NodeId::new([1; 16]), NodeId::new([2; 16])];
        let [one, other] = nodes.map(|node| TokenKey::random(Some(node)));
        let mut proof = begun();
        let first = one.token("ann", proof);
        assert_eq!(TokenKey::node_of(&first), Some(nodes[0]));
        assert_eq!(other.check(&first, "ann", proof), None);
        let mut there = other.inherit(&one.moved("ann", proof));
        assert_eq!(other.check(&first, "ann", there), Some(Token::Valid(1)));
        there.renew();
        let second = other.token("ann", there);
        assert_eq!(other.check(&second, "ann", there), Some(Token::Valid(2)));
        // And back again, with both.
        proof = one.inherit(&other.moved("ann", there));
        assert_eq!(one.check(&first, "ann", proof), Some(Token::Valid(1)));
        assert_eq!(one.check(&second, "ann", proof), Some(Token::Valid(2)));
        one.forget(proof);
        assert_eq!(one.check(&second, "ann", proof), None);
    }

    #[test]
    fn tokens_are_valid_until_the_client_is_known_to_have_a_newer_one() {
        let (key, mut proof) = (TokenKey::random(None), begun());
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
        let (key, proof) = (TokenKey::random(None), begun());
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
        let (key, proof) = (TokenKey::random(None), begun());
        let id = "x".repeat(ID_BYTES_MAX + 1);
        let token = key.token(&id, proof);
        assert!(token.len() < 64 && key.check(&token, &id, proof).is_some());
        assert_eq!(TokenKey::id_of(&token), None);
    }
}
