//! Tests of the examples with a page in a real browser, in a package of their own: what they depend on is
//! most of what would otherwise be built to see the chat.
