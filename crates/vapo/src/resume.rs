//! `vapo resume`: continues a run from its newest checkpoint.

use anyhow::Result;
use vapo_train::{Run, RunDir};

use crate::{args::ResumeArgs, config, interrupt::Ending, train::carry_out};

/// Continues a run.
pub(crate) fn run(args: ResumeArgs) -> Result<Ending> {
    let config = config::show_warnings(RunDir::open(&args.run)?.resolve(&args.overrides)?, true);
    carry_out(&config, args.supervised, || Run::resume(&args.run, &args.overrides))
}
