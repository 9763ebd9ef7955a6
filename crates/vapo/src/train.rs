//! `vapo train`, and the part shared with `vapo resume`: executing a run and showing it.

use std::time::Duration;

use anyhow::{Context, Result};
use vapo_train::{Config, Event, Launch, Outcome, Run, launch};

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
    carry_out(&config.clone(), Manner { supervised: false, plain: args.plain }, |launch| Run::create_on(launch, config))
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
