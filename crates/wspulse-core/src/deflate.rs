//! permessage-deflate (RFC 7692) without context takeover, either way: what is agreed on, and messages
//! that are compressed and inflated each by itself.
//!
//! Without a context that is carried over, a message has one compressed form for each window, whoever
//! gets it, and a connection holds no memory for any of this. Each thread has one inflater, and a deflater for
//! each window that is used on it.

mod answer;
mod compress;
mod inflate;
mod offers;

pub use answer::{AnswerError, OFFER, check_answer};
pub use compress::{Level, compress};
pub use inflate::{InflateError, inflate};
pub use offers::{Agreed, MalformedOffers, WindowBits, agree};

/// What every compressed message ends in, so that it is left out (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
