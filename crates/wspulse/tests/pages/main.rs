//! The pages in `docs/` that name tests stay true.

mod conformance;
mod security;
#[path = "../support/mod.rs"]
mod support;
