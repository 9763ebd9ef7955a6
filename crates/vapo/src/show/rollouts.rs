//! What is recorded of a step: its prompts, or the responses to one.

use std::path::Path;

use anyhow::{Result, bail};
use vapo_train::RunDir;
use vapo_view::{Quantity, Rollouts};

use super::{group, groups};
use crate::{format::printable, screen::Screen};

/// Prints the prompts of a recorded step, or the responses to one with their tokens colored by a quantity.
///
/// # Errors
/// It is no run, or what is asked for is not recorded.
pub(super) fn show(path: &Path, step: u64, prompt: Option<u64>, by: Quantity) -> Result<()> {
    let rollouts = Rollouts::open(&RunDir::open(path)?)?;
    let screen = Screen::for_words();
    check_step(&rollouts, step)?;
    match prompt {
        None => {
            groups::show(&screen, &printable(&path.display().to_string()), step, &rollouts.groups(step)?);
            Ok(())
        }
        Some(prompt) => {
            check_prompt(&rollouts, step, prompt)?;
            group::show(&screen, step, &rollouts.group(step, prompt)?, by)
        }
    }
}

/// Names the steps that are recorded if this one is not.
fn check_step(rollouts: &Rollouts, step: u64) -> Result<()> {
    // A record that is there and cannot be read says itself why.
    let Err(vapo_view::Error::Unknown(_)) = rollouts.groups(step) else { return Ok(()) };
    let steps: Vec<u64> = rollouts.steps().collect();
    if steps.is_empty() {
        bail!("step {step} is not recorded, and no other step either (records.every sets which steps are)");
    }
    bail!("step {step} is not recorded, expected one of {}", some_of(&steps));
}

fn check_prompt(rollouts: &Rollouts, step: u64, prompt: u64) -> Result<()> {
    let prompts: Vec<u64> = rollouts.groups(step)?.iter().map(|group| group.prompt_id).collect();
    if !prompts.contains(&prompt) {
        bail!("prompt {prompt} is not in the record of step {step}, expected one of {}", some_of(&prompts));
    }
    Ok(())
}

/// A list of numbers; of a long one, the ends.
fn some_of(numbers: &[u64]) -> String {
    const ENDS: usize = 4;
    let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    match numbers.len() {
        count if count <= 2 * ENDS => list(numbers),
        count => format!("{}, .. {} ({count} of them)", list(&numbers[..ENDS]), list(&numbers[count - ENDS..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_lists_the_ends_are_shown() {
        assert_eq!(some_of(&[5, 10]), "5, 10");
        assert_eq!(some_of(&(1..=8).collect::<Vec<_>>()), "1, 2, 3, 4, 5, 6, 7, 8");
        assert_eq!(some_of(&(1..=9).collect::<Vec<_>>()), "1, 2, 3, 4, .. 6, 7, 8, 9 (9 of them)");
    }
}
