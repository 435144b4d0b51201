//! What a server looks like through OpenTelemetry.

mod instruments;
mod readings;
mod support;
