//! Runs one case, for callgrind to count its instructions: `wspulse-micro CASE ROUNDS` prints how
//! many operations that were.

use std::env;
use std::process::ExitCode;

use wspulse_micro::CASES;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [name, rounds] = &arguments[..]
        && let Some((_, run)) = CASES.iter().find(|(case, _)| case == name)
        && let Ok(rounds) = rounds.parse()
    {
        println!("{}", run(rounds));
        return ExitCode::SUCCESS;
    }
    let names = CASES.map(|(name, _)| name).join(", ");
    eprintln!("usage: wspulse-micro CASE ROUNDS, where CASE is one of {names}");
    ExitCode::from(2)
}
