//! `vapo config`: prints the resolved config. Also reads the config of every command.

use std::{io::Write, path::Path};

use anyhow::{Result, bail};
use vapo_train::{Config, config::Resolved};

use crate::{
    args::{ConfigArgs, ConfigSource},
    screen::Screen,
};

/// Prints the config with its comments.
pub(crate) fn run(args: ConfigArgs) -> Result<()> {
    let config = load_for_training(&args.source)?;
    // The text may be saved in any directory.
    let mut config = config.with_absolute_paths()?;
    config.run.dir = config.run.dir.map(std::path::absolute).transpose()?;
    Ok(std::io::stdout().write_all(config.to_commented_toml().as_bytes())?)
}

/// Reads the config of a training run; without a file, that of the built-in run.
pub(crate) fn load_for_training(source: &ConfigSource) -> Result<Config> {
    Ok(show_warnings(Resolved::load(source.config.as_deref(), &source.overrides)?, true))
}

/// Reads a config for a command that does not train.
pub(crate) fn load(file: Option<&Path>, overrides: &[String]) -> Result<Config> {
    Ok(show_warnings(Resolved::load(file, overrides)?, false))
}

/// Refuses to start a program, or to send texts to a server, only because the config in a run's directory says so:
/// directories are data, and may come from somebody else.
///
/// # Errors
/// The config has such a verifier; `place` is where it was found.
pub(crate) fn refuse_outside_actions(config: &Config, place: &str) -> Result<()> {
    // Built-in tasks grade their own problems.
    let verifiers = config.reward.verifier.iter().filter(|_| config.data.eval.is_some());
    match verifiers.filter_map(|term| term.verifier.outside_action()).next() {
        None => Ok(()),
        Some(action) => bail!(
            "to grade responses, the config in {place} would {action}: if you trust it, allow this with --allow-verifier"
        ),
    }
}

/// Shows warnings separately from a command's result; those about training only if the command is for `training`.
pub(crate) fn show_warnings(resolved: Resolved, training: bool) -> Config {
    let screen = Screen::for_result();
    let unused = resolved.unused.iter().filter(|_| training);
    resolved.warnings.iter().chain(unused).for_each(|warning| screen.warn(warning));
    resolved.config
}
