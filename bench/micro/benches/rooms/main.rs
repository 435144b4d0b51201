//! What rooms cost in one process: memory for each further one, joining and leaving, and how far
//! threads hold each other up. `cargo bench -p wspulse-micro --bench rooms -- --help`.
//!
//! Each case prints its figures beside its bar. Figures count on a quiet machine of two cores only;
//! a case that needs both says how long its threads waited for one.

mod further_rooms;
mod look_up;
mod membership;
mod scheduled;
mod stage;
mod two_threads;

use std::env;
use std::process::ExitCode;

/// What a case has found out.
#[derive(Debug)]
struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
    bar: Option<Bar>,
}

#[derive(Debug, Clone, Copy)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

/// How much a case does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Smoke,
    Full,
}

type Case = fn(Effort) -> Vec<Figure>;

/// Memory first, since what other cases have freed would serve its connections.
const CASES: [(&str, Case); 4] = [
    ("further-rooms", further_rooms::measure),
    ("membership", membership::measure),
    ("look-up", look_up::measure),
    ("two-threads", two_threads::measure),
];

fn figure(what: &'static str, value: f64, unit: &'static str) -> Figure {
    Figure { what, value, unit, bar: None }
}

impl Figure {
    fn held_to(self, bar: Bar) -> Self {
        Self { bar: Some(bar), ..self }
    }

    fn print(&self) {
        let Self { what, value, unit, bar } = self;
        let verdict = match bar {
            None => String::new(),
            Some(bar) => {
                let verdict = if bar.is_met(*value) { "met" } else { "MISSED" };
                match bar {
                    Bar::AtMost(bound) => format!("at most {bound}: {verdict}"),
                    Bar::AtLeast(bound) => format!("at least {bound}: {verdict}"),
                }
            }
        };
        println!("  {what:<48}{value:>12.3} {unit:<10}{verdict}");
    }
}

fn main() -> ExitCode {
    // `cargo bench` adds the option for its own harness.
    let arguments: Vec<String> = env::args().skip(1).filter(|given| given != "--bench").collect();
    let names = CASES.map(|(name, _)| name);
    let is_known = |given: &String| given == "--smoke" || names.contains(&&**given);
    if !arguments.iter().all(is_known) {
        eprintln!("usage: rooms [--smoke] [CASE…], where CASE is one of {}", names.join(", "));
        return ExitCode::from(2);
    }
    let effort =
        if arguments.iter().any(|given| given == "--smoke") { Effort::Smoke } else { Effort::Full };
    let chosen: Vec<&String> = arguments.iter().filter(|given| *given != "--smoke").collect();
    for (name, measure) in CASES {
        if chosen.is_empty() || chosen.iter().any(|given| *given == name) {
            println!("{name}");
            measure(effort).iter().for_each(Figure::print);
        }
    }
    ExitCode::SUCCESS
}
