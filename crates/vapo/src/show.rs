//! `vapo show`: a run for people, without training anything.

mod cells;
mod group;
mod groups;
mod paint;
mod rollouts;

use anyhow::Result;

use crate::args::ShowArgs;

/// Prints what is recorded of a step.
///
/// # Errors
/// It is no run, or the step is not recorded.
pub(crate) fn run(args: &ShowArgs) -> Result<()> {
    rollouts::show(&args.run, args.step, args.prompt, args.by.quantity())
}
