//! `vapo resume`: continues a run from its newest checkpoint.

use anyhow::Result;
use vapo_train::{Run, RunDir};

use crate::{
    args::ResumeArgs,
    config,
    interrupt::Ending,
    train::{Manner, carry_out},
};

/// Continues a run.
pub(crate) fn run(args: ResumeArgs) -> Result<Ending> {
    let config = config::show_warnings(RunDir::open(&args.run)?.resolve(&args.overrides)?, true);
    let manner = Manner { supervised: args.supervised, plain: args.plain };
    carry_out(&config, manner, |launch| Run::resume_on(launch, &args.run, &args.overrides))
}
