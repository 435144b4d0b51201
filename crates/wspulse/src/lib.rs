//! wspulse
