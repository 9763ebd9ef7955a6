//! `vapo config`: the resolved config.

use std::io::Write;

use anyhow::Result;
use vapo_train::Config;

use crate::args::ConfigSource;

/// Prints the config with its comments.
pub(crate) fn run(args: ConfigSource) -> Result<()> {
    let config = Config::load(args.config.as_deref(), &args.overrides)?;
    Ok(std::io::stdout().write_all(config.to_commented_toml().as_bytes())?)
}
