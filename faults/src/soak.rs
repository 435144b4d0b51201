//! A server and its load, for a long while: does anything grow, and is every frame accounted for?

mod trend;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::attacked::Attacked;
use crate::control::Counters;
use crate::load::Tally;
use crate::process;
use trend::{Sample, slope_kib_per_minute};

/// How long, how many, and what is too much.
#[derive(Debug, Clone, Parser)]
pub struct SoakOptions {
    /// How long the load lasts.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Clients in all.
    #[arg(long, default_value_t = 3000)]
    clients: u32,
    /// Processes that they are shared out among.
    #[arg(long, default_value_t = 2)]
    processes: u32,
    /// By how much resident memory may grow each minute, over the second half, in KiB. The default
    /// is for an hour: a heap takes some ten minutes to find its size.
    #[arg(long, default_value_t = 64.0)]
    slope_max: f64,
    /// What all that the clients do is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Why a soak has failed.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// A process could not be started or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A load generator told nothing that can be understood.
    #[error("the load generator's last words: {0}")]
    Load(#[from] serde_json::Error),
    /// A bound was exceeded, each a line.
    #[error("too much:\n{0}")]
    Bounds(String),
}

/// Sessions wait so long for their clients; then all that there was is gone.
const RESUME_WINDOW: &str = "5000";
/// Between two looks at the server.
const SAMPLE: Duration = Duration::from_secs(1);
/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(30);

/// Runs it and prints what was seen.
///
/// # Errors
///
/// [`SoakError`], also if a bound was exceeded.
///
/// # Panics
///
/// If the server ends or does not answer.
pub fn run(options: &SoakOptions) -> Result<(), SoakError> {
    process::require_descriptors(options.clients as usize + 200);
    let mut log = tempfile::tempfile()?;
    let mut server = start_server(&log)?;
    let pid = server.pid();
    let descriptors_at_start = process::descriptors(pid)?;
    let mut loads = start_loads(options, &server)?;
    let samples = watch(&mut server, &mut loads)?;
    let mut tally = Tally::default();
    for load in loads {
        tally += last_words(load)?;
    }
    let counters = server.wait_until("all to be gone", |now| now.connections == 0);
    let descriptors_at_end = settle_descriptors(pid, descriptors_at_start)?;
    server.start_closing();
    let last = server.wait_closed();
    log.rewind()?;
    let mut text = String::new();
    log.read_to_string(&mut text)?;
    let slope = slope_kib_per_minute(&samples[samples.len() / 2..]);
    print_samples(&samples);
    println!("resident memory over the second half: {slope:+.1} KiB each minute");
    println!("descriptors: {descriptors_at_start} at the start, {descriptors_at_end} at the end");
    println!("clients: {tally:?}");
    println!("server: {counters:?}");
    print!("{text}");
    judge(&[
        (slope <= options.slope_max, "resident memory grows"),
        (descriptors_at_end <= descriptors_at_start, "descriptors are left open"),
        (last.panics == 0 && !text.contains("panicked at"), "something panicked"),
        (is_accounted_for(&last), "frames are not accounted for"),
        (last.resumed > 0, "no session was resumed"),
        (tally.disordered == 0, "frames came out of order, or twice"),
        (tally.heard > 0, "no client has heard anything"),
        (last.rooms == 0, "rooms are left behind"),
        (last.account.conflated > 0, "nothing was conflated"),
        (tally.replies > 0 && tally.asked > 0, "nobody was answered, or asked"),
        (tally.presence > 0, "nobody was told who is there"),
    ])?;
    println!("passed: {} sessions resumed, 0 panics, 0 frames unaccounted for", last.resumed);
    Ok(())
}

fn this_program() -> io::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

fn start_server(log: &File) -> io::Result<Attacked> {
    let mut command = this_program()?;
    command.arg("server").args(["--resume-window-ms", RESUME_WINDOW, "--take-over", "--people"]);
    command.args(["--ping-ms", "5000", "--pong-ms", "15000", "--write-wait-ms", "5000"]);
    command.args(["--message-bytes-max", "4096", "--send-buffer-frames", "128"]);
    command.stderr(log.try_clone()?);
    Ok(Attacked::spawn(command, IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

fn start_loads(options: &SoakOptions, server: &Attacked) -> io::Result<Vec<Child>> {
    let seconds = options.minutes * 60;
    let clients = options.clients / options.processes;
    let start = |index: u32| {
        let mut command = this_program()?;
        command.arg("load").args(["--address", &server.address().to_string()]);
        command.args(["--clients", &clients.to_string(), "--seconds", &seconds.to_string()]);
        command.args(["--seed", &(options.seed + u64::from(index)).to_string()]);
        command.stdout(Stdio::piped()).spawn()
    };
    (0..options.processes).map(start).collect()
}

/// Samples the server until all load has ended.
fn watch(server: &mut Attacked, loads: &mut [Child]) -> io::Result<Vec<Sample>> {
    let (started, mut told) = (Instant::now(), Instant::now());
    let mut samples = Vec::new();
    loop {
        let mut running = 0;
        for load in &mut *loads {
            running += usize::from(load.try_wait()?.is_none());
        }
        if running < loads.len() {
            return Ok(samples);
        }
        let resident_kib = process::resident_kib(server.pid())?;
        let descriptors = process::descriptors(server.pid())?;
        samples.push(Sample { at: started.elapsed(), resident_kib, descriptors });
        if told.elapsed() >= TELL {
            told = Instant::now();
            let now = server.counters();
            println!(
                "{:4} s: {resident_kib} KiB, {descriptors} descriptors, {} connections, {} of them \
                 suspended, {} resumed, {} frames sent, {} dropped",
                started.elapsed().as_secs(),
                now.connections,
                now.suspended,
                now.resumed,
                now.account.sent,
                now.account.dropped,
            );
        }
        thread::sleep(SAMPLE);
    }
}

fn last_words(load: Child) -> Result<Tally, SoakError> {
    let stdout = load.stdout.ok_or_else(|| io::Error::other("its output is piped"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// The last farewells may take a second more than their sessions.
fn settle_descriptors(pid: u32, goal: usize) -> io::Result<usize> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let started = Instant::now();
    loop {
        let descriptors = process::descriptors(pid)?;
        if descriptors <= goal || started.elapsed() > PATIENCE {
            return Ok(descriptors);
        }
        thread::sleep(SAMPLE / 10);
    }
}

fn is_accounted_for(counters: &Counters) -> bool {
    let account = counters.account;
    account.unaccounted == 0
        && account.pending == 0
        && account.accepted == account.sent + account.dropped + account.conflated
        && counters.untold() == 0
}

/// Ten of them, spread over the whole time.
fn print_samples(samples: &[Sample]) {
    let step = samples.len().div_ceil(10).max(1);
    for sample in samples.iter().step_by(step).chain(samples.last()) {
        let Sample { at, resident_kib, descriptors } = sample;
        println!("{:5} s: {resident_kib:7} KiB, {descriptors:5} descriptors", at.as_secs());
    }
}

fn judge(verdicts: &[(bool, &str)]) -> Result<(), SoakError> {
    let failed: Vec<_> = verdicts.iter().filter(|(good, _)| !good).map(|(_, what)| *what).collect();
    if failed.is_empty() { Ok(()) } else { Err(SoakError::Bounds(failed.join("\n"))) }
}
