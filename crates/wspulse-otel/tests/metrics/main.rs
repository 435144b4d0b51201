//! What a server looks like through OpenTelemetry.

mod delivery;
mod instruments;
mod readings;
mod support;
