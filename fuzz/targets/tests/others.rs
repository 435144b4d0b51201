//! What the server says of extensions and compressed messages, beside what others say: the libraries websockets, for
//! Python, and ws, for Node, and the zlibs of both. `conformance/extensions` runs it.

#[path = "others/asked.rs"]
mod asked;
#[path = "others/messages.rs"]
mod messages;
#[path = "others/offers.rs"]
mod offers;
