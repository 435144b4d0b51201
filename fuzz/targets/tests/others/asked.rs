//! Programs that answer lines of JSON.

use std::env;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;

/// What runs a program, and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Other {
    Python(&'static str),
    Node(&'static str),
}

impl Other {
    fn command(self) -> Command {
        let of = |variable, default: &str, program| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/others");
            let mut command = Command::new(env::var(variable).unwrap_or(default.to_owned()));
            command.arg(folder.join(program));
            command
        };
        match self {
            Self::Python(program) => of("WSPULSE_PYTHON", "python3", program),
            Self::Node(program) => of("WSPULSE_NODE", "node", program),
        }
    }

    /// Its answers, one to each question.
    pub(crate) fn answers(self, questions: &[Value]) -> Vec<Value> {
        let mut command = self.command();
        let asked = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut asked = asked.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let mut questioner = BufWriter::new(asked.stdin.take().expect("a pipe"));
        let answers = BufReader::new(asked.stdout.take().expect("a pipe"));
        let answers: Vec<Value> = thread::scope(|scope| {
            scope.spawn(move || {
                for question in questions {
                    // It fails if the program has ended, which its status tells.
                    if writeln!(questioner, "{question}").is_err() {
                        break;
                    }
                }
            });
            let lines = answers.lines().map(|line| line.expect("text"));
            lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect()
        });
        assert!(asked.wait().expect("it ends").success(), "{self:?}");
        assert_eq!(answers.len(), questions.len(), "{self:?}");
        answers
    }
}

/// Another one at each run, which is printed, unless it is set.
pub(crate) fn dice() -> SmallRng {
    let seed = env::var("WSPULSE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(rand::random);
    println!("WSPULSE_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}
