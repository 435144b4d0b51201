//! The pages in `docs/` that name tests stay true, and no file of tests is left out.

mod arrows;
mod codecs;
mod conformance;
mod files;
mod log_fields;
mod security;
#[path = "../support/mod.rs"]
mod support;
mod testing;
