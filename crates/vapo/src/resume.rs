//! `vapo resume`: continues a run from its newest checkpoint.

use anyhow::Result;
use vapo_train::{Run, RunDir};

use crate::{args::ResumeArgs, config, train::carry_out};

/// Continues a run.
pub(crate) fn run(args: ResumeArgs) -> Result<()> {
    config::show_warnings(RunDir::open(&args.run)?.resolve(&args.overrides)?, true);
    carry_out(Run::resume(&args.run, &args.overrides)?, args.supervised)
}
