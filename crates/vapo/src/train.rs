//! `vapo train`, and the part shared with `vapo resume`: executing a run and showing it.

use anyhow::{Context, Result};
use vapo_train::{Outcome, Run};

use crate::{
    args::TrainArgs,
    config, header,
    interrupt::{stop_at_end_of_input, stop_flag},
    progress::RunProgress,
    report,
    screen::Screen,
};

/// Creates a run and executes it.
pub(crate) fn run(args: TrainArgs) -> Result<()> {
    let mut config = config::load_for_training(&args.source)?;
    if args.run_dir.is_some() {
        config.run.dir = args.run_dir;
    }
    carry_out(Run::create(config)?, false)
}

/// Trains to the end or to the first Ctrl-C; with `supervised`, also until standard input is closed.
pub(crate) fn carry_out(mut run: Run, supervised: bool) -> Result<()> {
    let screen = Screen::for_words();
    header::show(&screen, &run)?;
    let stop = stop_flag(&screen, "stopping: a checkpoint will be written")?;
    if supervised {
        stop_at_end_of_input(&stop);
    }
    let done = run.directory().checkpoints()?.last().map(|(step, _)| *step);
    let mut progress = RunProgress::new(&screen, run.config(), done);
    let outcome = run.train(&mut progress, &stop);
    screen.clear_bar();
    let directory = run.directory();
    let name = directory.path().display();
    match outcome.with_context(|| {
        format!("the run in {name} ended early; `vapo resume {name}` continues from its newest checkpoint")
    })? {
        Outcome::Finished(summary) => report::show(&screen, directory, &summary),
        Outcome::Stopped(_) => {
            screen.line(&format!("  continue with {}", screen.bold(&format!("vapo resume {name}"))));
            Ok(())
        }
    }
}
