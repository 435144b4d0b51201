//! The pages in `docs/` that name tests stay true, and no file of tests is left out.

mod conformance;
mod files;
mod security;
#[path = "../support/mod.rs"]
mod support;
