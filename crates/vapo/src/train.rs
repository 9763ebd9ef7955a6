//! `vapo train`, and the part shared with `vapo resume`: executing a run and showing it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use vapo_train::{Config, Event, Launch, Outcome, Run, RunDir, launch};

use crate::{
    args::TrainArgs,
    config, header,
    interrupt::{Ending, stop_at_end_of_input, stop_flag},
    live,
    progress::RunProgress,
    report,
    screen::Screen,
};

/// Creates a run and executes it.
pub(crate) fn run(args: TrainArgs) -> Result<Ending> {
    let mut config = config::load_for_training(&args.source)?;
    if args.run_dir.is_some() {
        config.run.dir = args.run_dir;
    }
    let manner = Manner { supervised: false, plain: args.plain };
    let existing = config.run.dir.clone().filter(|path| args.resume_or_start && path.join("config.toml").is_file());
    match existing {
        Some(path) => {
            refuse_other_settings(&RunDir::open(&path)?, &config)?;
            carry_out(&config, manner, |launch| Run::resume_on(launch, &path, &own_settings(&config)))
        }
        None => carry_out(&config.clone(), manner, |launch| Run::create_on(launch, config)),
    }
}

/// Settings of this process, which do not change what a run computes.
const OWN: [&str; 3] = ["run.threads", "distributed.transport", "distributed.timeout_secs"];

fn own_settings(config: &Config) -> Vec<String> {
    let entries = config.entries().into_iter().filter(|(key, _)| OWN.contains(&key.as_str()));
    entries.map(|(key, value)| format!("{key}={value}")).collect()
}

/// Refuses to continue a run with other settings than it has.
///
/// # Errors
/// Some differ: the message names them.
fn refuse_other_settings(directory: &RunDir, config: &Config) -> Result<()> {
    let [had, given] = [directory.config()?, config.clone()].map(Config::with_absolute_paths);
    let (had, given) = (had?.entries(), given?.entries());
    let is_own = |key: &str| key == "run.dir" || OWN.contains(&key);
    let differing = had.iter().zip(&given).filter(|((key, had), (_, given))| !is_own(key) && had != given);
    let lines: Vec<String> =
        differing.map(|((key, had), (_, given))| format!("{key}: the run has {had}, this command {given}")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let path = directory.path().display();
    bail!(
        "{path} holds a run with other settings: start a new one in another directory, or continue it with `vapo resume {path} \
         --set KEY=VALUE`\n{}",
        lines.join("\n")
    )
}

/// How a run is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The end of standard input stops it, like a signal.
    pub(crate) supervised: bool,
    /// Lines instead of the live screen.
    pub(crate) plain: bool,
}

/// Trains the run that `open` returns, on the ranks that a launcher has started, to its end or to the first signal. A signal that arrives while it is opened also stops
/// it with a checkpoint.
pub(crate) fn carry_out(
    config: &Config,
    manner: Manner,
    open: impl FnOnce(Launch) -> vapo_train::Result<Run>,
) -> Result<Ending> {
    let screen = Screen::for_words();
    let timeout = config.run.stop_timeout_secs.map(Duration::from_secs_f64);
    let stop = stop_flag(&screen, "stopping: a checkpoint will be written", timeout)?;
    if manner.supervised {
        stop_at_end_of_input(&stop);
    }
    // A study's ranks have whole runs.
    let launch = if manner.supervised { Launch::Single } else { launch(config)? };
    let mut run = open(launch)?;
    if !run.division().leads() {
        // Rank 0 speaks for all.
        return Ok(match run.train(&mut |_: Event<'_>| (), &stop)? {
            Outcome::Finished(_) => Ending::Done,
            Outcome::Stopped(_) => Ending::Stopped,
        });
    }
    header::show(&screen, &run)?;
    let done = run.directory().checkpoints()?.last().map(|(step, _)| *step);
    let lines = RunProgress::new(&screen, run.config(), done);
    let is_live = screen.is_watched() && !manner.plain && !manner.supervised;
    let mut observer = live::over(lines, is_live.then_some((&screen, &run)));
    let outcome = run.train(&mut observer, &stop);
    screen.clear();
    let directory = run.directory();
    let name = directory.path().display();
    match outcome.with_context(|| {
        format!("the run in {name} ended early; `vapo resume {name}` continues from its newest checkpoint")
    })? {
        Outcome::Finished(summary) => report::show(&screen, directory, &summary).map(|()| Ending::Done),
        Outcome::Stopped(_) => {
            screen.line(&format!("  continue with {}", screen.bold(&format!("vapo resume {name}"))));
            Ok(Ending::Stopped)
        }
    }
}
