//! `vapo resume`: continues a run from its newest checkpoint.

use anyhow::Result;
use vapo_train::Run;

use crate::{args::ResumeArgs, train::carry_out};

/// Continues a run.
pub(crate) fn run(args: ResumeArgs) -> Result<()> {
    carry_out(Run::resume(&args.run, &args.overrides)?, args.supervised)
}
