//! `vapo config`: the resolved config.

use std::io::Write;

use anyhow::Result;
use vapo_train::Config;

use crate::args::ConfigArgs;

/// Prints the config with its comments.
pub(crate) fn run(args: ConfigArgs) -> Result<()> {
    let config = Config::load(args.source.config.as_deref(), &args.source.overrides)?;
    Ok(std::io::stdout().write_all(config.to_commented_toml().as_bytes())?)
}
