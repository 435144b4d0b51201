//! What a client may offer of permessage-deflate, read by the server and by a reference.

use wspulse_core::deflate::{MalformedOffers, agree};

use crate::reference_offers::agreed;

/// Reads lines as the values of `Sec-WebSocket-Extensions`. The reference must come to the same answer; and whoever
/// offers what was answered is answered the same.
///
/// # Panics
///
/// If the library has a fault.
pub fn deflate_offers(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let values: Vec<_> = text.split('\n').collect();
    let ours = agree(values.iter().copied());
    let theirs = agreed(&values);
    let ours = match ours {
        Ok(agreed) => Ok(agreed.map(|agreed| agreed.to_string())),
        Err(MalformedOffers) => Err(()),
    };
    assert_eq!(ours, theirs, "{values:?}");
    if let Ok(Some(answer)) = &ours {
        let again = agree([&**answer]).expect("a list").expect("an offer that can be kept");
        assert_eq!(again.to_string(), *answer);
    }
}
