//! `vapo train`, and the part shared with `vapo resume`: executing a run and showing it.

use std::time::Duration;

use anyhow::{Context, Result};
use vapo_train::{Config, Outcome, Run};

use crate::{
    args::TrainArgs,
    config, header,
    interrupt::{Ending, stop_at_end_of_input, stop_flag},
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
    carry_out(&config.clone(), false, || Run::create(config))
}

/// Trains the run that `open` returns to its end or to the first signal; with `supervised`, also until standard input is
/// closed. A signal that arrives while it is opened also stops it with a checkpoint.
pub(crate) fn carry_out(
    config: &Config,
    supervised: bool,
    open: impl FnOnce() -> vapo_train::Result<Run>,
) -> Result<Ending> {
    let screen = Screen::for_words();
    let timeout = config.run.stop_timeout_secs.map(Duration::from_secs_f64);
    let stop = stop_flag(&screen, "stopping: a checkpoint will be written", timeout)?;
    if supervised {
        stop_at_end_of_input(&stop);
    }
    let mut run = open()?;
    header::show(&screen, &run)?;
    let done = run.directory().checkpoints()?.last().map(|(step, _)| *step);
    let mut progress = RunProgress::new(&screen, run.config(), done);
    let outcome = run.train(&mut progress, &stop);
    screen.clear_bar();
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
