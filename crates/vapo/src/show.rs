//! `vapo show`: a run for people, without training anything.

mod cells;
mod group;
mod groups;
mod paint;
mod rollouts;
mod story;

use anyhow::Result;

use crate::args::ShowArgs;

/// Prints the story of a run, or what is recorded of a step.
///
/// # Errors
/// It is no run, or the step is not recorded.
pub(crate) fn run(args: &ShowArgs) -> Result<()> {
    match args.step {
        Some(step) => rollouts::show(&args.run, step, args.prompt, args.by.quantity()),
        None => story::show(&args.run, args.json),
    }
}
