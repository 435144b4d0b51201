//! The order of a run: scenario by scenario, round by round, the servers taking turns.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::report::{self, LIMIT, LIMIT_BATCHED, Report, Sample, ScenarioResult, Skipped};
use crate::scenario::{self, Effort, FOLLOWING, Following, Scenario};
use crate::steering::Steering;
use crate::subject::{self, Subject};
use crate::{affinity, bars, machine};

pub(crate) struct Plan {
    pub(crate) effort: Effort,
    pub(crate) is_quick: bool,
    pub(crate) rounds: usize,
    pub(crate) only: Vec<String>,
    pub(crate) servers: Vec<String>,
    pub(crate) before: Option<PathBuf>,
    pub(crate) steering: Option<Steering>,
}

/// The servers whose figures no bar is about take part in so many rounds, and in none of a quick
/// run.
const OTHERS_ROUNDS: usize = 1;

pub(crate) fn list(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let (subjects, skipped) = subjects(plan)?;
    for scenario in scenario::all() {
        println!("{:24}{}", scenario.name, scenario.title);
    }
    for following in FOLLOWING {
        for percent in following.shares {
            // What it depends on is not known yet.
            let Scenario { name, title, .. } = (following.at)(*percent, 0.0);
            println!("{name:24}{title}; needs {}", following.after);
        }
    }
    println!();
    for subject in subjects {
        let when = if subject.if_named { "; only if named by --servers" } else { "" };
        println!("{:24}{}{when}", subject.name, subject.note);
    }
    for Skipped { name, why } in skipped {
        println!("{name:24}SKIPPED: {why}");
    }
    Ok(())
}

pub(crate) fn run(plan: &Plan, out: &Path) -> Result<(), Box<dyn Error>> {
    let (mut subjects, skipped) = subjects(plan)?;
    subjects.retain(|subject| !subject.if_named || plan.servers.contains(&subject.name));
    for Skipped { name, why } in &skipped {
        eprintln!("*** SKIPPED: {name}: {why}");
    }
    let machine = machine::describe();
    affinity::pin_load()?;
    let mut report = Report {
        machine,
        started: machine::date(),
        mode: if plan.is_quick { "quick" } else { "full" }.to_owned(),
        rounds: plan.rounds,
        subjects: subjects.iter().map(Subject::for_report).collect(),
        skipped,
        elsewhere: plan.steering.as_ref().map(Steering::outcome).transpose()?,
        scenarios: Vec::new(),
        bars: Vec::new(),
    };
    for scenario in scenario::all() {
        if plan.wants(&scenario.name) && scenario.is_worth(&subjects) {
            report.scenarios.push(measure(&scenario, &subjects, plan));
        }
        for following in FOLLOWING.iter().filter(|following| following.after == scenario.name) {
            let Some(capacity) = weakest_capacity(&report, &subjects, following) else { continue };
            for percent in following.shares {
                let paced = (following.at)(*percent, capacity);
                if plan.wants(&paced.name) {
                    report.scenarios.push(measure(&paced, &subjects, plan));
                }
            }
        }
    }
    if let Some(steering) = &plan.steering {
        steering.watch()?;
        report.elsewhere = Some(steering.outcome()?);
    }
    report.bars = bars::all(&report);
    write(&report, out)
}

fn subjects(plan: &Plan) -> Result<(Vec<Subject>, Vec<Skipped>), Box<dyn Error>> {
    let mut subjects = subject::built_in(plan.before.as_deref())?;
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let (built, missing) = subject::peers(&peers)?;
    subjects.extend(built);
    let is_wanted = |name: &String| plan.servers.is_empty() || plan.servers.contains(name);
    subjects.retain(|subject| is_wanted(&subject.name));
    let why = "not built; bench/peers/build says why";
    let missing = missing.into_iter().filter(is_wanted);
    Ok((subjects, missing.map(|name| Skipped { name, why: why.to_owned() }).collect()))
}

fn measure(scenario: &Scenario, subjects: &[Subject], plan: &Plan) -> ScenarioResult {
    let mut result = ScenarioResult {
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        what: scenario.what.clone(),
        columns: scenario.columns.clone(),
        samples: Vec::new(),
        failures: Vec::new(),
    };
    eprintln!("== {}", scenario.title);
    for round in 0..plan.rounds {
        let mut turn: Vec<_> =
            subjects.iter().filter(|subject| scenario.includes(subject)).collect();
        turn.retain(|subject| {
            scenario.is_about(subject)
                || subject.if_named
                || (round < OTHERS_ROUNDS && !plan.is_quick)
        });
        // Nobody is always first, or always behind the same one.
        if round % 2 == 1 {
            turn.reverse();
        }
        for subject in turn {
            let name = subject.name.clone();
            match (scenario.run)(subject, &plan.effort) {
                Ok(outcome) => {
                    eprintln!("   {name:20} {}", scenario.headline_of(&outcome));
                    let scenario::Outcome { values, latency } = outcome;
                    result.samples.push(Sample { subject: name, round, values, latency });
                }
                Err(error) => {
                    eprintln!("   {name:20} FAILED: {error}");
                    let error = error.to_string();
                    result.failures.push(report::Failure { subject: name, round, error });
                }
            }
        }
    }
    result
}

/// What the weakest real server moves; a limit is none.
fn weakest_capacity(report: &Report, subjects: &[Subject], following: &Following) -> Option<f64> {
    let Following { after, weakest_of, .. } = following;
    subjects
        .iter()
        .map(|subject| &*subject.name)
        .filter(|name| ![LIMIT, LIMIT_BATCHED].contains(name))
        .filter(|name| weakest_of.is_empty() || weakest_of.contains(name))
        .filter_map(|name| report.median(after, name, "rate"))
        .min_by(f64::total_cmp)
}

fn write(report: &Report, out: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    let plots = report.plots();
    let files = plots.iter().map(|plot| (plot.file.clone(), plot.svg.clone()));
    let texts = [
        ("report.md".to_owned(), report.markdown(&plots)),
        ("report.json".to_owned(), report.to_json()?),
    ];
    for (file, text) in texts.into_iter().chain(files) {
        let path: PathBuf = out.join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("{}", out.join("report.md").display());
    Ok(())
}

impl Plan {
    fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|name| match name.strip_suffix('*') {
                Some(start) => scenario.starts_with(start),
                None => scenario == name,
            })
    }
}
